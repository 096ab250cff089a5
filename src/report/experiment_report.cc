#include "report/experiment_report.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "audit/recording.h"
#include "experiment/result_json.h"
#include "report/bakeoff.h"
#include "report/bakeoff_tables.h"
#include "report/detection.h"
#include "report/table.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

// Published figures: experiment 1 of the Python reproduction, and VeriLLM (arXiv 2509.24257).
constexpr double kPublishedAcceptRate = 0.9979;
constexpr double kPaperAcceptRate = 0.90;
constexpr std::size_t kBlock = 50;

// The test of an estimate with a standard error and degrees of freedom.
MeanTest TestEstimate(double estimate, double standard_error, double freedom, std::size_t n_blocks) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  MeanTest test{.mean = estimate, .low = nan, .high = nan, .p_value = nan, .n_blocks = n_blocks};
  if (!(freedom > 0) || !std::isfinite(standard_error)) return test;
  if (standard_error == 0) {
    test.low = test.high = estimate;
    test.p_value = estimate == 0 ? 1 : 0;
    return test;
  }
  const boost::math::students_t distribution(freedom);
  const double reach = boost::math::quantile(distribution, 0.975) * standard_error;
  test.low = estimate - reach;
  test.high = estimate + reach;
  test.p_value = 2 * boost::math::cdf(boost::math::complement(distribution, std::abs(estimate) / standard_error));
  return test;
}

struct Moments {
  double n = 0;
  double mean = 0;
  double variance = 0;  // of a single value; NaN for fewer than two
};

Moments MomentsOf(const std::vector<double>& values) {
  Moments moments;
  moments.n = static_cast<double>(values.size());
  for (const double value : values) moments.mean += value / moments.n;
  for (const double value : values) moments.variance += (value - moments.mean) * (value - moments.mean) / (moments.n - 1);
  if (values.size() < 2) moments.variance = std::numeric_limits<double>::quiet_NaN();
  return moments;
}

Json ToJson(const MeanTest& test) {
  return {{"estimate", NumberOrNull(test.mean)},
          {"confidence_95", {NumberOrNull(test.low), NumberOrNull(test.high)}},
          {"p_value", NumberOrNull(test.p_value)},
          {"n_blocks", test.n_blocks}};
}

// Block means of a series over the trials of a direction; `baseline` takes the same-device verification.
std::vector<double> BlocksOf(const std::vector<Json>& trials, const char* series, bool baseline) {
  std::vector<double> blocks;
  for (const Json& trial : trials) {
    const Json& verification = baseline ? trial.at("baseline") : trial.at("verifiers").at(0);
    if (verification.is_null()) continue;  // only honest cases have a baseline
    const std::vector<double> means = BlockMeans(verification.at("series").at(series), kBlock);
    blocks.insert(blocks.end(), means.begin(), means.end());
  }
  return blocks;
}

std::vector<double> Differences(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) differences.push_back(a[i] - b[i]);
  return differences;
}

// MODEL_A_to_B_trialN.json beside MODEL_A_to_B_summary.json.
fs::path TrialBeside(const fs::path& summary, int trial) {
  std::string name = summary.filename().string();
  name.replace(name.rfind("_summary.json"), std::string::npos, fmt::format("_trial{}.json", trial));
  return summary.parent_path() / name;
}

double Mean(const Json& summary, double (*value)(const Json& trial)) {
  double sum = 0;
  for (const Json& trial : summary.at("trials")) sum += value(trial);
  return sum / static_cast<double>(summary.at("trials").size());
}

