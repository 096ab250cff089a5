#include "cli/policy_options.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "policy/calibration.h"
#include "policy/peer_policy.h"

namespace verillm {
namespace {

Parameters ReadParameters(const std::vector<std::string>& texts) {
  Parameters parameters;
  for (const std::string& text : texts) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string_view number = std::string_view(text).substr(std::min(equals + 1, text.size()));
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (equals == 0 || error != std::errc() || end != number.data() + number.size())
      throw Error(ErrorKind::kUsage, fmt::format("--parameter {}: is not of the form NAME=VALUE with a number", text));
    if (!parameters.emplace(text.substr(0, equals), value).second)
      throw Error(ErrorKind::kUsage, fmt::format("--parameter {}: is given twice", text.substr(0, equals)));
  }
  return parameters;
}

}  // namespace

void AddPolicyOptions(CLI::App& command, PolicyOptions& options) {
  command
      .add_option("--policy", options.policy,
                  fmt::format("Rule for the verdict: {}, or the file of a calibration (verillm calibrate); methods of others: {}",
                              fmt::join(PolicyNames(), ", "), fmt::join(PeerPolicyNames(), ", ")))
      ->capture_default_str();
  command.add_flag("--pooled", options.pooled, "Judge statistics pooled over the positions instead of counting accepted pairs");
  command.add_option("--pe", options.thresholds.pe, "At most this share of elements with another sign or exponent")
      ->capture_default_str();
  command.add_option("--pm", options.thresholds.pm, "At least this share of them with distant mantissas")->capture_default_str();
  command
      .add_option("--pw", options.thresholds.pw,
                  "At least this share of the others with close mantissas (the paper's off-chain setting: 0.80)")
      ->capture_default_str();
  command.add_option("--mean-error", options.thresholds.mean_error, "The mean error stays below this")->capture_default_str();
  command.add_option("--parameter", options.parameters, "NAME=VALUE of a method of others, in place of the published one")
      ->allow_extra_args(false);
  command.add_option("--criterion", options.thresholds.accept_rate, "More than this share of the pairs must be accepted")
      ->capture_default_str();
}

Policy ChosenPolicy(const PolicyOptions& options) {
  if (IsPeerPolicy(options.policy)) {
    if (options.pooled) throw Error(ErrorKind::kUsage, fmt::format("policy {} judges no pools", options.policy));
    return MakePeerPolicy(options.policy, ReadParameters(options.parameters));
  }
  if (!options.parameters.empty()) throw Error(ErrorKind::kUsage, "--parameter is for methods of others alone");
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
