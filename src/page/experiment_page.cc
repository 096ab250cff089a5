#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "page/page.h"
#include "page/report_pages.h"
#include "report/charts.h"
#include "report/detection.h"
#include "report/experiment_report.h"
#include "report/experiment_tables.h"
#include "report/groups.h"
#include "report/results.h"

namespace verillm {
namespace {

// Trials whose texts are shown.
constexpr std::size_t kMostTexts = 3;

Outcome OutcomeOf(const Json& direction) {
  const Json& aggregate = direction.at("aggregate");
  if (direction.at("lazy_verifier") != "none")
    return aggregate.at("first_as_expected").is_null() ? Outcome::kBad : Outcome::kGood;
  const double rate = aggregate.at("as_expected_rate").get<double>();
  return rate == 1 ? Outcome::kGood : rate == 0 ? Outcome::kBad : Outcome::kMixed;
}

void AddVerdicts(const Json& report, Page& page) {
  const Json& directions = report.at("directions");
  std::vector<Outcome> outcomes;
  for (const Json& direction : directions) outcomes.push_back(OutcomeOf(direction));
  const auto n_good = static_cast<std::size_t>(std::count(outcomes.begin(), outcomes.end(), Outcome::kGood));
  const std::size_t n = outcomes.size();
  page.AddVerdict(n_good == n   ? Outcome::kGood
                  : n_good == 0 ? Outcome::kBad
                                : Outcome::kMixed,
                  n_good == n ? fmt::format("As expected in {}.", n == 1 ? "the only case" : fmt::format("all {} cases", n))
                              : fmt::format("As expected in {} of {} cases.", n_good, n));
  page.AddTable("cases", CasesTable(directions), outcomes);
}

void AddQuestions(const Json& report, Page& page) {
  page.AddSection("Research questions");
  page.AddParagraph(
      fmt::format("t-tests on means of blocks of {} consecutive positions; an answer is given where p < 0.05.", kBlock));
  std::size_t number = 0;
  for (const Question& question : AnswersOf(report)) {
    number += 1;
    if (question.answers.empty()) continue;
    page.AddHeading(question.text.substr(0, question.text.find_last_not_of(':') + 1));
    Table table({"<direction", question.estimate, "95 % from", "to", "p", "blocks", "<answer"});
    for (const Answer& answer : question.answers) {
      const std::string& p = answer.p_value;
      table.AddRow({answer.direction, answer.estimate, answer.low, answer.high, p.starts_with("= ") ? p.substr(2) : p,
                    std::to_string(answer.n_blocks), answer.conclusion});
    }
    page.AddTable(fmt::format("question-{}", number), table);
  }
}

void AddHonest(const std::vector<CaseResults>& cases, const Json& report, Page& page) {
  const Json honest = HonestOf(report.at("directions"));
  if (honest.empty()) return;
  AddQuestions(report, page);
  page.AddSection("Honest runs");
  page.AddTable("honest-runs", HonestTable(honest));
  for (const std::string& note : HonestNotes(honest)) page.AddParagraph(note);
  const std::vector<Group> groups = HonestGroups(cases);
  page.AddCharts("honest runs", {ErrorByDepth(groups), PeByDepth(groups), ErrorByPosition(groups)});
  page.AddMap("honest runs", AcceptMapOf(groups));
}

void AddCheats(const std::vector<CaseResults>& cases, const Json& report, Page& page) {
  const std::vector<Group> groups = CheatGroups(cases);
  if (groups.empty()) return;
  const Json& detection = report.at("detection");
  page.AddSection("Cheats");
  if (!detection.empty()) {
    page.AddTable("detection", VerdictsTable(detection));
    page.AddTable("areas-under-curves", AreasTable(detection));
    if (const std::optional<Table> parts = PartialAuditsTable(detection)) page.AddTable("partial-audits", *parts);
  }
  page.AddCharts("cheats", {ErrorDistribution(groups), RocByPosition(groups), AreaByPositions(groups, detection),
                            RejectedWithin(groups), ErrorByDepth(groups), PeByDepth(groups), ErrorByPosition(groups)});
  page.AddMap("cheats", AcceptMapOf(groups));
}

std::string DescriptionOf(const Json& device) {
  return fmt::format("{} ({}, {})", device.value("description", ""), device.value("backend", ""), device.value("engine", ""));
}

// Who computed, by device name.
std::map<std::string, std::string> DevicesOf(const std::vector<CaseResults>& cases) {
  std::map<std::string, std::string> devices;
  for (const CaseResults& which : cases) {
    for (const TrialResult& trial : which.trials) {
      devices[trial.json.at("inference_device")] = DescriptionOf(trial.json.at("context").at("prover").at("device"));
      for (const Json& verifier : trial.json.at("verifiers")) {
        if (verifier.contains("device")) devices[verifier.at("device").value("name", "")] = DescriptionOf(verifier.at("device"));
      }
    }
  }
  return devices;
}

void AddProvenance(const std::vector<CaseResults>& cases, Page& page) {
  page.AddSection("How it was run");
  const Json& settings = cases.front().summary.at("context").at("settings");
  std::vector<std::pair<std::string, std::string>> items;
  for (const auto& [name, description] : DevicesOf(cases)) items.emplace_back(name, description);
  // Those that explain themselves; the files have all.
  for (const char* key : {"model_digest", "policy", "thresholds", "sampling", "output_tokens", "layers_every", "final", "states",
                          "check_sampling", "calibration_digest", "schedule"}) {
    if (!settings.contains(key) || settings.at(key).is_null()) continue;
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    items.emplace_back(name, settings.at(key).is_string() ? settings.at(key).get<std::string>() : settings.at(key).dump());
  }
  page.AddList(items);
  const std::vector<TrialResult>& trials = cases.front().trials;
  for (std::size_t i = 0; i < std::min(trials.size(), kMostTexts); ++i) {
    const Json& trial = trials[i].json;
    page.AddText(fmt::format("Trial {}: prompt", i + 1), trial.value("prompt", ""));
    page.AddText(fmt::format("Trial {}: output", i + 1), trial.at("inference").value("generated_text_preview", ""));
  }
}

// "exp2, smollm2-135m, 2 cases, 2026-01-31T12:00:00Z"
std::string FactsOf(const std::vector<CaseResults>& cases) {
  std::set<std::string> models;
  std::string time;
  for (const CaseResults& which : cases) {
    models.insert(which.summary.at("model").get<std::string>());
    time = std::max(time, which.summary.at("context").value("time", ""));
  }
  return fmt::format("Experiment {} with {}, {} {}{}{}", cases.front().summary.at("experiment").get<std::string>(),
                     fmt::join(models, ", "), cases.size(), cases.size() == 1 ? "case" : "cases", time.empty() ? "" : ", ", time);
}

}  // namespace

std::string ExperimentPage(const std::filesystem::path& folder) {
  const std::vector<CaseResults> cases = ReadResults(folder);
  try {
    const Json report = ExperimentReport(cases);
    const auto title = cases.front().summary.at("title").get<std::string>();
    Page page(title.empty() ? "Report of an experiment" : title, FactsOf(cases));
    AddVerdicts(report, page);
    AddHonest(cases, report, page);
    AddCheats(cases, report, page);
    AddProvenance(cases, page);
    return page.Html();
  } catch (const nlohmann::json::exception& bad) {
    ThrowNotAsWritten(folder, bad);
  }
}

}  // namespace verillm
