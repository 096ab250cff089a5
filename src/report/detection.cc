#include "report/detection.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "experiment/windows.h"
#include "peers/difr.h"

namespace verillm {
namespace {

constexpr int kDraws = 400;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Responses = std::vector<std::vector<double>>;

std::vector<double> Flat(const Responses& responses) {
  std::vector<double> values;
  for (const auto& response : responses) values.insert(values.end(), response.begin(), response.end());
  return values;
}

// Pairs of a cheating value and an honest one below it, ties counted half; `honest` is sorted.
double CountAbove(const std::vector<double>& honest, const std::vector<double>& cheating) {
  double sum = 0;
  for (const double value : cheating) {
    const auto [first, last] = std::equal_range(honest.begin(), honest.end(), value);
    sum += static_cast<double>(first - honest.begin()) + 0.5 * static_cast<double>(last - first);
  }
  return sum;
}

// How often one way of looking at a part rejected.
struct PartCount {
  std::string depth;
  int first_outputs = 0;
  double sum_cost = 0;
  double n = 0;
  double n_rejected = 0;
};

// What is known of one attack.
struct Collected {
  Responses element_errors;                                            // ln, one a position
  Responses state_scores;                                              // one a position, where there is a calibration
  Responses margins;                                                   // the mean of the capped margins, one a response
  std::map<std::string, double> accept_rates;                          // summed, by policy
  std::map<std::string, std::map<std::string, std::size_t>> verdicts;  // by policy and verdict
  std::vector<double> decided_after;                                   // of rejections by the policy calibrated
  std::vector<PartCount> parts;                                        // in the order of the partial audits
  std::map<int, std::pair<std::size_t, std::size_t>> short_looks;      // by positions: rejected, of all
  std::size_t n_responses = 0;
};

void Collect(const Json& verifier, Collected& collected) {
  collected.n_responses += 1;
  const Json& series = verifier.at("series");
  // Responses without a value (all states identical, or none) have no place on a curve.
  const auto add = [&](const char* name, Responses& responses) {
    std::vector<double> values = NumbersIn(series.at(name));
    if (!values.empty()) responses.push_back(std::move(values));
  };
  add("log_element_error", collected.element_errors);
  if (series.contains("state_score")) add("state_score", collected.state_scores);
  if (series.contains("margin")) {
    const std::vector<double> margins = NumbersIn(series.at("margin"));
    if (!margins.empty()) collected.margins.push_back({MeanClippedMargin(margins, kMarginCap)});
  }
  if (verifier.contains("partial_audits")) {
    const Json& audits = verifier.at("partial_audits");
    collected.parts.resize(std::max(collected.parts.size(), audits.size()));
    for (std::size_t i = 0; i < audits.size(); ++i) {
      PartCount& part = collected.parts[i];
      part.depth = audits[i].at("depth").get<std::string>();
      part.first_outputs = audits[i].at("first_outputs").get<int>();
      part.sum_cost += audits[i].at("cost").get<double>();
      part.n += 1;
      part.n_rejected += audits[i].at("verdict") == "reject";
    }
  }
  if (verifier.contains("short_looks")) {
    for (const Json& look : verifier.at("short_looks")) {
      auto& [n_rejected, n] = collected.short_looks[look.at("positions").get<int>()];
      n_rejected += look.at("n_rejected").get<std::size_t>();
      n += look.at("n").get<std::size_t>();
    }
  }
  for (const auto& [name, policy] : verifier.at("policies").items()) {
    collected.accept_rates[name] += policy.at("accept_rate").is_number() ? policy.at("accept_rate").get<double>() : 0;
    const auto verdict = policy.at("verdict").get<std::string>();
    collected.verdicts[name][verdict] += 1;
    if (name == "calibrated" && verdict == "reject") collected.decided_after.push_back(policy.at("decided_after").get<double>());
  }
}

// Means over stretches of `length` positions; what is left at the end of a response is left out.
Responses Stretches(const Responses& responses, std::size_t length) {
  Responses means;
  for (const auto& response : responses) {
    means.emplace_back();
    for (std::size_t i = 0; i + length <= response.size(); i += length) {
      double sum = 0;
      for (std::size_t j = i; j < i + length; ++j) sum += response[j];
      means.back().push_back(sum / static_cast<double>(length));
    }
  }
  return means;
}

Json AreaJson(Responses honest, Responses cheating) {
  const auto is_empty = [](const std::vector<double>& response) { return response.empty(); };
  std::erase_if(honest, is_empty);
  std::erase_if(cheating, is_empty);
  if (honest.empty() || cheating.empty()) return nullptr;
  const Interval interval = AreaInterval(honest, cheating);
  return {{"auc", NumberOrNull(AreaUnderCurve(Flat(honest), Flat(cheating)))},
          {"confidence_95", {NumberOrNull(interval.low), NumberOrNull(interval.high)}}};
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? kNan : sum / static_cast<double>(values.size());
}

std::string Area(const Json& area) {
  if (area.is_null() || !area.at("auc").is_number()) return "-";
  const std::string number = fmt::format("{:.4f}", area.at("auc").get<double>());
  const auto low = area.at("confidence_95").at(0).get<double>();
  const auto high = area.at("confidence_95").at(1).get<double>();
  return low == high ? number : fmt::format("{} ({:.4f}-{:.4f})", number, low, high);
}

// The rate of rejection by so many positions alone, as "99.90 % (99.81-99.95)".
std::string FoundWithin(const Json& looks, int positions) {
  for (const Json& look : looks) {
    if (look.at("positions") != positions) continue;
    return fmt::format("{} ({:.2f}-{:.2f})", FormatPercent(look.at("reject_rate").get<double>()),
                       100 * look.at("confidence_95").at(0).get<double>(), 100 * look.at("confidence_95").at(1).get<double>());
  }
  return "-";
}

std::string Share(const Json& verdicts, const char* policy, const char* verdict) {
  if (!verdicts.contains(policy)) return "-";
  const Json& entry = verdicts.at(policy);
  return fmt::format("{}/{}", entry.contains(verdict) ? entry.at(verdict).get<int>() : 0, entry.at("n").get<int>());
}

std::string NameOf(const Json& entry) {
  return entry.at("attack") == "none" ? "none (honest)" : entry.at("attack").get<std::string>();
}

}  // namespace

double AreaUnderCurve(const std::vector<double>& honest, const std::vector<double>& cheating) {
  if (honest.empty() || cheating.empty()) return kNan;
  std::vector<double> sorted = honest;
  std::sort(sorted.begin(), sorted.end());
  return CountAbove(sorted, cheating) / static_cast<double>(sorted.size()) / static_cast<double>(cheating.size());
}

Interval AreaInterval(const Responses& honest, const Responses& cheating) {
  // Every response against every other is counted once; a draw of responses only adds these counts up.
  std::vector<std::vector<double>> above(cheating.size());
  for (std::vector<double> response : honest) {
    std::sort(response.begin(), response.end());
    for (std::size_t i = 0; i < cheating.size(); ++i) above[i].push_back(CountAbove(response, cheating[i]));
  }
  std::mt19937 random(1);
  const auto draw = [&](const Responses& from) {
    std::vector<std::size_t> drawn;
    for (std::size_t i = 0; i < from.size(); ++i) drawn.push_back(random() % from.size());
    return drawn;
  };
  const auto size_of = [](const Responses& from, const std::vector<std::size_t>& drawn) {
    std::size_t n = 0;
    for (const std::size_t i : drawn) n += from[i].size();
    return static_cast<double>(n);
  };
  std::vector<double> areas;
  for (int i = 0; i < kDraws; ++i) {
    const std::vector<std::size_t> cheats = draw(cheating);
    const std::vector<std::size_t> honests = draw(honest);
    double sum = 0;
    for (const std::size_t cheat : cheats) {
      for (const std::size_t one : honests) sum += above[cheat][one];
    }
    areas.push_back(sum / size_of(honest, honests) / size_of(cheating, cheats));
  }
  std::sort(areas.begin(), areas.end());
  return {areas[kDraws / 40], areas[kDraws - 1 - kDraws / 40]};
}

Interval RateInterval(std::size_t k, std::size_t n) {
  using Beta = boost::math::beta_distribution<double>;
  const auto x = static_cast<double>(k);
  const auto total = static_cast<double>(n);
  return {k == 0 ? 0 : boost::math::quantile(Beta(x, total - x + 1), 0.025),
          k == n ? 1 : boost::math::quantile(Beta(x + 1, total - x), 0.975)};
}

Json DetectionOf(const std::vector<Json>& trials) {
  std::vector<std::string> names;
  std::map<std::string, Collected> by_attack;
  for (const Json& trial : trials) {
    if (trial.at("lazy_verifier") != "none") continue;
    const auto name = trial.at("attack").get<std::string>();
    if (!by_attack.contains(name)) names.push_back(name);
    for (const Json& verifier : trial.at("verifiers")) Collect(verifier, by_attack[name]);
  }
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) { return name == "none"; });
  Json detection = Json::array();
  if (names.size() < 2) return detection;
  const Collected& honest = by_attack["none"];
  for (const std::string& name : names) {
    const Collected& collected = by_attack[name];
    Json accept_rates = Json::object();
    for (const auto& [policy, sum] : collected.accept_rates)
      accept_rates[policy] = sum / static_cast<double>(collected.n_responses);
    Json verdicts = Json::object();
    for (const auto& [policy, counts] : collected.verdicts) {
      const auto rejected = counts.find("reject");
      const std::size_t n_rejected = rejected == counts.end() ? 0 : rejected->second;
      const Interval interval = RateInterval(n_rejected, collected.n_responses);
      verdicts[policy] = Json(counts);
      verdicts[policy]["n"] = collected.n_responses;
      verdicts[policy]["reject_rate_confidence_95"] = {interval.low, interval.high};
    }
    std::vector<double> decided = collected.decided_after;
    std::sort(decided.begin(), decided.end());
    Json entry = {{"attack", name},
                  {"n_responses", collected.n_responses},
                  {"mean_log_element_error", NumberOrNull(Mean(Flat(collected.element_errors)))},
                  {"mean_margin", NumberOrNull(Mean(Flat(collected.margins)))},
                  {"accept_rate", std::move(accept_rates)},
                  {"verdicts", std::move(verdicts)},
                  {"positions_needed",
                   decided.empty() ? Json(nullptr) : Json{{"median", decided[decided.size() / 2]}, {"most", decided.back()}}}};
    Json parts = Json::array();
    for (const PartCount& part : collected.parts) {
      parts.push_back({{"depth", part.depth},
                       {"first_outputs", part.first_outputs},
                       {"cost", part.sum_cost / part.n},
                       {"reject_rate", part.n_rejected / part.n}});
    }
    entry["partial_audits"] = std::move(parts);
    Json looks = Json::array();
    for (const auto& [positions, count] : collected.short_looks) {
      const auto& [n_rejected, n] = count;
      if (n == 0) continue;
      const Interval interval = RateInterval(n_rejected, n);
      looks.push_back({{"positions", positions},
                       {"n", n},
                       {"reject_rate", static_cast<double>(n_rejected) / static_cast<double>(n)},
                       {"confidence_95", {interval.low, interval.high}}});
    }
    entry["short_looks"] = std::move(looks);
    if (name != "none") {
      entry["element_error_one_position"] = AreaJson(honest.element_errors, collected.element_errors);
      for (const std::size_t length : {std::size_t{8}, std::size_t{64}}) {
        entry[fmt::format("element_error_{}_positions", length)] =
            AreaJson(Stretches(honest.element_errors, length), Stretches(collected.element_errors, length));
      }
      entry["state_score_one_position"] = AreaJson(honest.state_scores, collected.state_scores);
      entry["margin_one_response"] = AreaJson(honest.margins, collected.margins);
    }
    detection.push_back(std::move(entry));
  }
  return detection;
}

