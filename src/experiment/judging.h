// What the policies of an experiment make of its verifications, in the form of the result files.
#ifndef VERILLM_EXPERIMENT_JUDGING_H_
#define VERILLM_EXPERIMENT_JUDGING_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "experiment/config.h"
#include "policy/calibration.h"

namespace verillm {

class Judging {
 public:
  // Reads the calibration, where there is one; errors as of PoliciesOf.
  explicit Judging(const ExperimentConfig& config);

  const std::map<std::string, Policy>& policies() const { return policies_; }
  // Of the calibration's file; null where there is none.
  const Json& calibration_digest() const { return calibration_digest_; }
  // Whether a policy wants ResponseDiscrepancy::final_rows.
  bool needs_final_rows() const;

  // Refuses a calibration of another model; logs once a pair of devices where its rates do not hold.
  void CheckCalibration(const TraceHeader& header, std::size_t n_tokens, const ModelIdentity& model,
                        const DeviceIdentity& verifier);

  // The whole response: what every policy says of it, by the configured one in the published form.
  Json Whole(const ResponseDiscrepancy& discrepancy, double seconds, double inference_seconds) const;

  // What looking at a part would have found; nothing without a calibration.
  Json Parts(const ResponseDiscrepancy& discrepancy, int n_layer, int n_prompt) const;

  // Every window of the configured sizes, and where the prover is honest what forged proofs would pass for; nothing without
  // sizes.
  Json Windows(const ResponseDiscrepancy& discrepancy, bool prover_is_honest) const;

 private:
  const Calibration* calibration() const;

  std::map<std::string, Policy> policies_;
  std::string configured_;  // the policy that decides
  std::vector<int> window_sizes_;
  Json calibration_digest_;
  std::set<std::string> warned_;
};

}  // namespace verillm

#endif  // VERILLM_EXPERIMENT_JUDGING_H_
