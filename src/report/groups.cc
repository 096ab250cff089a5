#include "report/groups.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace verillm {
namespace {

constexpr std::size_t kMostDrawn = 8;

Group& Named(std::vector<Group>& groups, const std::string& name) {
  const auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& group) { return group.name == name; });
  if (found != groups.end()) return *found;
  groups.push_back({.name = name});
  return groups.back();
}

// Whether honest cases differ in a field of their trials.
bool Varies(const std::vector<CaseResults>& cases, const char* field) {
  std::set<std::string> values;
  for (const CaseResults& which : cases) {
    for (const TrialResult& trial : which.trials) {
      if (which.is_honest() && trial.json.contains(field)) values.insert(trial.json.at(field).dump());
    }
  }
  return values.size() > 1;
}

// The device of one verification: a case may have several.
std::string DeviceOf(const Json& verification, const Json& trial) {
  return verification.value("verification_device", trial.at("verification_device").get<std::string>());
}

std::string CheatOf(const Json& trial) {
  const auto attack = trial.at("attack").get<std::string>();
  const auto lazy = trial.at("lazy_verifier").get<std::string>();
  if (lazy == "none") return attack == "none" ? "honest" : attack;
  return attack == "none" ? lazy : fmt::format("{}, {}", lazy, attack);
}

double MeanOf(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? std::numeric_limits<double>::infinity() : sum / static_cast<double>(values.size());
}

}  // namespace

std::vector<Group> HonestGroups(const std::vector<CaseResults>& cases) {
  const bool names_model = Varies(cases, "model");
  const bool names_condition = Varies(cases, "condition");
  std::vector<Group> groups;
  std::vector<Group> baselines;
  for (const CaseResults& which : cases) {
    if (!which.is_honest()) continue;
    for (const TrialResult& trial : which.trials) {
      std::vector<std::string> more;
      if (names_model) more.push_back(trial.json.at("model").get<std::string>());
      if (names_condition && trial.json.at("condition").is_string())
        more.push_back(trial.json.at("condition").get<std::string>());
      const std::string suffix = more.empty() ? "" : fmt::format(" ({})", fmt::join(more, ", "));
      const auto prover = trial.json.at("inference_device").get<std::string>();
      bool has_own_device = false;
      const Json& verifiers = trial.json.at("verifiers");
      for (std::size_t i = 0; i < verifiers.size(); ++i) {
        const std::string device = DeviceOf(verifiers[i], trial.json);
        has_own_device |= device == prover;
        Group& group = Named(groups, fmt::format("{} to {}{}", prover, device, suffix));
        group.verifications.push_back(&verifiers[i]);
        group.pairs.push_back(&trial.pairs[i]);
      }
      if (!has_own_device && trial.json.at("baseline").is_object())
        Named(baselines, fmt::format("{} on itself{}", prover, suffix)).verifications.push_back(&trial.json.at("baseline"));
    }
  }
  groups.insert(groups.end(), baselines.begin(), baselines.end());
  return groups;
}

std::vector<Group> CheatGroups(const std::vector<CaseResults>& cases) {
  std::vector<Group> groups;
  for (const CaseResults& which : cases) {
    for (const TrialResult& trial : which.trials) {
      Group& group = Named(groups, CheatOf(trial.json));
      const Json& verifiers = trial.json.at("verifiers");
      for (std::size_t i = 0; i < verifiers.size(); ++i) {
        group.verifications.push_back(&verifiers[i]);
        group.pairs.push_back(&trial.pairs[i]);
      }
    }
  }
  const bool has_honest = std::any_of(groups.begin(), groups.end(), [](const Group& group) { return group.name == "honest"; });
  if (groups.size() == (has_honest ? 1 : 0)) return {};
  std::map<std::string, double> errors;
  for (const Group& group : groups) {
    errors[group.name] =
        group.name == "honest" ? -std::numeric_limits<double>::infinity() : MeanOf(ValuesOf(group, "log_element_error"));
  }
  std::stable_sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) { return errors[a.name] < errors[b.name]; });
  return groups;
}

std::vector<std::size_t> DrawnOf(std::size_t n) {
  std::vector<std::size_t> drawn;
  if (n <= kMostDrawn) {
    for (std::size_t i = 0; i < n; ++i) drawn.push_back(i);
    return drawn;
  }
  // From the second to the last, both included.
  drawn.push_back(0);
  for (std::size_t i = 0; i < kMostDrawn - 1; ++i) drawn.push_back(1 + i * (n - 2) / (kMostDrawn - 2));
  return drawn;
}

std::vector<double> ValuesOf(const Group& group, const char* series) {
  std::vector<double> values;
  for (const Json* verification : group.verifications) {
    const std::vector<double> more = NumbersIn(verification->at("series").at(series));
    values.insert(values.end(), more.begin(), more.end());
  }
  return values;
}

}  // namespace verillm
