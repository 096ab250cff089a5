#include "experiment/judging.h"

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "experiment/forgeries.h"
#include "experiment/partial_audit.h"
#include "experiment/result_json.h"
#include "experiment/windows.h"
#include "policy/peer_policy.h"

namespace verillm {

Judging::Judging(const ExperimentConfig& config)
    : policies_(PoliciesOf(config)), configured_(config.policy), window_sizes_(config.positions) {
  if (!config.calibration.empty()) calibration_digest_ = Sha256HexOfFile(config.calibration);
}

bool Judging::needs_final_rows() const {
  return std::ranges::any_of(policies_, [](const auto& named) { return NeedsFinalRows(named.second); });
}

const Calibration* Judging::calibration() const {
  const auto calibrated = policies_.find("calibrated");
  return calibrated == policies_.end() ? nullptr : calibrated->second.calibration.get();
}

void Judging::CheckCalibration(const TraceHeader& header, std::size_t n_tokens, const ModelIdentity& model,
                               const DeviceIdentity& verifier) {
  if (calibration() == nullptr) return;
  const std::string warning = CheckApplies(*calibration(), model, header.plan.type, header.device, verifier,
                                           n_tokens - static_cast<std::size_t>(header.n_prompt));
  if (!warning.empty() && warned_.insert(warning).second) Log(LogLevel::kWarning, warning);
}

Json Judging::Whole(const ResponseDiscrepancy& discrepancy, double seconds, double inference_seconds) const {
  Json policies = Json::object();
  PolicyResult configured;
  for (const auto& [name, policy] : policies_) {
    PolicyResult result = EvaluateLogged(policy, discrepancy);
    policies[name] = ToJson(result, discrepancy);
    if (name == configured_) configured = std::move(result);
  }
  return {{"statistics", PublishedStatistics(configured, discrepancy)},
          {"overhead",
           {{"inference_time", inference_seconds},
            {"verification_time", seconds},
            {"ratio", NumberOrNull(seconds / inference_seconds)},
            {"percentage", NumberOrNull(100 * seconds / inference_seconds)}}},
          {"series", ErrorSeries(discrepancy, calibration())},
          {"verdict", configured.verdict == Verdict::kAccept ? "PASS" : "FAIL"},
          {"policies", std::move(policies)}};
}

Json Judging::Parts(const ResponseDiscrepancy& discrepancy, int n_layer, int n_prompt) const {
  if (calibration() == nullptr) return Json::object();
  return {{"partial_audits", ToJson(PartialAudits(*calibration(), discrepancy, n_layer, n_prompt))},
          {"short_looks", ToJson(ShortLooks(*calibration(), discrepancy))}};
}

Json Judging::Windows(const ResponseDiscrepancy& discrepancy, bool prover_is_honest) const {
  if (window_sizes_.empty()) return Json::object();
  const LoggedTime timed("judging windows");
  Json json = {{"windows", ToJson(JudgeWindows(policies_, discrepancy, window_sizes_))}};
  if (prover_is_honest) json["forgeries"] = ToJson(CheckForgeries(policies_, discrepancy));
  return json;
}

}  // namespace verillm
