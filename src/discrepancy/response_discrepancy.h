// The discrepancy of one response: every pair that the verifier's plan asks for, and what the trace failed to supply. This is
// all that a policy sees.
#ifndef VERILLM_DISCREPANCY_RESPONSE_DISCREPANCY_H_
#define VERILLM_DISCREPANCY_RESPONSE_DISCREPANCY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "discrepancy/pair_statistics.h"
#include "trace/capture.h"
#include "trace/trace_file.h"

namespace verillm {

// One compared pair of state vectors.
struct PairDiscrepancy {
  CapturePoint point;
  int position;  // in the sequence, prompt included
  PairStatistics statistics;
  std::optional<double> element_error;  // MeanElementError
};

// The states after the final norm themselves, of both sides, in the plan's type: what methods of others are applied to.
struct FinalRows {
  int width = 0;
  int n_prompt = 0;
  std::vector<Token> tokens;                // those looked at, the prompt's n_prompt included
  std::vector<std::byte> prover, verifier;  // one row a compared position that the trace has
};

struct ResponseDiscrepancy {
  CapturePlan plan;            // what the verifier wanted compared
  std::vector<int> positions;  // at which positions, ascending
  std::vector<PairDiscrepancy> pairs;
  // Where sampling was checked: one an output token, how far the verifier's logits are from explaining it (SamplingMargin). Those
  // of all tokens looked at, even where the states of some positions only were compared.
  std::optional<std::vector<double>> margins;
  std::optional<FinalRows> final_rows;  // kept only where the policy asks for them
  // Why the response fails before any statistics: rows that the trace lacks, text that is not what the tokens say.
  std::vector<std::string> failures;

  // Pairs that the plan asks for: capture points x positions. pairs.size() falls short of it where rows are missing.
  std::size_t n_expected() const { return plan.points.size() * positions.size(); }
  // Whether there are positions, and final_rows has a row for each.
  bool has_all_final_rows() const;
};

// ln(element error), of one of 1e-9 at least: states that agree to the last bit have no logarithm. 0 where there is none.
double LogElementError(const PairDiscrepancy& pair);

// All pairs of one capture point merged.
PairStatistics PoolOverPositions(const ResponseDiscrepancy& response, CapturePoint point);

}  // namespace verillm

#endif  // VERILLM_DISCREPANCY_RESPONSE_DISCREPANCY_H_
