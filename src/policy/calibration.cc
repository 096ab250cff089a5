#include "policy/calibration.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "policy/sampling_check.h"

namespace verillm {
namespace {

constexpr int kCalibrationVersion = 2;
constexpr std::uint64_t kMaxCalibrationBytes = std::uint64_t{16} << 20;
constexpr std::string_view kScoreNames[kScores] = {"element error", "worst element error", "worst relative error", "scale error",
                                                   "sampling margin"};
// Scores of the states, which share the exceedance rate; the sampling margin has one of its own.
constexpr std::size_t kStateScores = kScores - 1;

// Honest values that lie beyond a threshold at least, where it is placed.
constexpr double kLeastBeyond = 3;
// The extreme may lie this many times further out in probability than the data reach.
constexpr double kMostExtrapolation = 1000;
// Positions of a response over which its false-positive rate is spread for the extremes.
constexpr double kPositions = 100;
// Extremes are extrapolated with an exponential tail, which is heavier than that of the scores (they are means of many elements);
// this share of honest values counts as the tail.
constexpr double kTail = 0.02;
// States that agree to the last bit have no logarithm; this is far below any rounding.
constexpr double kLeastError = 1e-9;
constexpr double kLeastDeviation = 1e-6;

double LogError(std::optional<double> error) {
  if (!error) return std::numeric_limits<double>::infinity();
  return std::log(std::max(*error, kLeastError));
}

struct Moments {
  double n = 0, sum = 0, squares = 0;
  void Add(double value) {
    n += 1;
    sum += value;
    squares += value * value;
  }
  double mean() const { return sum / n; }
  double deviation() const { return std::max(kLeastDeviation, std::sqrt(std::max(0.0, squares / n - mean() * mean()))); }
  double root_mean_square() const { return std::max(kLeastDeviation, std::sqrt(squares / n)); }
};

bool Usable(const PairDiscrepancy& pair) { return pair.statistics.n_nonfinite == 0 && pair.statistics.n_elements > 0; }

// The smallest value that at most `share` of the sorted `values` exceed.
double UpperQuantile(const std::vector<double>& values, double share) {
  const auto beyond = static_cast<std::size_t>(share * static_cast<double>(values.size()));
  return values[values.size() - 1 - std::min(beyond, values.size() - 1)];
}

// Where honest positions end, from the sorted scores of one pair of devices.
ScoreLimits LimitsOf(const std::vector<double>& values, double exceedance, double extreme_probability) {
  ScoreLimits limits;
  limits.threshold = UpperQuantile(values, exceedance);
  const double tail_begin = UpperQuantile(values, kTail);
  double sum = 0;
  double n = 0;
  for (auto value = values.rbegin(); value != values.rend() && *value > tail_begin; ++value) {
    sum += *value - tail_begin;
    n += 1;
  }
  const double scale = n > 0 ? sum / n : 0;
  limits.extreme = std::max(tail_begin + scale * std::log(kTail / extreme_probability), values.back() + scale);
  return limits;
}

}  // namespace

std::string_view ScoreName(Score score) { return kScoreNames[static_cast<std::size_t>(score)]; }

std::vector<PositionScores> ScorePositions(const std::map<CapturePoint, HonestPoint>& points,
                                           const ResponseDiscrepancy& response) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  struct Sums {
    double n = 0, sum = 0;
    double worst_element = -kInfinity, worst_relative = -kInfinity, worst_scale = 0;
  };
  std::map<int, Sums> by_position;
  for (const int position : response.positions) by_position[position];
  for (const PairDiscrepancy& pair : response.pairs) {
    if (pair.point == CapturePoint::Layer(0)) continue;
    const auto honest = points.find(pair.point);
    if (honest == points.end()) {
      throw Error(ErrorKind::kUsage, fmt::format("the calibration does not know capture point {}; compare those that it learned",
                                                 pair.point.Name()));
    }
    const HonestPoint& point = honest->second;
    const bool usable = Usable(pair);
    const double element = usable ? (LogError(pair.element_error) - point.element_mean) / point.element_deviation : kInfinity;
    const double relative =
        usable ? (LogError(pair.statistics.RelativeError()) - point.relative_mean) / point.relative_deviation : kInfinity;
    const std::optional<double> scale = pair.statistics.ScaleError();
    Sums& sums = by_position[pair.position];
    sums.n += 1;
    sums.sum += element;
    sums.worst_element = std::max(sums.worst_element, element);
    sums.worst_relative = std::max(sums.worst_relative, relative);
    sums.worst_scale = std::max(sums.worst_scale, usable && scale ? std::abs(*scale) / point.scale_deviation : kInfinity);
  }
  std::size_t n_wanted = 0;
  for (const CapturePoint point : response.plan.points) n_wanted += point != CapturePoint::Layer(0);

