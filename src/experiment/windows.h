// Short stretches of a response, each judged as if it were all that was looked at: how many positions does a method need? This is
// what every detector of the bake-off is compared on.
//
// A detector is a policy that judges states, or margins, and nothing else:
//
//   paper, reference      score: share of the pairs that are not accepted
//   calibrated            score: mean ln element error over the positions and the capture points beyond the embeddings, the
//                         best of the policy's statistics when taken alone; it needs no calibration, the policy's verdict does
//   sampling              score: mean of the margins, none counted above 1; verdict of the sampling check, by the calibration's
//                         limits where there is one
//   methods of others,    score and verdict of their own (peer_policy.h)
//   residues
//
// Scores grow with dishonesty.
#ifndef VERILLM_EXPERIMENT_WINDOWS_H_
#define VERILLM_EXPERIMENT_WINDOWS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "policy/policy.h"

namespace verillm {

// The sampling check by itself, which is part of several policies.
constexpr std::string_view kSamplingDetector = "sampling";

// In means of margins those beyond it count as it, so that one absurd token does not hide how often others are off.
constexpr double kMarginCap = 1.0;

// The stretches of `length` consecutive compared positions, one behind the other; what is left at the end belongs to none. Each
// has its pairs, margins and rows, and what was generated before it counts as prompt. Failures are the response's and left out;
// so are margins and rows where there is not one for each compared position.
std::vector<ResponseDiscrepancy> WindowsOf(const ResponseDiscrepancy& response, std::size_t length);

// What one detector made of the windows of one size.
struct WindowJudgements {
  std::size_t positions;                      // of a window
  double bytes_per_token = 0;                 // that a prover sends beyond the tokens
  std::vector<std::optional<double>> scores;  // one a window; nullopt where it is too small for the method
  std::vector<bool> rejected;  // one a window, false where there is no score; none where the detector has no verdict
};

// By detector, every size of which a window has a score. `policies` are the configured ones by name (PoliciesOf).
using DetectorJudgements = std::map<std::string, std::vector<WindowJudgements>>;
DetectorJudgements JudgeWindows(const std::map<std::string, Policy>& policies, const ResponseDiscrepancy& response,
                                const std::vector<int>& sizes);

Json ToJson(const DetectorJudgements& judgements);

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_WINDOWS_H_
