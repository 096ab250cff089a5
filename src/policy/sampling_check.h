// Whether the tokens of a response were chosen as asked, from the margins of a verifier's logits (SamplingMargin). States prove
// the computation on the tokens shown; this alone tells who chose the tokens. (DiFR, arXiv 2511.20621.)
#ifndef VERILLM_POLICY_SAMPLING_CHECK_H_
#define VERILLM_POLICY_SAMPLING_CHECK_H_

#include <cstddef>
#include <span>
#include <string>

#include "policy/policy.h"

namespace verillm {

// In logits: honest margins exceed `threshold` with probability `exceedance_rate` at most, and never `extreme`.
struct SamplingLimits {
  double threshold;
  double extreme;
  double exceedance_rate;
};

// Where nothing was calibrated: several times what honest CPU variants show. Of 69,120 honest margins of SmolLM2-135M one in 700
// was above 0 and the largest 0.12 (docs/attacks.md); noisier devices need room.
constexpr SamplingLimits kUncalibratedSampling = {.threshold = 0.2, .extreme = 2.5, .exceedance_rate = 0.01};

struct SamplingResult {
  Verdict verdict = Verdict::kInconclusive;
  std::size_t decided_after = 0;  // tokens; all where it is inconclusive
  std::size_t n_exceeding = 0;
  std::string reason;
};

// Rejects at an extreme margin or when the evidence against honest choices suffices (alpha bounds false rejections), accepts
// when there is enough evidence for them and no rejection anywhere.
SamplingResult JudgeSampling(std::span<const double> margins, const SamplingLimits& limits, double alpha);

}  // namespace verillm

#endif  // VERILLM_POLICY_SAMPLING_CHECK_H_
