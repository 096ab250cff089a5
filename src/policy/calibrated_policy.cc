#include "policy/calibrated_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "policy/rules.h"
#include "policy/sampling_check.h"
#include "policy/sequential_decision.h"

namespace verillm {
namespace {

// A cheat on states shows in at least every second position, unless it touches a few, which extremes are for.
constexpr double kDishonestRate = 0.5;
constexpr double kFalseAcceptance = 0.01;

// Positions whose embeddings differ more than honest ones, with their relative error.
std::map<int, double> WrongEmbeddings(const Calibration& calibration, const ResponseDiscrepancy& response) {
  std::map<int, double> wrong;
  for (const PairDiscrepancy& pair : response.pairs) {
    if (pair.point != CapturePoint::Layer(0)) continue;
    const std::optional<double> error = pair.statistics.RelativeError();
    if (!error || *error > calibration.embedding_error) wrong[pair.position] = error.value_or(1);
  }
  return wrong;
}

CalibratedResult JudgeStates(const Calibration& calibration, const ResponseDiscrepancy& response, double alpha) {
  const std::vector<PositionScores> scores = ScorePositions(calibration.points, response);
  const std::map<int, double> wrong_embeddings = WrongEmbeddings(calibration, response);
  SequentialDecision test(calibration.exceedance_rate, kDishonestRate, alpha, kFalseAcceptance);
  std::size_t n_exceeding = 0;
  std::size_t accepted_after = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const int position = response.positions[i];
    if (const auto wrong = wrong_embeddings.find(position); wrong != wrong_embeddings.end()) {
      return {Verdict::kReject,
              fmt::format("the embeddings at position {} are not those of its token (relative error {:.3g}, honest {:.3g})",
                          position, wrong->second, calibration.embedding_error),
              i + 1};
    }
    bool exceeds = false;
    for (std::size_t s = 0; s < kScores; ++s) {
      const std::optional<double> score = scores[i][s];
      if (!score || static_cast<Score>(s) == Score::kSamplingMargin) continue;
      if (*score > calibration.limits[s].extreme) {
        return {Verdict::kReject,
                fmt::format("the {} at position {} is beyond anything honest ({:.4g} > {:.4g} deviations)",
                            ScoreName(static_cast<Score>(s)), position, *score, calibration.limits[s].extreme),
                i + 1};
      }
      exceeds |= *score > calibration.limits[s].threshold;
    }
    n_exceeding += exceeds;
    test.Add(exceeds);
    if (test.Rejects()) {
      return {Verdict::kReject,
              fmt::format("the states of {} of the first {} positions exceed what 1 in {:.0f} honest ones does", n_exceeding,
                          i + 1, 1 / calibration.exceedance_rate),
              i + 1};
    }
    if (accepted_after == 0 && test.Accepts()) accepted_after = i + 1;
  }
  if (std::all_of(response.plan.points.begin(), response.plan.points.end(),
                  [](CapturePoint point) { return point == CapturePoint::Layer(0); })) {
    return {Verdict::kInconclusive, "only embeddings were compared, which anybody has who knows the tokens", scores.size()};
  }
  if (accepted_after > 0) {
    return {Verdict::kAccept,
            fmt::format("the states of {} of {} positions exceed the honest thresholds", n_exceeding, scores.size()),
            accepted_after};
  }
  return {
      Verdict::kInconclusive,
      scores.size() < test.positions_to_accept()
          ? fmt::format("the states of {} positions are too few to decide: {} are needed where none exceeds its threshold",
                        scores.size(), test.positions_to_accept())
          : fmt::format("the states of {} of {} positions exceed the honest thresholds, too many to accept and too few to reject",
                        n_exceeding, scores.size()),
      scores.size()};
}

}  // namespace

CalibratedResult JudgeCalibrated(const Calibration& calibration, const ResponseDiscrepancy& response) {
  if (!response.failures.empty()) return {Verdict::kReject, response.failures.front(), 0};
  const double alpha = calibration.false_positive_rate / 2;
  std::vector<CalibratedResult> parts;
  if (!response.plan.points.empty()) parts.push_back(JudgeStates(calibration, response, alpha));
  if (response.margins) {
    const ScoreLimits& limits = calibration.limits_of(Score::kSamplingMargin);
    SamplingResult sampling =
        JudgeSampling(*response.margins, {limits.threshold, limits.extreme, calibration.exceedance_rate}, alpha);
    parts.push_back({sampling.verdict, std::move(sampling.reason), sampling.decided_after});
  }
  if (parts.empty() || response.positions.empty()) return {Verdict::kInconclusive, "nothing was to be compared", 0};

  // One rejection decides, the earlier of two; acceptance needs all.
  CalibratedResult result = parts.front();
  for (const CalibratedResult& part : parts) {
    if (&part == &parts.front()) continue;
    if (part.verdict == Verdict::kReject && (result.verdict != Verdict::kReject || part.decided_after < result.decided_after)) {
      result = part;
    } else if (result.verdict != Verdict::kReject && part.verdict != Verdict::kReject) {
      const bool both = result.verdict == part.verdict;
      if (both) {
        result.reason += "; " + part.reason;
      } else if (part.verdict == Verdict::kInconclusive) {
        result.reason = part.reason;
      }
      result.verdict = both ? result.verdict : Verdict::kInconclusive;
      result.decided_after = std::max(result.decided_after, part.decided_after);
    }
  }
  return result;
}

Failure JudgeCalibratedPair(const Calibration& calibration, const PairDiscrepancy& pair) {
  if (Failure failure = JudgeElements(pair.statistics); !failure.empty()) return failure;
  if (pair.point == CapturePoint::Layer(0)) {
    const double error = pair.statistics.RelativeError().value_or(1);
    return error > calibration.embedding_error ? fmt::format("relative error {:.4g} > {:.4g}", error, calibration.embedding_error)
                                               : Failure();
  }
  const auto honest = calibration.points.find(pair.point);
  if (honest == calibration.points.end()) return "the calibration does not know this capture point";
  const double extreme = calibration.limits_of(Score::kWorstElementError).extreme;
  const double most = std::exp(honest->second.element_mean + extreme * honest->second.element_deviation);
  const double error = pair.element_error.value_or(1);
  return error > most ? fmt::format("element error {} > {:.4g}", ShowBeside(error, most), most) : Failure();
}

}  // namespace verillm
