// The `calibrated` policy: learned thresholds, a sequential test over positions, three verdicts.
#ifndef VERILLM_POLICY_CALIBRATED_POLICY_H_
#define VERILLM_POLICY_CALIBRATED_POLICY_H_

#include <cstddef>
#include <string>

#include "policy/calibration.h"
#include "policy/policy.h"

namespace verillm {

// What the test over the positions of one response came to.
struct CalibratedResult {
  Verdict verdict = Verdict::kInconclusive;
  std::string reason;             // one sentence
  std::size_t decided_after = 0;  // positions looked at until the verdict was reached; all where it is inconclusive
};

// Rejects where the response has failures, where embeddings differ more than honest ones, where a score is extreme, or when the
// evidence against an honest run suffices. Accepts when there is enough evidence for honest states (embeddings alone are none)
// and, where sampling was checked, for honest sampling, and no rejection anywhere in the response. Half of the allowed false
// positives goes to states, half to sampling. Error(kUsage) as of ScorePositions.
CalibratedResult JudgeCalibrated(const Calibration& calibration, const ResponseDiscrepancy& response);

// Why a single pair is not accepted: its element error is beyond what decides alone in a layer. Empty where it is accepted.
Failure JudgeCalibratedPair(const Calibration& calibration, const PairDiscrepancy& pair);

}  // namespace verillm

#endif  // VERILLM_POLICY_CALIBRATED_POLICY_H_
