#include "policy/peer_policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "policy/peer_rules.h"
#include "policy/rules.h"

namespace verillm {
namespace {

const std::vector<PeerMethod>& Methods() {
  static const std::vector<PeerMethod> methods = {ToplocMethod(),    ToplocDeployedMethod(), ActivationDifrMethod(),
                                                  TokenDifrMethod(), GrailMethod(),          ResiduesMethod()};
  return methods;
}

std::vector<PeerMethod>::const_iterator Find(std::string_view name) {
  return std::find_if(Methods().begin(), Methods().end(), [&](const PeerMethod& known) { return known.name == name; });
}

// Written so that NaN fails too.
void CheckParameter(const PeerMethod& method, std::string_view name, double value) {
  const auto range =
      std::find_if(method.ranges.begin(), method.ranges.end(), [&](const ParameterRange& known) { return known.name == name; });
  if (range == method.ranges.end()) {
    std::vector<std::string_view> names;
    for (const ParameterRange& known : method.ranges) names.push_back(known.name);
    throw Error(ErrorKind::kUsage,
                fmt::format("policy {} has no parameter \"{}\": choose one of {}", method.name, name, fmt::join(names, ", ")));
  }
  if (!(value >= range->least && value <= range->most) || (range->is_whole && value != std::floor(value))) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} = {} makes no sense for policy {}: choose {} from {} to {}", name, value, method.name,
                            range->is_whole ? "a whole number" : "a number", range->least, range->most));
  }
}

}  // namespace

void JudgeScore(std::string_view what, double score, std::string_view no_threshold, const Parameters& parameters,
                PolicyResult& result) {
  result.peer->score = score;
  result.total_count = 1;
  const auto threshold = parameters.find("threshold");
  if (threshold == parameters.end()) {
    result.verdict = Verdict::kInconclusive;
    result.reason = fmt::format("the {} is {:.4g}; {}", what, score, no_threshold);
    return;
  }
  const bool accepted = score <= threshold->second;
  result.verdict = accepted ? Verdict::kAccept : Verdict::kReject;
  result.accept_count = accepted;
  result.reason =
      fmt::format("the {} is {} ({} {})", what, ShowBeside(score, threshold->second), accepted ? "<=" : ">", threshold->second);
}

Parameters WithDefaults(Parameters given, Parameters defaults) {
  given.merge(std::move(defaults));
  return given;
}

std::vector<std::string_view> PeerPolicyNames() {
  std::vector<std::string_view> names;
  for (const PeerMethod& method : Methods()) names.push_back(method.name);
  return names;
}

bool IsPeerPolicy(std::string_view name) { return Find(name) != Methods().end(); }

Policy MakePeerPolicy(std::string_view name, const Parameters& given) {
  const auto method = Find(name);
  if (method == Methods().end()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("unknown method \"{}\": choose one of {}", name, fmt::join(PeerPolicyNames(), ", ")));
  }
  for (const auto& [parameter, value] : given) CheckParameter(*method, parameter, value);
  Policy policy;
  policy.name = std::string(method->name);
  policy.version = method->version;
  policy.source = std::string(method->source);
  policy.unit = Unit::kResponse;
  policy.peer = &*method;
  policy.parameters = method->complete(given);
  return policy;
}

bool NeedsFinalRows(const Policy& policy) { return policy.peer != nullptr && policy.peer->needs_final_rows; }

void CheckCanJudge(const Policy& policy, const CapturePlan& plan, bool check_sampling) {
  if (policy.peer == nullptr) return;
  if (NeedsFinalRows(policy) && !plan.Contains(CapturePoint::Final())) {
    throw Error(ErrorKind::kUsage,
                fmt::format("policy {} judges the states after the final norm, which are not to be compared", policy.name));
  }
  if (policy.peer->needs_16_bits && plan.type == StateType::kF32) {
    throw Error(ErrorKind::kUsage,
                fmt::format("policy {} judges states of 16 bits, not f32: record with --states bf16", policy.name));
  }
  if (!policy.peer->needs_final_rows && !check_sampling)
    throw Error(ErrorKind::kUsage,
                fmt::format("policy {} judges how tokens were chosen, which is not to be checked", policy.name));
}

void JudgeByPeer(const Policy& policy, const ResponseDiscrepancy& response, PolicyResult& result) {
  result.peer.emplace().parameters = policy.parameters;
  if (!response.failures.empty()) {
    result.verdict = Verdict::kReject;
    result.reason = fmt::format("{}", fmt::join(response.failures, "; "));
  } else if (response.positions.empty() ||
             (policy.peer->needs_final_rows ? !response.final_rows.has_value() : !response.margins.has_value())) {
    result.verdict = Verdict::kInconclusive;
    result.reason = fmt::format("there is nothing that the policy {} judges", policy.name);
  } else {
    policy.peer->judge(response, policy.parameters, result);
  }
}

}  // namespace verillm
