#include "experiment/result_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>

#include "base/error.h"
#include "base/file.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxResultBytes = std::uint64_t{4} << 30;

// State scores above it count as it: a row that is missing scores infinity, which JSON has no number for.
constexpr double kMostStateScore = 1e6;

// Shows the pairs of a result file while it is parsed and lets none of them stay: as keys of one object they would take quadratic
// time.
class PairReader {
 public:
  explicit PairReader(const PairVisitor& visit) : visit_(visit) {}

  // Whether the parser keeps the value; called as the parser's callback.
  bool Keep(int depth, nlohmann::json::parse_event_t event, const Json& parsed) {
    if (event == nlohmann::json::parse_event_t::key) {
      if (depth_ < 0 && parsed == Json("per_layer")) depth_ = depth;
      if (depth == depth_ + 1) key_ = parsed.get<std::string>();
    }
    if (event != nlohmann::json::parse_event_t::object_end || depth_ < 0) return true;
    if (depth == depth_ + 1) {
      visit_(verifier_, key_, parsed);
      return false;
    }
    if (depth > depth_) return true;
    const bool is_end_of_pairs = depth == depth_;
    depth_ = -1;
    verifier_ += 1;
    return !is_end_of_pairs;
  }

 private:
  const PairVisitor& visit_;
  int depth_ = -1;  // of the object of pairs that is being parsed; below 0 outside
  std::size_t verifier_ = 0;
  std::string key_;
};

}  // namespace

Json Rounded(double value) {
  return std::isfinite(value) ? Json(std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr)) : Json(nullptr);
}

Json Rounded(std::optional<double> value) { return value ? Rounded(*value) : Json(nullptr); }

Json ToJson(const PairStatistics& statistics) {
  return {{"n_elements", statistics.n_elements},
          {"n_nonfinite", statistics.n_nonfinite},
          {"Pe", Rounded(statistics.Pe())},
          {"Pm", Rounded(statistics.Pm())},
          {"Pw", Rounded(statistics.Pw())},
          {"exact_share", Rounded(statistics.ExactShare())},
          {"mean_error", Rounded(statistics.MeanAbsError())},
          {"mean_signed_error", Rounded(statistics.MeanError())},
          {"max_error", Rounded(statistics.max_abs_error)},
          {"relative_error", Rounded(statistics.RelativeError())}};
}

Json ToJson(const PolicyResult& result, const ResponseDiscrepancy& discrepancy) {
  Json points = Json::object();
  for (const PointResult& point : result.points) {
    Json entry = ToJson(point.pool);
    entry["median_relative_error"] = Rounded(MedianRelativeError(discrepancy, point.point));
    entry["accept_count"] = point.accept_count;
    entry["total_count"] = point.total_count;
    entry["pool_failure"] = point.pool_failure.empty() ? Json(nullptr) : Json(point.pool_failure);
    points[point.point.Name()] = std::move(entry);
  }
  Json measures = nullptr;
  if (result.peer) {
    for (const auto& [name, value] : result.peer->measures) measures[name] = Rounded(value);
  }
  return {{"policy", result.policy},
          {"policy_version", result.version},
          {"thresholds", result.peer ? ToJson(result.peer->parameters) : ToJson(result.thresholds)},
          {"verdict", VerdictName(result.verdict)},
          {"decided_after", result.decided_after ? Json(*result.decided_after) : Json(nullptr)},
          {"reason", result.reason},
          {"pools_accepted", result.pools_accepted() ? Json(*result.pools_accepted()) : Json(nullptr)},
          {"accept_rate", Rounded(result.accept_rate())},
          {"accept_count", result.accept_count},
          {"total_count", result.total_count},
          {"score", result.peer ? Rounded(result.peer->score) : Json(nullptr)},
          {"measures", std::move(measures)},
          {"per_capture_point", std::move(points)}};
}

Json ToJson(const std::vector<PartialAudit>& audits) {
  Json array = Json::array();
  for (const PartialAudit& audit : audits) {
    array.push_back({{"depth", audit.depth.Name()},
                     {"first_outputs", audit.first_outputs},
                     {"cost", Rounded(audit.cost)},
                     {"verdict", VerdictName(audit.verdict)}});
  }
  return array;
}

