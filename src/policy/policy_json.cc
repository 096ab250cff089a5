#include "policy/policy_json.h"

#include <fmt/format.h>

#include "base/error.h"
#include "policy/calibration.h"

namespace verillm {
namespace {

Thresholds ThresholdsFromJson(const Json& json) {
  JsonFields fields(json, "thresholds");
  const Thresholds thresholds{.pe = fields.Get<double>("Pe"),
                              .pm = fields.Get<double>("Pm"),
                              .pw = fields.Get<double>("Pw"),
                              .mean_error = fields.Get<double>("mean_error"),
                              .significance = fields.Get<double>("significance"),
                              .accept_rate = fields.Get<double>("accept_rate")};
  fields.Finish();
  return thresholds;
}

}  // namespace

Json ToJson(const Thresholds& thresholds) {
  return {{"Pe", thresholds.pe},
          {"Pm", thresholds.pm},
          {"Pw", thresholds.pw},
          {"mean_error", thresholds.mean_error},
          {"significance", thresholds.significance},
          {"accept_rate", thresholds.accept_rate}};
}

Json ToJson(const Policy& policy) {
  return {{"name", policy.name},
          {"version", policy.version},
          {"unit", policy.unit == Unit::kPairs ? "pairs" : "pools"},
          {"thresholds", ToJson(policy.thresholds)},
          {"calibration", policy.calibration ? ToJson(*policy.calibration) : Json(nullptr)}};
}

Policy PolicyFromJson(const Json& json) {
  JsonFields fields(json, "policy");
  const auto name = fields.Get<std::string>("name");
  const int version = fields.Get<int>("version");
  const auto unit = fields.Get<std::string>("unit");
  const Thresholds thresholds = ThresholdsFromJson(fields.At("thresholds"));
  const Json& calibration = fields.At("calibration");
  fields.Finish();
  if (unit != "pairs" && unit != "pools") {
    throw Error(ErrorKind::kInput, fmt::format("policy: unit can be pairs or pools, not \"{}\"", unit));
  }
  try {
    Policy policy = calibration.is_null() ? MakePolicy(name, thresholds, unit == "pairs" ? Unit::kPairs : Unit::kPools)
                                          : MakeCalibratedPolicy(CalibrationFromJson(calibration));
    if (policy.name != name || policy.version != version) {
      throw Error(ErrorKind::kInput, fmt::format("policy: {} version {} is not known here, only {} version {}", name, version,
                                                 policy.name, policy.version));
    }
    return policy;
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, error.what());
  }
}

}  // namespace verillm