  std::vector<PositionScores> scores;
  for (const auto& [position, sums] : by_position) {
    PositionScores of_position;
    const auto set = [&](Score score, double value) { of_position[static_cast<std::size_t>(score)] = value; };
    if (n_wanted > 0) {
      const bool missing = static_cast<std::size_t>(sums.n) < n_wanted;
      if (n_wanted == points.size()) set(Score::kElementError, missing ? kInfinity : sums.sum / sums.n);
      set(Score::kWorstElementError, missing ? kInfinity : sums.worst_element);
      set(Score::kWorstRelativeError, missing ? kInfinity : sums.worst_relative);
      set(Score::kScaleError, missing ? kInfinity : sums.worst_scale);
    }
    if (response.margins && response.margins->size() == response.positions.size()) {
      set(Score::kSamplingMargin, (*response.margins)[scores.size()]);
    }
    scores.push_back(of_position);
  }
  return scores;
}

std::optional<double> StateScore(const Calibration& calibration, const PositionScores& scores) {
  std::optional<double> largest;
  for (std::size_t i = 0; i < kStateScores; ++i) {
    if (!scores[i]) continue;
    const ScoreLimits& limits = calibration.limits[i];
    const double score = (*scores[i] - limits.threshold) / std::max(limits.extreme - limits.threshold, kLeastDeviation);
    largest = std::max(largest.value_or(score), score);
  }
  return largest;
}

void CheckFalsePositiveRate(double rate) {
  if (rate > 0 && rate < 1) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("a false-positive rate of {} makes no sense: choose between 0 and 1, such as 1e-4", rate));
}

std::size_t PositionsNeeded(double false_positive_rate, double exceedance_rate) {
  const double for_thresholds = kLeastBeyond * static_cast<double>(kStateScores) / exceedance_rate;
  const double for_extremes = static_cast<double>(kStateScores) * kPositions / (false_positive_rate * kMostExtrapolation);
  return static_cast<std::size_t>(std::ceil(std::max(for_thresholds, for_extremes)));
}

Calibration Calibrate(const ModelIdentity& model, StateType states, double false_positive_rate, std::span<const HonestRun> runs) {
  CheckFalsePositiveRate(false_positive_rate);
  if (runs.empty()) throw Error(ErrorKind::kInput, "there are no honest runs to learn from");
  Calibration calibration;
  calibration.model = model;
  calibration.states = states;
  calibration.false_positive_rate = false_positive_rate;

  struct PointMoments {
    Moments element, relative, scale;
  };
  std::map<CapturePoint, PointMoments> moments;
  std::map<std::pair<std::string, std::string>, CalibratedPair> pairs;
  std::set<std::string> conditions;
  for (const HonestRun& run : runs) {
    if (run.discrepancy.plan.points != runs.front().discrepancy.plan.points || !run.discrepancy.failures.empty() ||
        run.discrepancy.pairs.size() != run.discrepancy.n_expected()) {
      throw Error(ErrorKind::kInput, fmt::format("the run of {} verified by {} is not whole, or of other capture points: {}",
                                                 run.prover, run.verifier, fmt::join(run.discrepancy.failures, "; ")));
    }
    CalibratedPair& pair = pairs[{run.prover, run.verifier}];
    pair.prover = run.prover;
    pair.verifier = run.verifier;
    pair.engine = run.engine;
    pair.n_responses += 1;
    pair.n_positions += run.discrepancy.positions.size();
    calibration.longest_response = std::max(calibration.longest_response, run.discrepancy.positions.size());
    conditions.insert(run.condition);
    for (const PairDiscrepancy& compared : run.discrepancy.pairs) {
      if (!Usable(compared)) {
        throw Error(ErrorKind::kInput, fmt::format("capture point {} at position {} of a run of {} is not finite",
                                                   compared.point.Name(), compared.position, run.prover));
      }
      if (compared.point == CapturePoint::Layer(0)) {
        calibration.embedding_error = std::max(calibration.embedding_error, compared.statistics.RelativeError().value_or(0));
        continue;
      }
      PointMoments& point = moments[compared.point];
      point.element.Add(LogError(compared.element_error));
      point.relative.Add(LogError(compared.statistics.RelativeError()));
      point.scale.Add(compared.statistics.ScaleError().value_or(0));
    }
  }
  for (const auto& [point, of_point] : moments) {
    calibration.points[point] = {.element_mean = of_point.element.mean(),
                                 .element_deviation = of_point.element.deviation(),
                                 .relative_mean = of_point.relative.mean(),
                                 .relative_deviation = of_point.relative.deviation(),
                                 .scale_deviation = of_point.scale.root_mean_square()};
  }
  calibration.conditions.assign(conditions.begin(), conditions.end());

  const std::size_t needed = PositionsNeeded(false_positive_rate, calibration.exceedance_rate);
  for (const auto& [names, pair] : pairs) {
    if (pair.n_positions < needed) {
      throw Error(ErrorKind::kInput,
                  fmt::format("{} to {}: {} honest positions are too few for a false-positive rate of {}: {} are needed, {} "
                              "responses of this length",
                              pair.prover, pair.verifier, pair.n_positions, false_positive_rate, needed,
                              (needed * pair.n_responses + pair.n_positions - 1) / std::max<std::size_t>(pair.n_positions, 1)));
    }
    calibration.pairs.push_back(pair);
  }

  // The limits are those of the noisiest pair, so that each honest pair keeps the rates.
  for (const CalibratedPair& pair : calibration.pairs) {
    std::array<std::vector<double>, kScores> values;
    for (const HonestRun& run : runs) {
      if (run.prover != pair.prover || run.verifier != pair.verifier) continue;
      for (const PositionScores& scores : ScorePositions(calibration.points, run.discrepancy)) {
        for (std::size_t i = 0; i < kScores; ++i) {
          if (scores[i]) values[i].push_back(*scores[i]);
        }
      }
    }
    for (std::size_t i = 0; i < kScores; ++i) {
      if (values[i].empty()) continue;
      std::sort(values[i].begin(), values[i].end());
      const double share = i < kStateScores ? 1.0 / kStateScores : 1.0;
      const ScoreLimits limits = LimitsOf(values[i], calibration.exceedance_rate * share,
                                          false_positive_rate / (static_cast<double>(kStateScores) * kPositions));
      const bool first = &pair == &calibration.pairs.front();
      calibration.limits[i].threshold = first ? limits.threshold : std::max(limits.threshold, calibration.limits[i].threshold);
      calibration.limits[i].extreme = first ? limits.extreme : std::max(limits.extreme, calibration.limits[i].extreme);
    }
  }
  // Honest margins are 0 but for one token in some hundreds: too few to tell where their tail ends. So the extreme is never less
  // than what applies without calibration, and where sampling was not checked there is nothing to learn of it at all.
  ScoreLimits& margin = calibration.limits[static_cast<std::size_t>(Score::kSamplingMargin)];
  margin.extreme = std::max(margin.extreme, kUncalibratedSampling.extreme);
  if (std::all_of(runs.begin(), runs.end(), [](const HonestRun& run) { return !run.discrepancy.margins; })) {
    margin.threshold = kUncalibratedSampling.threshold;
  }
  return calibration;
}

