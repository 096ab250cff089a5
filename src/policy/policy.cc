#include "policy/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "policy/calibrated_policy.h"
#include "policy/peer_policy.h"
#include "policy/rules.h"
#include "policy/sampling_check.h"

namespace verillm {
namespace {

// Of a response, where a policy with quoted thresholds checks sampling.
constexpr double kSamplingFalsePositives = 1e-4;

// A policy without its thresholds.
struct Rule {
  std::string_view name;
  int version;
  std::string_view source;
  Failure (*judge_pair)(const PairStatistics& pair, const Thresholds& thresholds);
  Failure (*judge_pool)(const PairStatistics& pool, const Thresholds& thresholds);
};

// In the order in which they are offered. Anything that changes a verdict changes the version.
constexpr std::array<Rule, 2> kRules = {{
    {"paper", 1, "VeriLLM, arXiv 2509.24257; shares are held against their thresholds by exact binomial tests", JudgePaper,
     JudgePaper},
    {"reference", 1, "github.com/Ed1sonL1-byte/verillm-experiments at 39a6e3a, src/analysis/statistics.py", JudgeReferencePair,
     nullptr},
}};

// Written so that NaN fails too.
void CheckShare(std::string_view name, double value) {
  if (!(value >= 0 && value <= 1)) {
    throw Error(ErrorKind::kUsage, fmt::format("threshold {} = {} lies outside [0, 1]", name, value));
  }
}

void CheckThresholds(const Thresholds& thresholds) {
  CheckShare("Pe", thresholds.pe);
  CheckShare("Pm", thresholds.pm);
  CheckShare("Pw", thresholds.pw);
  CheckShare("significance", thresholds.significance);
  CheckShare("accept_rate", thresholds.accept_rate);
  if (!(thresholds.mean_error >= 0) || !std::isfinite(thresholds.mean_error)) {
    throw Error(ErrorKind::kUsage, fmt::format("threshold mean_error = {} is negative or not finite", thresholds.mean_error));
  }
}

PointResult JudgePoint(const Policy& policy, const ResponseDiscrepancy& response, CapturePoint point,
                       const std::vector<Failure>& pair_failures) {
  PointResult result{
      .point = point, .pool = PoolOverPositions(response, point), .total_count = response.positions.size(), .pool_failure = {}};
  for (std::size_t i = 0; i < response.pairs.size(); ++i) {
    result.accept_count += response.pairs[i].point == point && pair_failures[i].empty();
  }
  if (policy.judge_pool && result.total_count > 0) result.pool_failure = policy.judge_pool(result.pool, policy.thresholds);
  return result;
}

std::string RejectedPairs(const PolicyResult& result, const ResponseDiscrepancy& response) {
  std::string text = fmt::format("only {} of {} pairs accepted ({} <= {})", result.accept_count, result.total_count,
                                 ShowBeside(result.accept_rate(), result.thresholds.accept_rate), result.thresholds.accept_rate);
  const auto first = std::find_if(result.pair_failures.begin(), result.pair_failures.end(),
                                  [](const Failure& failure) { return !failure.empty(); });
  if (first == result.pair_failures.end()) return text;
  const PairDiscrepancy& pair = response.pairs[static_cast<std::size_t>(first - result.pair_failures.begin())];
  return text +
         fmt::format(", the first rejected being capture point {} at position {}: {}", pair.point.Name(), pair.position, *first);
}

// The first rejected pool with its values, the others by name: all values stand in the results of the capture points. Empty where
// none is rejected.
std::string RejectedPools(const std::vector<PointResult>& points) {
  std::string text;
  std::vector<std::string> others;
  for (const PointResult& point : points) {
    if (point.pool_failure.empty()) continue;
    if (text.empty()) {
      text = fmt::format("capture point {} pooled: {}", point.point.Name(), point.pool_failure);
    } else {
      others.push_back(point.point.Name());
    }
  }
  if (!others.empty()) text += fmt::format(" ({} fail too)", fmt::join(others, ", "));
  return text;
}

std::string AcceptedPairs(const PolicyResult& result) {
  return fmt::format("{} of {} pairs accepted ({} > {})", result.accept_count, result.total_count,
                     ShowBeside(result.accept_rate(), result.thresholds.accept_rate), result.thresholds.accept_rate);
}

std::string AcceptedPools(const PolicyResult& result) {
  if (result.points.size() == 1) return fmt::format("capture point {} pooled is accepted", result.points.front().point.Name());
  return fmt::format("all {} capture points pooled are accepted", result.points.size());
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAccept:
      return "accept";
    case Verdict::kReject:
      return "reject";
    case Verdict::kInconclusive:
      return "inconclusive";
  }
  return "unknown";
}

std::vector<std::string_view> PolicyNames() {
  std::vector<std::string_view> names;
  for (const Rule& rule : kRules) names.push_back(rule.name);
  return names;
}

Policy MakePolicy(std::string_view name, const Thresholds& thresholds, Unit unit) {
  const auto rule = std::find_if(kRules.begin(), kRules.end(), [&](const Rule& candidate) { return candidate.name == name; });
  if (rule == kRules.end()) {
    throw Error(ErrorKind::kUsage, fmt::format("unknown policy \"{}\": choose one of {}, {}", name,
                                               fmt::join(PolicyNames(), ", "), fmt::join(PeerPolicyNames(), ", ")));
  }
  CheckThresholds(thresholds);
  if (unit == Unit::kResponse || (unit == Unit::kPools && rule->judge_pool == nullptr)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("policy {} judges {}", name, rule->judge_pool ? "pairs or pools" : "single pairs only, not pools"));
  }
  return {.name = std::string(rule->name),
          .version = rule->version,
          .source = std::string(rule->source),
          .thresholds = thresholds,
          .judge_pair = rule->judge_pair,
          .judge_pool = rule->judge_pool,
          .unit = unit};
}