Table VerdictsTable(const Json& detection) {
  Table table({"<attack", "ln element error", "margin", "accepted (paper)", "(reference)", "rejected (paper)", "(calibrated)",
               "positions needed"});
  for (const Json& entry : detection) {
    const Json& rates = entry.at("accept_rate");
    const Json& verdicts = entry.at("verdicts");
    const Json& needed = entry.at("positions_needed");
    table.AddRow({NameOf(entry), FormatNumber(NumberIn(entry.at("mean_log_element_error"))),
                  FormatNumber(NumberIn(entry.at("mean_margin")), 2),
                  FormatPercent(rates.contains("paper") ? NumberIn(rates.at("paper")) : std::nullopt),
                  FormatPercent(rates.contains("reference") ? NumberIn(rates.at("reference")) : std::nullopt),
                  Share(verdicts, "paper", "reject"), Share(verdicts, "calibrated", "reject"),
                  needed.is_null() ? "-" : fmt::format("{:.0f}", needed.at("median").get<double>())});
  }
  return table;
}

Table AreasTable(const Json& detection) {
  Table table({"<areas under curves (95 %)", "element error, 1 position", "8 positions", "64 positions",
               "state score, 1 position", "sampling, 1 response", "found in 1 position", "in 2"});
  for (const Json& entry : detection) {
    std::vector<std::string> cells = {NameOf(entry)};
    for (const char* const area : {"element_error_one_position", "element_error_8_positions", "element_error_64_positions",
                                   "state_score_one_position", "margin_one_response"}) {
      cells.push_back(entry.contains(area) ? Area(entry.at(area)) : "");
    }
    for (const int positions : {1, 2}) cells.push_back(FoundWithin(entry.at("short_looks"), positions));
    table.AddRow(std::move(cells));
  }
  return table;
}