Json ToJson(const Calibration& calibration) {
  Json pairs = Json::array();
  for (const CalibratedPair& pair : calibration.pairs) {
    pairs.push_back({{"prover", pair.prover},
                     {"verifier", pair.verifier},
                     {"engine", pair.engine},
                     {"n_responses", pair.n_responses},
                     {"n_positions", pair.n_positions}});
  }
  Json points = Json::object();
  for (const auto& [point, honest] : calibration.points) {
    points[point.Name()] = {{"element_mean", honest.element_mean},
                            {"element_deviation", honest.element_deviation},
                            {"relative_mean", honest.relative_mean},
                            {"relative_deviation", honest.relative_deviation},
                            {"scale_deviation", honest.scale_deviation}};
  }
  Json limits = Json::object();
  for (std::size_t i = 0; i < kScores; ++i) {
    limits[std::string(kScoreNames[i])] = {{"threshold", calibration.limits[i].threshold},
                                           {"extreme", calibration.limits[i].extreme}};
  }
  return {{"format", "verillm-calibration"},
          {"format_version", kCalibrationVersion},
          {"model", ToJson(calibration.model)},
          {"states", StateTypeName(calibration.states)},
          {"false_positive_rate", calibration.false_positive_rate},
          {"exceedance_rate", calibration.exceedance_rate},
          {"pairs", std::move(pairs)},
          {"longest_response", calibration.longest_response},
          {"conditions", calibration.conditions},
          {"prompts_digest", calibration.prompts_digest},
          {"embedding_error", calibration.embedding_error},
          {"points", std::move(points)},
          {"limits", std::move(limits)}};
}