double PolicyResult::accept_rate() const {
  return total_count == 0 ? 0.0 : static_cast<double>(accept_count) / static_cast<double>(total_count);
}

std::optional<bool> PolicyResult::pools_accepted() const {
  if (!pools_judged) return std::nullopt;
  return std::all_of(points.begin(), points.end(), [](const PointResult& point) { return point.pool_failure.empty(); });
}

Policy MakeCalibratedPolicy(Calibration calibration) {
  Policy policy;
  policy.name = "calibrated";
  policy.version = 1;
  policy.source = "honest runs, see the calibration";
  policy.calibration = std::make_shared<const Calibration>(std::move(calibration));
  return policy;
}

PolicyResult Evaluate(const Policy& policy, const ResponseDiscrepancy& response) {
  PolicyResult result;
  result.policy = policy.name;
  result.version = policy.version;
  result.thresholds = policy.thresholds;
  result.pools_judged = policy.judge_pool != nullptr;
  if (policy.peer != nullptr) {
    for (const CapturePoint point : response.plan.points)
      result.points.push_back({.point = point, .pool = PoolOverPositions(response, point), .pool_failure = {}});
    JudgeByPeer(policy, response, result);
    return result;
  }
  result.total_count = response.n_expected();
  for (const PairDiscrepancy& pair : response.pairs) {
    result.pair_failures.push_back(policy.calibration ? JudgeCalibratedPair(*policy.calibration, pair)
                                                      : policy.judge_pair(pair.statistics, policy.thresholds));
  }
  for (const CapturePoint point : response.plan.points) {
    result.points.push_back(JudgePoint(policy, response, point, result.pair_failures));
    // Counted by capture point, so that pairs outside the plan cannot stand in for missing ones.
    result.accept_count += result.points.back().accept_count;
  }

  if (policy.calibration) {
    CalibratedResult judged = JudgeCalibrated(*policy.calibration, response);
    result.verdict = judged.verdict;
    result.reason = std::move(judged.reason);
    result.decided_after = judged.decided_after;
    return result;
  }

  const bool pairs_accepted = result.accept_rate() > policy.thresholds.accept_rate;
  std::vector<std::string> grounds = response.failures;
  if (result.total_count > 0 && policy.unit == Unit::kPairs && !pairs_accepted)
    grounds.push_back(RejectedPairs(result, response));
  if (policy.unit == Unit::kPools && result.pools_accepted() == false) grounds.push_back(RejectedPools(result.points));

  std::optional<SamplingResult> sampling;
  if (response.margins) {
    sampling = JudgeSampling(*response.margins, kUncalibratedSampling, kSamplingFalsePositives);
    if (sampling->verdict == Verdict::kReject) grounds.push_back(sampling->reason);
  }

  if (!grounds.empty()) {
    result.verdict = Verdict::kReject;
    result.reason = fmt::format("{}", fmt::join(grounds, "; "));
  } else if (result.total_count == 0 && !sampling) {
    result.verdict = Verdict::kInconclusive;
    result.reason = fmt::format("nothing was to be compared: {} capture points, {} positions", response.plan.points.size(),
                                response.positions.size());
  } else {
    // Too few tokens to tell how they were chosen leave the verdict to the states, where there are any.
    result.verdict = result.total_count > 0 ? Verdict::kAccept : sampling->verdict;
    if (result.total_count > 0) result.reason = policy.unit == Unit::kPairs ? AcceptedPairs(result) : AcceptedPools(result);
    if (sampling) {
      result.reason += fmt::format("{}{}", result.reason.empty() ? "" : "; ",
                                   sampling->verdict == Verdict::kAccept ? "tokens chosen as asked" : sampling->reason);
    }
  }
  return result;
}

PolicyResult EvaluateLogged(const Policy& policy, const ResponseDiscrepancy& response) {
  const LoggedTime timed(fmt::format("judging by policy {}", policy.name));
  return Evaluate(policy, response);
}

Failure JudgeElements(const PairStatistics& statistics) {
  if (statistics.n_elements == 0) return "no elements to compare";
  if (statistics.n_nonfinite > 0) {
    return fmt::format("{} of {} elements are not finite", statistics.n_nonfinite, statistics.n_elements);
  }
  return {};
}

std::string ShowBeside(double value, double threshold) {
  for (int digits = 4; digits < 17; ++digits) {
    std::string shown = fmt::format("{:.{}g}", value, digits);
    if (value == threshold || shown != fmt::format("{:.{}g}", threshold, digits)) return shown;
  }
  return fmt::format("{}", value);
}

void AddFailure(Failure& failures, const Failure& failure) {
  if (!failures.empty() && !failure.empty()) failures += " and ";
  failures += failure;
}

}  // namespace verillm
