#include "policy/policy_json.h"

#include <fmt/format.h>

#include "base/error.h"
#include "policy/calibration.h"
#include "policy/peer_policy.h"

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

Parameters ParametersFromJson(const Json& json) {
  JsonFields fields(json, "thresholds");
  Parameters parameters;
  for (const auto& [name, value] : json.items()) parameters[name] = fields.Get<double>(name);
  return parameters;
}

std::string_view UnitName(Unit unit) {
  switch (unit) {
    case Unit::kPairs:
      return "pairs";
    case Unit::kPools:
      return "pools";
    case Unit::kResponse:
      return "response";
  }
  return "unknown";
}

Unit UnitFromName(const std::string& name) {
  for (const Unit unit : {Unit::kPairs, Unit::kPools, Unit::kResponse}) {
    if (UnitName(unit) == name) return unit;
  }
  throw Error(ErrorKind::kInput, fmt::format("policy: unit can be pairs, pools or response, not \"{}\"", name));
}

Policy PolicyOf(const std::string& name, Unit unit, const Json& thresholds, const Json& calibration) {
  if (unit == Unit::kResponse) {
    const Parameters parameters = ParametersFromJson(thresholds);
    Policy policy = MakePeerPolicy(name, parameters);
    if (policy.parameters != parameters)
      throw Error(ErrorKind::kInput, fmt::format("policy: thresholds lacks a parameter of {}", name));
    return policy;
  }
  const Thresholds quoted = ThresholdsFromJson(thresholds);
  return calibration.is_null() ? MakePolicy(name, quoted, unit) : MakeCalibratedPolicy(CalibrationFromJson(calibration));
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

Json ToJson(const Parameters& parameters) {
  Json json = Json::object();
  for (const auto& [name, value] : parameters) json[name] = value;
  return json;
}

Json ToJson(const Policy& policy) {
  return {{"name", policy.name},
          {"version", policy.version},
          {"unit", UnitName(policy.unit)},
          {"thresholds", policy.peer ? ToJson(policy.parameters) : ToJson(policy.thresholds)},
          {"calibration", policy.calibration ? ToJson(*policy.calibration) : Json(nullptr)}};
}

Policy PolicyFromJson(const Json& json) {
  JsonFields fields(json, "policy");
  const auto name = fields.Get<std::string>("name");
  const int version = fields.Get<int>("version");
  const Unit unit = UnitFromName(fields.Get<std::string>("unit"));
  const Json& thresholds = fields.At("thresholds");
  const Json& calibration = fields.At("calibration");
  fields.Finish();
  if (unit == Unit::kResponse && !calibration.is_null())
    throw Error(ErrorKind::kInput, fmt::format("policy: {} has no use for a calibration", name));
  try {
    Policy policy = PolicyOf(name, unit, thresholds, calibration);
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
