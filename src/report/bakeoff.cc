#include "report/bakeoff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "peers/forged_proofs.h"
#include "report/detection.h"

namespace verillm {
namespace {

// What cheats with the states that it sends: shown beside forged proofs.
const std::set<std::string> kForgedStates = {"replayed-states", "rescaled-states", "scaled-states"};

// The windows of one detector and size, of the responses of one attack.
struct Cell {
  std::vector<std::vector<double>> scores;  // one vector a response that has any
  std::size_t n_judged = 0;                 // windows with a verdict
  std::size_t n_rejected = 0;
  double bytes_per_token = 0;

  std::vector<double> Flat() const {
    std::vector<double> values;
    for (const auto& response : scores) values.insert(values.end(), response.begin(), response.end());
    return values;
  }
};

struct Detector {
  std::string name;
  int positions;

  auto operator<=>(const Detector&) const = default;
};
using Cells = std::map<Detector, Cell>;

// All of one pair of devices, or of all pairs.
struct Collected {
  std::vector<std::string> attacks;  // in order of appearance
  std::map<std::string, Cells> by_attack;
  std::map<std::pair<std::string, std::string>, ForgeryTally> forgeries;  // by detector and forgery
};

void AddWindows(const std::string& attack, const Json& windows, Collected& collected) {
  if (!collected.by_attack.contains(attack)) collected.attacks.push_back(attack);
  Cells& cells = collected.by_attack[attack];
  for (const auto& [detector, sizes] : windows.items()) {
    for (const Json& of_size : sizes) {
      Cell& cell = cells[{detector, of_size.at("positions").get<int>()}];
      cell.bytes_per_token = std::max(cell.bytes_per_token, of_size.at("bytes_per_token").get<double>());
      std::vector<double> scores = NumbersIn(of_size.at("scores"));
      if (!scores.empty()) cell.scores.push_back(std::move(scores));
      for (const Json& rejected : of_size.at("rejected")) {  // null, where there are no verdicts, has no elements
        cell.n_judged += rejected.is_number();
        cell.n_rejected += rejected.is_number() && rejected.get<int>() != 0;
      }
    }
  }
}

void AddForgeries(const Json& forgeries, Collected& collected) {
  for (const auto& [detector, tallies] : forgeries.items()) {
    for (const auto& [forgery, counts] : tallies.items()) {
      collected.forgeries[{detector, forgery}] += {.n = counts.at("n").get<std::size_t>(),
                                                   .accepted_as_published = counts.at("accepted_as_published").get<std::size_t>(),
                                                   .accepted_strictly = counts.at("accepted_strictly").get<std::size_t>()};
    }
  }
}

Json RateJson(std::size_t k, std::size_t n) {
  if (n == 0) return nullptr;
  const Interval interval = RateInterval(k, n);
  return {{"n", n}, {"rate", static_cast<double>(k) / static_cast<double>(n)}, {"confidence_95", {interval.low, interval.high}}};
}

// The smallest honest score that at most so many honest ones exceed; nullopt where they are too few to tell.
std::optional<double> Threshold(std::vector<double> honest, double false_positive_rate) {
  // Rounded: 1 / 0.01 is a little more than 100 in binary.
  const auto n_needed = static_cast<std::size_t>(std::lround(1 / false_positive_rate));
  if (honest.size() < n_needed) return std::nullopt;
  std::sort(honest.begin(), honest.end());
  return honest[honest.size() - 1 - honest.size() / n_needed];
}

// How many attacked windows are beyond each threshold, by its false-positive rate.
Json DetectionJson(const std::vector<double>& honest, const std::vector<double>& cheating) {
  Json detection = Json::object();
  for (const double rate : kFalsePositiveRates) {
    Json& entry = detection[fmt::format("{}", rate)];
    const std::optional<double> threshold = Threshold(honest, rate);
    if (!threshold) continue;
    const auto n_beyond = std::count_if(cheating.begin(), cheating.end(), [&](double score) { return score > *threshold; });
    entry = RateJson(static_cast<std::size_t>(n_beyond), cheating.size());
    entry["threshold"] = *threshold;
  }
  return detection;
}

Json RowJson(const std::string& attack, const Detector& detector, const Cell& cell, const Cell& honest) {
  const std::vector<double> scores = cell.Flat();
  Json row = {{"attack", attack},
              {"detector", detector.name},
              {"positions", detector.positions},
              {"n_responses", cell.scores.size()},
              {"n_windows", scores.size()},
              {"bytes_per_token", cell.bytes_per_token},
              {"rejected", RateJson(cell.n_rejected, cell.n_judged)}};
  if (attack == "none") return row;
  const std::vector<double> honest_scores = honest.Flat();
  row["n_honest_windows"] = honest_scores.size();
  if (scores.empty() || honest_scores.empty()) {
    row["auc"] = row["confidence_95"] = row["detection"] = nullptr;
    return row;
  }
  const Interval interval = AreaInterval(honest.scores, cell.scores);
  row["auc"] = AreaUnderCurve(honest_scores, scores);
  row["confidence_95"] = {interval.low, interval.high};
  row["detection"] = DetectionJson(honest_scores, scores);
  return row;
}

Json ForgeryJson(const std::string& forgery, const std::string& detector, const std::string& unit, const ForgeryTally& tally) {
  return {{"forgery", forgery},
          {"detector", detector},
          {"unit", unit},
          {"accepted_as_published", RateJson(tally.accepted_as_published, tally.n)},
          {"accepted_strictly", RateJson(tally.accepted_strictly, tally.n)}};
}

// Honest and forged states by the largest windows on which the detector has a verdict, then forged proofs.
Json ForgeriesJson(const Collected& collected) {
  Json forgeries = Json::array();
  for (const std::string& attack : collected.attacks) {
    if (attack != "none" && !kForgedStates.contains(attack)) continue;
    std::map<std::string, std::pair<int, ForgeryTally>> largest;
    for (const auto& [detector, cell] : collected.by_attack.at(attack)) {
      const std::size_t n_accepted = cell.n_judged - cell.n_rejected;
      // Sizes ascend within a detector.
      if (cell.n_judged > 0) largest[detector.name] = {detector.positions, {cell.n_judged, n_accepted, n_accepted}};
    }
    for (const auto& [detector, of_size] : largest) {
      const std::string unit = fmt::format("window of {} positions", of_size.first);
      forgeries.push_back(ForgeryJson(attack == "none" ? "honest states" : attack, detector, unit, of_size.second));
    }
  }
  for (const auto& [key, tally] : collected.forgeries) {
    const std::string forgery = key.second == "own" ? "honest proof" : key.second + " proof";
    forgeries.push_back(ForgeryJson(forgery, key.first, "proof", tally));
  }
  return forgeries;
}

Json RowsJson(const Collected& collected) {
  std::vector<std::string> attacks = collected.attacks;
  std::stable_partition(attacks.begin(), attacks.end(), [](const std::string& name) { return name == "none"; });
  const Cells& honest = collected.by_attack.at("none");
  Json rows = Json::array();
  for (const std::string& attack : attacks) {
    for (const auto& [detector, cell] : collected.by_attack.at(attack)) {
      const auto beside = honest.find(detector);
      rows.push_back(RowJson(attack, detector, cell, beside == honest.end() ? Cell() : beside->second));
    }
  }
  return rows;
}

}  // namespace

Json BakeoffOf(const std::vector<Json>& trials) {
  using Pair = std::tuple<std::string, std::string, std::string>;  // model, prover, verifier; without devices: all of the model
  std::map<Pair, Collected> by_pair;
  std::map<std::string, std::set<Pair>> pairs_of;
  for (const Json& trial : trials) {
    if (trial.at("lazy_verifier") != "none") continue;
    for (const Json& verifier : trial.at("verifiers")) {
      if (!verifier.contains("windows")) continue;
      const auto model = trial.at("model").get<std::string>();
      const Pair pair(model, trial.at("inference_device").get<std::string>(),
                      verifier.at("verification_device").get<std::string>());
      pairs_of[model].insert(pair);
      for (const Pair& key : {pair, Pair(model, "", "")}) {
        AddWindows(trial.at("attack").get<std::string>(), verifier.at("windows"), by_pair[key]);
        if (verifier.contains("forgeries")) AddForgeries(verifier.at("forgeries"), by_pair[key]);
      }
    }
  }
  Json bakeoff = Json::array();
  for (const auto& [pair, collected] : by_pair) {
    const auto& [model, prover, verifier] = pair;
    const bool is_all = prover.empty();
    if (!collected.by_attack.contains("none") || (is_all && pairs_of.at(model).size() < 2)) continue;
    bakeoff.push_back({{"model", model},
                       {"prover", is_all ? Json(nullptr) : Json(prover)},
                       {"verifier", is_all ? Json(nullptr) : Json(verifier)},
                       {"rows", RowsJson(collected)},
                       {"forgeries", ForgeriesJson(collected)}});
  }
  return bakeoff;
}

}  // namespace verillm