std::string Describe(const Json& test, bool as_ratio) {
  const auto number = [&](const Json& value) -> std::string {
    if (!value.is_number()) return "-";
    return as_ratio ? fmt::format("{:.3f}", std::exp(value.get<double>())) : fmt::format("{:+.4f}", value.get<double>());
  };
  const Json& p = test.at("p_value");
  return fmt::format("{} (95 %: {} to {}; p {}; {} blocks of {} positions)", number(test.at("estimate")),
                     number(test.at("confidence_95").at(0)), number(test.at("confidence_95").at(1)),
                     !p.is_number()            ? "-"
                     : p.get<double>() < 0.001 ? "< 0.001"
                                               : fmt::format("= {:.3f}", p.get<double>()),
                     test.at("n_blocks").get<int>(), kBlock);
}

bool IsHonest(const Json& summary) { return summary.at("attack") == "none" && summary.at("lazy_verifier") == "none"; }

bool Significant(const Json& test) { return test.at("p_value").is_number() && test.at("p_value").get<double>() < 0.05; }

}  // namespace

MeanTest TestMean(const std::vector<double>& values) {
  const Moments moments = MomentsOf(values);
  return TestEstimate(moments.mean, std::sqrt(moments.variance / moments.n), moments.n - 1, values.size());
}

MeanTest TestDifference(const std::vector<double>& a, const std::vector<double>& b) {
  const Moments of_a = MomentsOf(a);
  const Moments of_b = MomentsOf(b);
  const double part_a = of_a.variance / of_a.n;
  const double part_b = of_b.variance / of_b.n;
  const double sum = part_a + part_b;
  // Welch-Satterthwaite.
  const double freedom =
      sum == 0 ? of_a.n + of_b.n - 2 : sum * sum / (part_a * part_a / (of_a.n - 1) + part_b * part_b / (of_b.n - 1));
  return TestEstimate(of_a.mean - of_b.mean, std::sqrt(sum), freedom, a.size() + b.size());
}

std::vector<double> BlockMeans(const Json& series, std::size_t block) {
  std::vector<double> means;
  for (std::size_t begin = 0; begin < series.size(); begin += block) {
    const std::size_t end = std::min(series.size(), begin + block);
    if (2 * (end - begin) < block && begin > 0) break;
    double sum = 0;
    double n = 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (!series[i].is_number()) continue;
      sum += series[i].get<double>();
      n += 1;
    }
    if (n > 0) means.push_back(sum / n);
  }
  return means;
}