Json ToJson(const std::vector<ShortLook>& looks) {
  Json array = Json::array();
  for (const ShortLook& look : looks) {
    array.push_back({{"positions", look.positions}, {"n", look.n}, {"n_rejected", look.n_rejected}});
  }
  return array;
}

std::vector<CapturePoint> PublishedPoints(const CapturePlan& plan) {
  std::vector<CapturePoint> points;
  for (const CapturePoint point : plan.points) {
    if (!point.is_final() && point.layer() % 8 == 0) points.push_back(point);
  }
  return points;
}

std::optional<double> AcceptRateAt(const PolicyResult& result, const std::vector<CapturePoint>& points) {
  std::size_t accepted = 0;
  std::size_t total = 0;
  for (const PointResult& point : result.points) {
    if (std::find(points.begin(), points.end(), point.point) == points.end()) continue;
    accepted += point.accept_count;
    total += point.total_count;
  }
  if (total == 0) return std::nullopt;
  return static_cast<double>(accepted) / static_cast<double>(total);
}

Json PublishedStatistics(const PolicyResult& result, const ResponseDiscrepancy& discrepancy) {
  // Appended without looking for an equal key, which would take quadratic time.
  Json::object_t per_layer;
  const int first = discrepancy.positions.empty() ? 0 : discrepancy.positions.front();
  double sum_mean_error = 0;
  double sum_pe = 0;
  const auto verdict_of = [&](std::size_t pair) {
    if (result.pair_failures.empty()) return Json(nullptr);
    return Json(result.pair_failures[pair].empty() ? "ACCEPT" : "REJECT");
  };
  for (std::size_t i = 0; i < discrepancy.pairs.size(); ++i) {
    const PairDiscrepancy& pair = discrepancy.pairs[i];
    const PairStatistics& statistics = pair.statistics;
    sum_mean_error += statistics.MeanAbsError().value_or(0);
    sum_pe += statistics.Pe().value_or(0);

    Json entry = {// The published classes look at absolute errors alone, whatever their names say, and overlap.
                  {"exact_match", statistics.n_error_zero},
                  {"exp_match_large", statistics.n_error_above_02},
                  {"exp_match_small", statistics.n_finite() - statistics.n_error_zero - statistics.n_error_above_02},
                  {"exp_mismatch_large", statistics.n_error_above_5},
                  {"exp_mismatch_small", statistics.n_error_above_02 - statistics.n_error_above_5},
                  {"mean_error", Rounded(statistics.MeanAbsError())},
                  {"mean_signed_error", Rounded(statistics.MeanError())},
                  {"max_error", Rounded(statistics.max_abs_error)},
                  {"Pe", Rounded(statistics.Pe())},
                  {"Pm", Rounded(statistics.Pm())},
                  {"Pw", Rounded(statistics.Pw())},
                  {"relative_error", Rounded(statistics.RelativeError())},
                  {"element_error", Rounded(pair.element_error)},
                  {"verdict", verdict_of(i)}};
    per_layer.emplace_back(fmt::format("token_{}_layer_{}", pair.position - first, pair.point.Name()), std::move(entry));
  }
  const double n_pairs = static_cast<double>(std::max<std::size_t>(discrepancy.pairs.size(), 1));
  std::vector<CapturePoint> beyond_embeddings;
  for (const CapturePoint point : discrepancy.plan.points) {
    if (point > CapturePoint::Layer(0)) beyond_embeddings.push_back(point);
  }
  return {{"per_layer", std::move(per_layer)},
          {"summary",
           {{"accept_rate", Rounded(result.accept_rate())},
            {"accept_count", result.accept_count},
            {"total_count", result.total_count},
            {"avg_mean_error", Rounded(sum_mean_error / n_pairs)},
            {"avg_Pe", Rounded(sum_pe / n_pairs)},
            {"accept_rate_without_embeddings", Rounded(AcceptRateAt(result, beyond_embeddings))},
            {"accept_rate_published_plan", Rounded(AcceptRateAt(result, PublishedPoints(discrepancy.plan)))}}}};
}

