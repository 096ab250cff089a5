// What a verifier who looks at a part only would have found, told from a whole verification: at which depth, after how many
// output tokens, and what that part costs. A prover that learns of the choice after committing to its states cannot adapt to it.
#ifndef VERILLM_EXPERIMENT_PARTIAL_AUDIT_H_
#define VERILLM_EXPERIMENT_PARTIAL_AUDIT_H_

#include <vector>

#include "policy/calibration.h"
#include "policy/policy.h"

namespace verillm {

struct PartialAudit {
  CapturePoint depth;  // the last capture point looked at
  int first_outputs;   // output tokens looked at
  double cost;         // share of the blocks times share of the tokens of the whole prefill
  Verdict verdict;     // of the policy calibrated
};

// The part of a response up to a depth and a number of output tokens. Sampling is checked at full depth only, where logits exist.
ResponseDiscrepancy PartOf(const ResponseDiscrepancy& response, CapturePoint depth, std::size_t first_outputs);

// Every depth beyond the embeddings with all output tokens, then 1, 2, 4 ... output tokens at full depth.
std::vector<PartialAudit> PartialAudits(const Calibration& calibration, const ResponseDiscrepancy& response, int n_layer,
                                        int n_prompt);

// How often so many consecutive positions alone would have been enough to reject the states.
struct ShortLook {
  int positions;
  int n;  // stretches of that length in the response, one behind the other
  int n_rejected;
};

// For stretches of 1, 2 and 4 positions, judged by the policy calibrated without failures and margins.
std::vector<ShortLook> ShortLooks(const Calibration& calibration, const ResponseDiscrepancy& response);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_PARTIAL_AUDIT_H_