Calibration CalibrationFromJson(const Json& json) {
  JsonFields fields(json, "calibration");
  fields.ExpectFormat("verillm-calibration", kCalibrationVersion);
  Calibration calibration;
  calibration.model = ModelIdentityFromJson(fields.At("model"));
  const auto states = fields.Get<std::string>("states");
  calibration.false_positive_rate = fields.Get<double>("false_positive_rate");
  calibration.exceedance_rate = fields.Get<double>("exceedance_rate");
  const Json& pairs = fields.At("pairs");
  calibration.longest_response = fields.Get<std::size_t>("longest_response");
  calibration.conditions = fields.Get<std::vector<std::string>>("conditions");
  calibration.prompts_digest = fields.Get<std::string>("prompts_digest");
  calibration.embedding_error = fields.Get<double>("embedding_error");
  const Json& points = fields.At("points");
  const Json& limits = fields.At("limits");
  fields.Finish();
  try {
    calibration.states = StateTypeFromName(states);
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, fmt::format("calibration: {}", error.what()));
  }
  const auto is_rate = [](double rate) { return rate > 0 && rate < 1; };
  if (!is_rate(calibration.false_positive_rate) || !(calibration.exceedance_rate > 0 && calibration.exceedance_rate < 0.05)) {
    throw Error(ErrorKind::kInput, fmt::format("calibration: rates of {} and {} make no sense", calibration.false_positive_rate,
                                               calibration.exceedance_rate));
  }
  if (!(calibration.embedding_error >= 0)) {
    throw Error(ErrorKind::kInput,
                fmt::format("calibration: an embedding_error of {} makes no sense", calibration.embedding_error));
  }
  if (!pairs.is_array() || !points.is_object() || points.empty() || !limits.is_object()) {
    throw Error(ErrorKind::kInput, "calibration: pairs, points or limits are not what belongs there");
  }
  for (const Json& entry : pairs) {
    JsonFields pair(entry, "calibration pair");
    calibration.pairs.push_back({.prover = pair.Get<std::string>("prover"),
                                 .verifier = pair.Get<std::string>("verifier"),
                                 .engine = pair.Get<std::string>("engine"),
                                 .n_responses = pair.Get<std::size_t>("n_responses"),
                                 .n_positions = pair.Get<std::size_t>("n_positions")});
    pair.Finish();
  }
  for (const auto& [name, entry] : points.items()) {
    JsonFields point(entry, fmt::format("calibration point {}", name));
    HonestPoint honest{.element_mean = point.Get<double>("element_mean"),
                       .element_deviation = point.Get<double>("element_deviation"),
                       .relative_mean = point.Get<double>("relative_mean"),
                       .relative_deviation = point.Get<double>("relative_deviation"),
                       .scale_deviation = point.Get<double>("scale_deviation")};
    point.Finish();
    if (!(honest.element_deviation > 0 && honest.relative_deviation > 0 && honest.scale_deviation > 0)) {
      throw Error(ErrorKind::kInput, fmt::format("calibration point {}: a deviation is not positive", name));
    }
    calibration.points[CapturePoint::FromName(name)] = honest;
  }
  JsonFields by_score(limits, "calibration limits");
  for (std::size_t i = 0; i < kScores; ++i) {
    JsonFields score(by_score.At(std::string(kScoreNames[i])), fmt::format("calibration limits of {}", kScoreNames[i]));
    calibration.limits[i] = {.threshold = score.Get<double>("threshold"), .extreme = score.Get<double>("extreme")};
    score.Finish();
    if (!(calibration.limits[i].extreme >= calibration.limits[i].threshold)) {
      throw Error(ErrorKind::kInput,
                  fmt::format("calibration limits of {}: the extreme lies below the threshold", kScoreNames[i]));
    }
  }
  by_score.Finish();
  return calibration;
}

Calibration ReadCalibration(const std::filesystem::path& path) {
  const std::string text = ReadFile(path, kMaxCalibrationBytes);
  try {
    return CalibrationFromJson(ParseJson(text, "calibration"));
  } catch (Error& error) {
    throw error.Within(path.string());
  }
}

std::string CheckApplies(const Calibration& calibration, const ModelIdentity& model, StateType states,
                         const DeviceIdentity& prover, const DeviceIdentity& verifier, std::size_t n_positions) {
  if (calibration.model.digest != model.digest) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the calibration is of \"{}\" {} with SHA-256 {}, not of \"{}\" {} with {}; calibrate "
                            "this model with verillm calibrate",
                            calibration.model.name, calibration.model.weight_type, calibration.model.digest, model.name,
                            model.weight_type, model.digest));
  }
  if (calibration.states != states) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the calibration is of states in {}, not {}; record in {}", StateTypeName(calibration.states),
                            StateTypeName(states), StateTypeName(calibration.states)));
  }
  const auto pair = std::find_if(calibration.pairs.begin(), calibration.pairs.end(), [&](const CalibratedPair& candidate) {
    return candidate.prover == prover.name && candidate.verifier == verifier.name;
  });
  if (pair == calibration.pairs.end()) {
    return fmt::format("the calibration has not learned {} to {}: its rates do not hold here", prover.name, verifier.name);
  }
  if (pair->engine != verifier.engine) {
    return fmt::format("the calibration was learned with {}, not {}", pair->engine, verifier.engine);
  }
  if (n_positions > calibration.longest_response) {
    return fmt::format("the calibration has learned responses of up to {} tokens: its rates do not hold for {}",
                       calibration.longest_response, n_positions);
  }
  return "";
}

}  // namespace verillm