Json ErrorSeries(const ResponseDiscrepancy& discrepancy, const Calibration* calibration) {
  // Sums for the mean and, over the layers, for the regression line of y = ln(relative error) on x = layer.
  struct Sums {
    double n_points = 0, sum_points = 0, sum_elements = 0;
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  };
  std::map<int, Sums> by_position;
  for (const int position : discrepancy.positions) by_position[position];
  for (const PairDiscrepancy& pair : discrepancy.pairs) {
    const double error = pair.statistics.RelativeError().value_or(0);
    if (error <= 0 || pair.point == CapturePoint::Layer(0)) continue;
    Sums& sums = by_position[pair.position];
    const double y = std::log(error);
    sums.n_points += 1;
    sums.sum_points += y;
    sums.sum_elements += LogElementError(pair);
    if (pair.point.is_final()) continue;
    const double x = pair.point.layer();
    sums.n += 1;
    sums.x += x;
    sums.y += y;
    sums.xx += x * x;
    sums.xy += x * y;
  }
  Json errors = Json::array();
  Json elements = Json::array();
  Json slopes = Json::array();
  for (const auto& [position, sums] : by_position) {
    errors.push_back(sums.n_points > 0 ? Rounded(sums.sum_points / sums.n_points) : Json(nullptr));
    elements.push_back(sums.n_points > 0 ? Rounded(sums.sum_elements / sums.n_points) : Json(nullptr));
    slopes.push_back(sums.n > 1 ? Rounded((sums.n * sums.xy - sums.x * sums.y) / (sums.n * sums.xx - sums.x * sums.x))
                                : Json(nullptr));
  }
  Json series = {
      {"log_relative_error", std::move(errors)}, {"log_element_error", std::move(elements)}, {"depth_slope", std::move(slopes)}};
  if (discrepancy.margins) {
    Json margins = Json::array();
    for (const double margin : *discrepancy.margins) margins.push_back(Rounded(margin));
    series["margin"] = std::move(margins);
  }
  if (calibration != nullptr) {
    Json scores = Json::array();
    for (const PositionScores& of_position : ScorePositions(calibration->points, discrepancy)) {
      std::optional<double> score = StateScore(*calibration, of_position);
      if (score) score = std::min(*score, kMostStateScore);
      scores.push_back(Rounded(score));
    }
    series["state_score"] = std::move(scores);
  }
  return series;
}

Json ReadResult(const std::filesystem::path& path, const PairVisitor& visit) {
  const std::string text = ReadFile(path, kMaxResultBytes);
  const auto without_pairs = [](int, nlohmann::json::parse_event_t event, Json& parsed) {
    return event != nlohmann::json::parse_event_t::key || parsed != Json("per_layer");
  };
  PairReader reader(visit);
  const auto showing_pairs = [&](int depth, nlohmann::json::parse_event_t event, Json& parsed) {
    return reader.Keep(depth, event, parsed);
  };
  try {
    return visit ? Json::parse(text, showing_pairs) : Json::parse(text, without_pairs);
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is not JSON from byte {} on; remove it and run the experiment again",
                                               path.string(), error.byte));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kInput, fmt::format("{}: {}", path.string(), error.what()));  // a number that no double holds
  }
}

std::optional<double> MedianRelativeError(const ResponseDiscrepancy& discrepancy, CapturePoint point) {
  std::vector<double> errors;
  for (const PairDiscrepancy& pair : discrepancy.pairs) {
    if (pair.point != point) continue;
    if (const std::optional<double> error = pair.statistics.RelativeError()) errors.push_back(*error);
  }
  if (errors.empty()) return std::nullopt;
  const auto middle = errors.begin() + static_cast<std::ptrdiff_t>((errors.size() - 1) / 2);
  std::nth_element(errors.begin(), middle, errors.end());
  return *middle;
}

}  // namespace verillm