Json ExperimentReport(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().ends_with("_summary.json")) paths.push_back(entry.path());
  }
  if (error || paths.empty()) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: has no summary of an experiment (*_summary.json); run one with verillm experiment run",
                            folder.string()));
  }
  Json report = {{"schema_version", kSchemaVersion},
                 {"directions", Json::array()},
                 {"questions", Json::array()},
                 {"detection", Json::array()},
                 {"bakeoff", Json::array()}};
  std::vector<Json> summaries;
  std::vector<std::vector<Json>> trials;  // of each summary, from the trials' own files
  try {
    std::vector<Json> all_trials;
    std::map<std::tuple<std::string, int, fs::path>, Json> by_scenario;
    for (const fs::path& path : paths) {
      Json summary = ReadResult(path);
      std::tuple key(summary.at("model").get<std::string>(), summary.at("scenario").get<int>(), path);
      by_scenario.emplace(std::move(key), std::move(summary));
    }
    for (auto& [key, summary] : by_scenario) {
      trials.emplace_back();
      for (int trial = 1; trial <= summary.at("num_trials").get<int>(); ++trial) {
        trials.back().push_back(ReadResult(TrialBeside(std::get<fs::path>(key), trial)));
      }
      summaries.push_back(std::move(summary));
    }
    for (std::size_t i = 0; i < summaries.size(); ++i) {
      const Json& summary = summaries[i];
      const Json& aggregate = summary.at("aggregate");
      const Json& context = summary.at("trials").at(0).at("context");
      report["directions"].push_back(
          {{"experiment", summary.at("experiment")},
           {"scenario", summary.at("scenario")},
           {"model", summary.at("model")},
           {"title", summary.at("title")},
           {"attack", summary.at("attack")},
           {"lazy_verifier", summary.at("lazy_verifier")},
           {"expected_result", summary.at("expected_result")},
           {"inference_device", summary.at("inference_device")},
           {"verification_device", summary.at("verification_device")},
           {"num_trials", summary.at("num_trials")},
           {"num_verifiers_per_trial", summary.at("num_verifiers_per_trial")},
           {"prompt_tokens", Mean(summary, [](const Json& t) { return t.at("inference").at("prompt_length").get<double>(); })},
           {"output_tokens", Mean(summary, [](const Json& t) { return t.at("inference").at("generated_length").get<double>(); })},
           {"tokens_per_second",
            Mean(summary, [](const Json& t) { return t.at("inference").at("timing").at("tokens_per_second").get<double>(); })},
           {"inference_seconds",
            Mean(summary, [](const Json& t) { return t.at("inference").at("timing").at("total_time").get<double>(); })},
           {"verification_seconds",
            Mean(summary,
                 [](const Json& t) { return t.at("verifiers").at(0).at("overhead").at("verification_time").get<double>(); })},
           {"policy", summary.at("context").at("settings").at("policy")},
           {"criterion", summary.at("context").at("settings").at("thresholds").at("accept_rate")},
           {"aggregate", aggregate},
           {"baseline_accept_rate",
            IsHonest(summary)
                ? Json(Mean(summary,
                            [](const Json& t) {
                              return t.at("baseline").at("statistics").at("summary").at("accept_rate").get<double>();
                            }))
                : Json(nullptr)},
           {"per_capture_point",
            summary.at("trials").at(0).at("verifiers").at(0).at("policies").at("paper").at("per_capture_point")},
           {"n_layer", context.at("model").at("n_layer")},
           {"prover", context.at("prover").at("device")}});

      all_trials.insert(all_trials.end(), trials[i].begin(), trials[i].end());
      if (!IsHonest(summary)) continue;
      const std::string direction = fmt::format("{} to {}", summary.at("inference_device").get<std::string>(),
                                                summary.at("verification_device").get<std::string>());
      const std::vector<double> cross = BlocksOf(trials[i], "log_relative_error", false);
      const std::vector<double> baseline = BlocksOf(trials[i], "log_relative_error", true);
      report["questions"].push_back({{"question", "device difference"},
                                     {"direction", direction},
                                     {"test", ToJson(TestMean(Differences(cross, baseline)))}});
      report["questions"].push_back({{"question", "depth"},
                                     {"direction", direction},
                                     {"test", ToJson(TestMean(BlocksOf(trials[i], "depth_slope", false)))}});
    }
    for (std::size_t i = 0; i < summaries.size(); ++i) {
      for (std::size_t j = i + 1; j < summaries.size(); ++j) {
        const Json& a = summaries[i];
        const Json& b = summaries[j];
        if (!IsHonest(a) || !IsHonest(b) || a.at("model") != b.at("model") ||
            a.at("inference_device") != b.at("verification_device") || a.at("verification_device") != b.at("inference_device"))
          continue;
        const std::string direction = fmt::format("{} to {} against the reverse", a.at("inference_device").get<std::string>(),
                                                  a.at("verification_device").get<std::string>());
        report["questions"].push_back({{"question", "direction"},
                                       {"direction", direction},
                                       {"test", ToJson(TestDifference(BlocksOf(trials[i], "log_relative_error", false),
                                                                      BlocksOf(trials[j], "log_relative_error", false)))}});
      }
    }
    report["detection"] = DetectionOf(all_trials);
    report["bakeoff"] = BakeoffOf(all_trials);
  } catch (const nlohmann::json::exception& bad) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: its results are not as this version writes them: {}", folder.string(), bad.what()));
  }
  return report;
}

