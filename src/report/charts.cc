#include "report/charts.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace verillm {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Blocks of positions, bins and cells along an axis: as many as a figure on a phone can show.
constexpr int kBlocks = 40;
constexpr int kBins = 40;
constexpr int kCells = 32;
// Values of which the largest is so many times the smallest are shown on a logarithmic axis.
constexpr double kLogRatio = 20;

// The mean of what is added; NaN of nothing.
struct MeanValue {
  double sum = 0;
  double n = 0;

  void Add(double value) {
    sum += value;
    n += 1;
  }
  double value() const { return n > 0 ? sum / n : kNan; }
};

// Layers by their number, `final` behind them.
double DepthOf(const std::string& point) {
  double layer = kInfinity;
  std::from_chars(point.data(), point.data() + point.size(), layer);
  return std::isnan(layer) ? kInfinity : layer;
}

std::vector<std::string> InOrder(std::vector<std::string> points) {
  std::stable_sort(points.begin(), points.end(),
                   [](const std::string& a, const std::string& b) { return DepthOf(a) < DepthOf(b); });
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

const Json& PointsOf(const Json& verification) { return verification.at("policies").at("paper").at("per_capture_point"); }

// Capture points as places: layers at their number, `final` one step further.
void PlacePoints(const std::vector<Group>& groups, Chart& chart) {
  for (const Group& group : groups) {
    for (const Json* verification : group.verifications) {
      for (const auto& [name, point] : PointsOf(*verification).items()) chart.place_names.push_back(name);
    }
  }
  chart.place_names = InOrder(std::move(chart.place_names));
  for (const std::string& name : chart.place_names) {
    const std::size_t n = chart.places.size();
    const double step = n < 2 ? 1 : chart.places[n - 1] - chart.places[n - 2];
    const double depth = DepthOf(name);
    chart.places.push_back(std::isfinite(depth) ? depth : n == 0 ? 0 : chart.places.back() + step);
  }
}

// A series a group with the mean of a field over its verifications, point by point.
void AddByDepth(const std::vector<Group>& groups, const char* field, const std::function<double(double)>& into,
                const std::function<double(double)>& back, Chart& chart) {
  PlacePoints(groups, chart);
  for (const Group& group : groups) {
    Series series{.name = group.name, .values = {}};
    for (const std::string& point : chart.place_names) {
      MeanValue mean;
      for (const Json* verification : group.verifications) {
        const Json& points = PointsOf(*verification);
        if (points.contains(point) && points.at(point).at(field).is_number())
          mean.Add(into(points.at(point).at(field).get<double>()));
      }
      series.values.push_back(back(mean.value()));
    }
    chart.series.push_back(std::move(series));
  }
  chart.drawn = DrawnOf(groups.size());
}

bool WantsLog(const Chart& chart) {
  double least = kInfinity;
  double most = 0;
  for (const Series& series : chart.series) {
    for (const double value : series.values) {
      if (!(value > 0)) continue;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
  return most > kLogRatio * least;
}

// Draws the groups that other figures draw, without the first, which has no series here.
void DrawAllButHonest(const std::vector<Group>& groups, Chart& chart) {
  chart.first_style = 1;
  for (const std::size_t drawn : DrawnOf(groups.size())) {
    if (drawn > 0) chart.drawn.push_back(drawn - 1);
  }
}

// The share of `sorted` values above `threshold`, in percent.
double PercentAbove(const std::vector<double>& sorted, double threshold) {
  const auto above = sorted.end() - std::upper_bound(sorted.begin(), sorted.end(), threshold);
  return 100.0 * static_cast<double>(above) / static_cast<double>(sorted.size());
}

std::optional<double> AreaIn(const Json& entry, const char* key) {
  if (!entry.contains(key) || entry.at(key).is_null() || !entry.at(key).at("auc").is_number()) return std::nullopt;
  return entry.at(key).at("auc").get<double>();
}

// After how many positions policy calibrated rejected; nullopt where it did not.
std::optional<double> RejectedAfter(const Json& verification) {
  const Json& calibrated = verification.at("policies").at("calibrated");
  if (calibrated.at("verdict") != "reject") return std::nullopt;
  return calibrated.at("decided_after").get<double>();
}

}  // namespace

Chart ErrorByDepth(const std::vector<Group>& groups) {
  Chart chart{.key = "error-by-depth",
              .title = "Relative error by depth",
              .text =
                  "Median over positions of the relative error between the prover's and the verifier's states. `0` are the "
                  "embeddings, `final` is the state after the last norm. Where states are equal to the last bit, the error is "
                  "0 and has no place on this axis.",
              .x = {.label = "capture point (layer)"},
              .y = {.label = "relative error", .is_log = true}};
  AddByDepth(
      groups, "median_relative_error", [](double error) { return std::log(error); }, [](double mean) { return std::exp(mean); },
      chart);
  return chart;
}

Chart PeByDepth(const std::vector<Group>& groups) {
  Chart chart{.key = "pe-by-depth",
              .title = "Pe by depth",
              .text = "Share of the elements whose sign or exponent differs, over all positions.",
              .x = {.label = "capture point (layer)"},
              .y = {.label = "Pe (% of elements)"}};
  AddByDepth(
      groups, "Pe", [](double share) { return 100 * share; }, [](double mean) { return mean; }, chart);
  chart.y.is_log = WantsLog(chart);
  for (const Group& group : groups) {
    if (group.verifications.empty() || chart.series.size() > groups.size()) continue;
    const Json& paper = group.verifications[0]->at("policies").at("paper");
    if (paper.value("policy", "") != "paper") continue;
    const double threshold = paper.at("thresholds").at("Pe").get<double>();
    chart.series.push_back(
        {.name = "threshold of policy paper", .values = std::vector(chart.places.size(), 100 * threshold), .is_guide = true});
  }
  return chart;
}

Chart ErrorByPosition(const std::vector<Group>& groups) {
  Chart chart{.key = "error-by-position",
              .title = "Relative error along the output",
              .text = "Geometric mean over the capture points beyond the embeddings, in blocks of positions.",
              .x = {.label = "output position (tokens)"},
              .y = {.label = "relative error", .is_log = true}};
  std::size_t n_positions = 0;
  const auto series_of = [](const Json* verification) -> const Json& {
    return verification->at("series").at("log_relative_error");
  };
  for (const Group& group : groups) {
    for (const Json* verification : group.verifications) n_positions = std::max(n_positions, series_of(verification).size());
  }
  const std::size_t block = (n_positions + kBlocks - 1) / kBlocks;
  for (std::size_t first = 0; first < n_positions; first += block) {
    const std::size_t last = std::min(first + block, n_positions);
    chart.places.push_back(0.5 * static_cast<double>(first + 1 + last));
  }
  for (const Group& group : groups) {
    std::vector<MeanValue> means(chart.places.size());
    for (const Json* verification : group.verifications) {
      const Json& errors = series_of(verification);
      for (std::size_t i = 0; i < errors.size(); ++i) {
        if (errors[i].is_number()) means[i / block].Add(errors[i].get<double>());
      }
    }
    Series series{.name = group.name, .values = {}};
    for (const MeanValue& mean : means) series.values.push_back(std::exp(mean.value()));
    chart.series.push_back(std::move(series));
  }
  chart.drawn = DrawnOf(groups.size());
  return chart;
}

AcceptMap AcceptMapOf(const std::vector<Group>& groups) {
  AcceptMap map{.key = "accepted",
                .title = "Where pairs were accepted",
                .text = "Share of the pairs (one position, one capture point) that the configured policy accepted."};
  for (const Group& group : groups) {
    MapPanel panel{.name = group.name, .counts = {}};
    for (const PairCounts* pairs : group.pairs) {
      for (const auto& [point, row] : *pairs) {
        for (const auto& [position, count] : row) panel.counts[point][position] += count;
      }
    }
    for (const auto& [point, row] : panel.counts) {
      map.points.push_back(point);
      map.n_positions = std::max(map.n_positions, row.rbegin()->first + 1);
    }
    if (!panel.counts.empty()) map.panels.push_back(std::move(panel));
  }
  map.points = InOrder(std::move(map.points));
  map.positions_per_cell = std::max(1, (map.n_positions + kCells - 1) / kCells);
  map.drawn = DrawnOf(map.panels.size());
  return map;
}

Chart ErrorDistribution(const std::vector<Group>& groups) {
  Chart chart{.key = "error-distribution",
              .title = "Distribution of the element error",
              .text = "How many positions have which element error. Curves that do not overlap are told apart by one position.",
              .x = {.label = "ln element error (centre of the bin)"},
              .y = {.label = "positions (% a bin)"}};
  std::vector<std::vector<double>> values;
  double least = kInfinity;
  double most = -kInfinity;
  for (const Group& group : groups) {
    values.push_back(ValuesOf(group, "log_element_error"));
    for (const double value : values.back()) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
  if (!(least < most) || !std::isfinite(most - least)) return chart;
  const double width = (most - least) / kBins;
  for (int bin = 0; bin < kBins; ++bin) chart.places.push_back(least + (bin + 0.5) * width);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Series series{.name = groups[i].name, .values = std::vector<double>(kBins, values[i].empty() ? kNan : 0)};
    for (const double value : values[i]) {
      const auto bin = std::min(static_cast<std::size_t>((value - least) / width), static_cast<std::size_t>(kBins - 1));
      series.values[bin] += 100.0 / static_cast<double>(values[i].size());
    }
    chart.series.push_back(std::move(series));
  }
  chart.drawn = DrawnOf(groups.size());
  return chart;
}

Chart RocByPosition(const std::vector<Group>& groups) {
  Chart chart{.key = "roc",
              .title = "What one position finds (ROC)",
              .text =
                  "A threshold on the element error of a single position, moved along: how many cheating positions lie above "
                  "it when so many honest ones do. The higher on the left, the better.",
              .x = {.label = "honest positions flagged (%)", .is_log = true},
              .y = {.label = "cheating positions found (%)"}};
  if (groups.empty() || groups[0].name != "honest") return chart;
  std::vector<double> honest = ValuesOf(groups[0], "log_element_error");
  if (honest.empty()) return chart;
  std::sort(honest.begin(), honest.end());
  // Eight thresholds a decade, from the largest honest value on.
  std::vector<double> thresholds;
  const auto n = static_cast<double>(honest.size());
  for (int step = 0; thresholds.empty() || thresholds.back() > -kInfinity; ++step) {
    const auto n_above = static_cast<std::size_t>(std::min(n, std::round(std::pow(10, step / 8.0))));
    const double threshold = n_above == honest.size() ? -kInfinity : honest[honest.size() - 1 - n_above];
    const double flagged = PercentAbove(honest, threshold);
    if (flagged == 0 || (!chart.places.empty() && flagged <= chart.places.back())) continue;
    thresholds.push_back(threshold);
    chart.places.push_back(flagged);
  }
  for (std::size_t i = 1; i < groups.size(); ++i) {
    std::vector<double> values = ValuesOf(groups[i], "log_element_error");
    std::sort(values.begin(), values.end());
    Series series{.name = groups[i].name, .values = {}};
    for (const double threshold : thresholds) series.values.push_back(values.empty() ? kNan : PercentAbove(values, threshold));
    chart.series.push_back(std::move(series));
  }
  DrawAllButHonest(groups, chart);
  chart.series.push_back({.name = "chance", .values = chart.places, .is_guide = true});
  return chart;
}

Chart AreaByPositions(const std::vector<Group>& groups, const Json& detection) {
  Chart chart{.key = "area-by-positions",
              .title = "Area under the curve by positions",
              .text =
                  "Probability that the mean element error of so many cheating positions lies above that of as many honest "
                  "ones: 1 is always, 0.5 is chance.",
              .x = {.label = "positions looked at", .is_log = true},
              .y = {.label = "area under the curve"}};
  if (groups.empty() || groups[0].name != "honest" || detection.empty()) return chart;
  for (std::size_t i = 1; i < groups.size(); ++i) {
    const auto entry =
        std::find_if(detection.begin(), detection.end(), [&](const Json& e) { return e.at("attack") == groups[i].name; });
    Series series{.name = groups[i].name, .values = {}};
    for (const char* key : {"element_error_one_position", "element_error_8_positions", "element_error_64_positions"})
      series.values.push_back(entry == detection.end() ? kNan : AreaIn(*entry, key).value_or(kNan));
    chart.series.push_back(std::move(series));
  }
  chart.places = {1, 8, 64};
  DrawAllButHonest(groups, chart);
  return chart;
}

Chart RejectedWithin(const std::vector<Group>& groups) {
  Chart chart{.key = "rejected-within",
              .title = "Positions needed",
              .text =
                  "Share of the verifications that the policy calibrated rejected within so many positions. Honest runs that "
                  "are rejected are false alarms.",
              .x = {.label = "positions looked at", .is_log = true},
              .y = {.label = "rejected (% of verifications)"}};
  double most = 1;
  for (const Group& group : groups) {
    Series series{.name = group.name, .values = {}};
    for (const Json* verification : group.verifications) {
      if (!verification->at("policies").contains("calibrated")) return chart;
      most = std::max(most, static_cast<double>(verification->at("series").at("log_element_error").size()));
    }
    chart.series.push_back(std::move(series));
  }
  for (double positions = 1; positions < 2 * most; positions *= 2) chart.places.push_back(std::min(positions, most));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    for (const double positions : chart.places) {
      MeanValue mean;
      for (const Json* verification : groups[i].verifications) {
        const std::optional<double> after = RejectedAfter(*verification);
        mean.Add(after && *after <= positions ? 100 : 0);
      }
      chart.series[i].values.push_back(mean.value());
    }
  }
  chart.drawn = DrawnOf(groups.size());
  return chart;
}

Chart MarginByPosition(const Json& margins) {
  Chart chart{.key = "margin-by-position",
              .title = "Sampling margin along the output",
              .text = "How far the verifier's logits are from explaining each token: 0 where they choose it themselves.",
              .x = {.label = "output position (tokens)"},
              .y = {.label = "margin (logits)"}};
  Series series{.name = "margin", .values = {}};
  for (const Json& margin : margins) {
    chart.places.push_back(static_cast<double>(chart.places.size() + 1));
    series.values.push_back(margin.is_number() ? margin.get<double>() : kNan);
  }
  chart.series = {std::move(series)};
  chart.drawn = {0};
  return chart;
}

}  // namespace verillm