std::optional<Table> PartialAuditsTable(const Json& detection) {
  const Json& columns = detection.at(0).at("partial_audits");
  if (columns.empty()) return std::nullopt;
  const int all = columns.at(0).at("first_outputs").get<int>();
  std::vector<std::string> headers = {"<rejected when looking at"};
  std::vector<std::string> costs = {"cost, share of a whole prefill"};
  const auto mean_over_depths = [&](const Json& parts, const char* key) {
    double sum = 0;
    double n = 0;
    for (const Json& part : parts) {
      if (part.at("first_outputs") != all) continue;
      sum += part.at(key).get<double>();
      n += 1;
    }
    return FormatPercent(sum / n);
  };
  for (const Json& part : columns) {
    const bool by_depth = part.at("first_outputs") == all;
    headers.push_back(by_depth ? fmt::format("depth {}", part.at("depth").get<std::string>())
                               : fmt::format("{} tokens", part.at("first_outputs").get<int>()));
    costs.push_back(FormatPercent(part.at("cost").get<double>()));
  }
  headers.push_back("random depth");
  costs.push_back(mean_over_depths(columns, "cost"));
  Table table(headers);
  table.AddRow(std::move(costs));
  for (const Json& entry : detection) {
    std::vector<std::string> cells = {NameOf(entry)};
    for (const Json& part : entry.at("partial_audits")) cells.push_back(FormatPercent(part.at("reject_rate").get<double>()));
    cells.resize(columns.size() + 1, "-");
    cells.push_back(mean_over_depths(entry.at("partial_audits"), "reject_rate"));
    table.AddRow(std::move(cells));
  }
  return table;
}

void PrintDetection(const Json& detection, std::ostream& out) {
  VerdictsTable(detection).Print(out);
  out << "\n";
  AreasTable(detection).Print(out);
  if (const std::optional<Table> parts = PartialAuditsTable(detection)) {
    out << "\n";
    parts->Print(out);
  }
}

}  // namespace verillm
