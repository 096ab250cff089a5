#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "experiment/result_json.h"
#include "page/page.h"
#include "page/report_pages.h"
#include "report/charts.h"
#include "report/experiment_tables.h"
#include "report/groups.h"
#include "report/table.h"

namespace verillm {
namespace {

Outcome OutcomeOf(const std::string& verdict) {
  return verdict == "accept" ? Outcome::kGood : verdict == "reject" ? Outcome::kBad : Outcome::kMixed;
}

std::string DeviceText(const Json& device) {
  return fmt::format("{}: {} ({}, {})", device.at("name").get<std::string>(), device.at("description").get<std::string>(),
                     device.at("backend").get<std::string>(), device.at("engine").get<std::string>());
}

// Numbers by name, as a method of others measures or takes them.
Table NumbersTable(const char* what, const Json& numbers) {
  Table table({fmt::format("<{}", what), "value"});
  for (const auto& [name, value] : numbers.items()) table.AddRow({name, FormatNumber(NumberIn(value))});
  return table;
}

Page PageOf(const Json& verification) {
  const auto verdict = verification.at("verdict").get<std::string>();
  const Json& prover = verification.at("prover");
  const Json& verifier = verification.at("verifier");
  const Json& model = verification.at("model");
  const std::string direction =
      fmt::format("{} to {}", prover.at("name").get<std::string>(), verifier.at("name").get<std::string>());
  Page page(fmt::format("Verification: {}", verdict), fmt::format("{}, {}", model.at("name").get<std::string>(), direction));
  page.AddVerdict(OutcomeOf(verdict), fmt::format("{} by policy {}: {}", verdict, verification.at("policy").get<std::string>(),
                                                  verification.at("reason").get<std::string>()));
  page.AddList({{"prover", DeviceText(prover)},
                {"verifier", DeviceText(verifier)},
                {"model digest", model.at("digest").get<std::string>()},
                {"tokens", fmt::format("{} of the prompt, {} of the output, {} checked", verification.at("n_prompt").get<int>(),
                                       verification.at("n_output").get<int>(), verification.at("n_checked").get<int>())},
                {"time", FormatSeconds(verification.at("verification_seconds").get<double>())}});

  page.AddSection("By capture point");
  page.AddTable("capture-points", PointsTable(verification.at("per_capture_point")));
  // As one of the policies of an experiment's verification.
  const Json wrapped = {{"policies", {{"paper", verification}}}};
  const std::vector<Group> groups = {{.name = direction, .verifications = {&wrapped}}};
  std::vector<Chart> charts = {ErrorByDepth(groups), PeByDepth(groups)};
  if (verification.contains("margins")) charts.push_back(MarginByPosition(verification.at("margins")));
  page.AddCharts("", charts);

  page.AddSection("Thresholds");
  page.AddTable("thresholds", NumbersTable("threshold", verification.at("thresholds")));
  if (verification.at("measures").is_object()) page.AddTable("measures", NumbersTable("measure", verification.at("measures")));
  return page;
}

}  // namespace

std::string VerificationPage(const std::filesystem::path& file) {
  const Json verification = ReadResult(file);
  try {
    return PageOf(verification).Html();
  } catch (const nlohmann::json::exception& bad) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: is not what verillm verify --json prints ({}); name such a file, or a folder of results of "
                            "verillm experiment run",
                            file.string(), bad.what()));
  }
}

}  // namespace verillm
