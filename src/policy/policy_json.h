// A policy as JSON, so that a verdict can be repeated by somebody else (docs/formats.md).
#ifndef VERILLM_POLICY_POLICY_JSON_H_
#define VERILLM_POLICY_POLICY_JSON_H_

#include "base/json.h"
#include "policy/policy.h"

namespace verillm {

Json ToJson(const Thresholds& thresholds);
Json ToJson(const Parameters& parameters);

// With its calibration, where it has one. In the place of thresholds a method of others has its parameters.
Json ToJson(const Policy& policy);

// The reverse. Error(kInput) for anything missing, unknown or out of range, and for another version of the policy.
Policy PolicyFromJson(const Json& json);

}  // namespace verillm

#endif  // VERILLM_POLICY_POLICY_JSON_H_
