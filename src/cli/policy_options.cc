#include "cli/policy_options.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "policy/calibration.h"

namespace verillm {

void AddPolicyOptions(CLI::App& command, PolicyOptions& options) {
  command
      .add_option("--policy", options.policy,
                  fmt::format("Rule for the verdict: {}, or the file of a calibration (verillm calibrate)",
                              fmt::join(PolicyNames(), ", ")))
      ->capture_default_str();
  command.add_flag("--pooled", options.pooled, "Judge statistics pooled over the positions instead of counting accepted pairs");
  command.add_option("--pe", options.thresholds.pe, "Threshold of Pe")->capture_default_str();
  command.add_option("--pm", options.thresholds.pm, "Threshold of Pm")->capture_default_str();
  command.add_option("--pw", options.thresholds.pw, "Threshold of Pw (the paper's off-chain setting: 0.80)")
      ->capture_default_str();
  command.add_option("--mean-error", options.thresholds.mean_error, "Threshold of the mean error")->capture_default_str();
  command.add_option("--criterion", options.thresholds.accept_rate, "More than this share of the pairs must be accepted")
      ->capture_default_str();
}

Policy ChosenPolicy(const PolicyOptions& options) {
  const std::vector<std::string_view> names = PolicyNames();
  if (std::find(names.begin(), names.end(), options.policy) == names.end() && std::filesystem::exists(options.policy)) {
    return MakeCalibratedPolicy(ReadCalibration(options.policy));
  }
  return MakePolicy(options.policy, options.thresholds, options.pooled ? Unit::kPools : Unit::kPairs);
}

void WarnWhereNotLearned(const Policy& policy, const ModelIdentity& model, StateType states, const DeviceIdentity& prover,
                         const DeviceIdentity& verifier, std::size_t n_positions, Streams& streams) {
  if (!policy.calibration) return;
  const std::string warning = CheckApplies(*policy.calibration, model, states, prover, verifier, n_positions);
  if (!warning.empty()) fmt::print(streams.talk, "warning: {}\n", warning);
}

}  // namespace verillm