namespace {

// Every case against what was expected of it.
void PrintCases(const Json& cases, std::ostream& out) {
  const auto title = cases.at(0).at("title").get<std::string>();
  if (!title.empty()) fmt::print(out, "{}: {}\n\n", cases.at(0).at("experiment").get<std::string>(), title);
  Table table({"<prover", "<verifier", "<cheat", "<policy", "accept rate", "passed", "<expected", "as expected"});
  for (const Json& which : cases) {
    const Json& aggregate = which.at("aggregate");
    const std::string attack = which.at("attack").get<std::string>();
    const std::string lazy = which.at("lazy_verifier").get<std::string>();
    const bool expects_acceptance = which.at("expected_result") == "ACCEPT";
    std::string as_expected = FormatPercent(aggregate.at("as_expected_rate").get<double>());
    if (lazy != "none") {
      const Json& first = aggregate.at("first_as_expected");
      as_expected = first.is_null() ? "never" : fmt::format("in task {}", first.get<int>());
    }
    table.AddRow({which.at("inference_device").get<std::string>(), which.at("verification_device").get<std::string>(),
                  attack != "none" ? attack : lazy, which.at("policy").get<std::string>(),
                  FormatPercent(aggregate.at("avg_accept_rate").get<double>()),
                  FormatPercent(aggregate.at("pass_rate").get<double>()), expects_acceptance ? "accept" : "reject",
                  std::move(as_expected)});
  }
  table.Print(out);
}

// The published comparison and the research questions, on the honest cases.
void PrintHonest(const Json& report, const Json& directions, std::ostream& out) {
  out << "\n";
  std::vector<std::string> headers = {"<"};
  for (const Json& d : directions)
    headers.push_back(
        fmt::format("{} to {}", d.at("inference_device").get<std::string>(), d.at("verification_device").get<std::string>()));
  Table table(headers);
  const auto add = [&](const std::string& title, auto&& cell) {
    std::vector<std::string> cells = {title};
    for (const Json& d : directions) cells.push_back(cell(d));
    table.AddRow(std::move(cells));
  };
  const auto rate = [](const char* key) {
    return [key](const Json& d) {
      const Json& value = d.at("aggregate").at(key);
      return FormatPercent(value.is_number() ? std::optional(value.get<double>()) : std::nullopt);
    };
  };
  add("scenario", [](const Json& d) { return std::to_string(d.at("scenario").get<int>()); });
  add("model", [](const Json& d) { return d.at("model").get<std::string>(); });
  add("trials x verifiers", [](const Json& d) {
    return fmt::format("{} x {}", d.at("num_trials").get<int>(), d.at("num_verifiers_per_trial").get<int>());
  });
  add("prompt + output tokens", [](const Json& d) {
    return fmt::format("{:.0f} + {:.0f}", d.at("prompt_tokens").get<double>(), d.at("output_tokens").get<double>());
  });
  add("accept rate (paper)",
      [](const Json& d) { return FormatPercent(d.at("aggregate").at("avg_accept_rate_by_policy").at("paper").get<double>()); });
  add("  without the embeddings", rate("avg_accept_rate_without_embeddings"));
  add("  published plan alone", rate("avg_accept_rate_published_plan"));
  add("  same device", [](const Json& d) { return FormatPercent(d.at("baseline_accept_rate").get<double>()); });
  add("accept rate (reference)", [](const Json& d) {
    return FormatPercent(d.at("aggregate").at("avg_accept_rate_by_policy").at("reference").get<double>());
  });
  add("criterion", [](const Json& d) { return fmt::format("> {}", FormatPercent(d.at("criterion").get<double>())); });
  add("trials passed", rate("pass_rate"));
  add("tokens per second", [](const Json& d) { return fmt::format("{:.1f}", d.at("tokens_per_second").get<double>()); });
  add("inference", [](const Json& d) { return FormatSeconds(d.at("inference_seconds").get<double>()); });
  add("verification", [](const Json& d) { return FormatSeconds(d.at("verification_seconds").get<double>()); });
  add("overhead of one verifier",
      [](const Json& d) { return fmt::format("{:.2f} %", d.at("aggregate").at("avg_overhead_percentage").get<double>()); });
  table.Print(out);

  fmt::print(out,
             "\nPublished: {:.2f} % accepted in experiment 1 (one device, reference rule); the paper expects more than {:.0f} % "
             "across devices\n"
             "at about 1 % overhead.\n",
             100 * kPublishedAcceptRate, 100 * kPaperAcceptRate);
  fmt::print(out,
             "The published overhead of 0.01 % cannot be compared: that code generates without a key-value cache, two full "
             "passes a token, so its\n"
             "inference time grows with the square of the length. Ours is against generation with a cache.\n");

  // Some descriptions of the published experiments list layers 0, 8, 16, 24, 32 for every model.
  constexpr int kDescribedLayer = 32;
  const int n_layer = directions.at(0).at("n_layer").get<int>();
  if (n_layer < kDescribedLayer) {
    fmt::print(out, "\nThe model has {} blocks, so there is no layer {}; `final` is the state after its last norm.\n", n_layer,
               kDescribedLayer);
  }
  fmt::print(out, "\nPer capture point, first trial (paper's statistics, pooled over positions):\n");
  for (const Json& d : directions) {
    fmt::print(out, "\n{} to {}\n", d.at("inference_device").get<std::string>(), d.at("verification_device").get<std::string>());
    Table points({"<layer", "Pe", "Pm", "Pw", "mean error", "relative error", "accepted"});
    const auto number = [](const Json& value) {
      return FormatNumber(value.is_number() ? std::optional(value.get<double>()) : std::nullopt);
    };
    for (const auto& [name, point] : d.at("per_capture_point").items()) {
      points.AddRow({name, number(point.at("Pe")), number(point.at("Pm")), number(point.at("Pw")),
                     number(point.at("mean_signed_error")), number(point.at("median_relative_error")),
                     fmt::format("{}/{}", point.at("accept_count").get<int>(), point.at("total_count").get<int>())});
    }
    points.Print(out);
  }

  fmt::print(out, "\nDo the devices differ? Relative error across devices over that on the prover's own device, same trace:\n");
  for (const Json& q : report.at("questions")) {
    if (q.at("question") != "device difference") continue;
    fmt::print(out, "  {}: factor {}: {}\n", q.at("direction").get<std::string>(), Describe(q.at("test"), true),
               Significant(q.at("test")) ? "they differ" : "no difference shown");
  }
  fmt::print(out, "Is one direction worse? Relative error of one direction over that of the other:\n");
  for (const Json& q : report.at("questions")) {
    if (q.at("question") != "direction") continue;
    fmt::print(out, "  {}: factor {}: {}\n", q.at("direction").get<std::string>(), Describe(q.at("test"), true),
               Significant(q.at("test")) ? "the directions differ" : "no difference shown");
  }
  fmt::print(out, "Does the error grow with depth? Slope of ln(relative error) a layer:\n");
  for (const Json& q : report.at("questions")) {
    if (q.at("question") != "depth") continue;
    const bool grows = q.at("test").at("estimate").is_number() && q.at("test").at("estimate").get<double>() > 0;
    fmt::print(out, "  {}: {}: {}\n", q.at("direction").get<std::string>(), Describe(q.at("test"), false),
               !Significant(q.at("test")) ? "no trend shown"
               : grows                    ? "it grows"
                                          : "it shrinks");
  }
}

}  // namespace

void PrintExperimentReport(const Json& report, std::ostream& out) {
  PrintCases(report.at("directions"), out);
  if (!report.at("detection").empty()) {
    out << "\n";
    PrintDetection(report.at("detection"), out);
  }
  PrintBakeoff(report.at("bakeoff"), out);
  Json directions = Json::array();
  for (const Json& d : report.at("directions")) {
    if (IsHonest(d)) directions.push_back(d);
  }
  if (!directions.empty()) PrintHonest(report, directions, out);
}

}  // namespace verillm
