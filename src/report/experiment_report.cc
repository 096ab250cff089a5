#include "report/experiment_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "audit/recording.h"
#include "report/bakeoff.h"
#include "report/detection.h"
#include "report/results.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

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

// Block means of a series over the trials of a case; `baseline` takes the same-device verification.
std::vector<double> BlocksOf(const CaseResults& which, const char* series, bool baseline) {
  std::vector<double> blocks;
  for (const TrialResult& trial : which.trials) {
    const Json& verification = baseline ? trial.json.at("baseline") : trial.json.at("verifiers").at(0);
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

double Mean(const Json& summary, double (*value)(const Json& trial)) {
  double sum = 0;
  for (const Json& trial : summary.at("trials")) sum += value(trial);
  return sum / static_cast<double>(summary.at("trials").size());
}

// A case of the report: what its summary says, and means over its trials.
Json CaseOf(const CaseResults& which) {
  const Json& summary = which.summary;
  const Json& context = summary.at("trials").at(0).at("context");
  const auto baseline_rate = [](const Json& t) {
    return t.at("baseline").at("statistics").at("summary").at("accept_rate").get<double>();
  };
  return {
      {"experiment", summary.at("experiment")},
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
       Mean(summary, [](const Json& t) { return t.at("verifiers").at(0).at("overhead").at("verification_time").get<double>(); })},
      {"policy", summary.at("context").at("settings").at("policy")},
      {"criterion", summary.at("context").at("settings").at("thresholds").at("accept_rate")},
      {"aggregate", summary.at("aggregate")},
      {"baseline_accept_rate", which.is_honest() ? Json(Mean(summary, baseline_rate)) : Json(nullptr)},
      {"per_capture_point", summary.at("trials").at(0).at("verifiers").at(0).at("policies").at("paper").at("per_capture_point")},
      {"n_layer", context.at("model").at("n_layer")},
      {"prover", context.at("prover").at("device")}};
}

bool IsReverse(const Json& a, const Json& b) {
  return a.at("model") == b.at("model") && a.at("inference_device") == b.at("verification_device") &&
         a.at("verification_device") == b.at("inference_device");
}

// The research questions with a test each, on the honest cases.
Json QuestionsOf(const std::vector<CaseResults>& cases) {
  Json questions = Json::array();
  const auto add = [&](const char* question, std::string direction, const MeanTest& test) {
    questions.push_back({{"question", question}, {"direction", std::move(direction)}, {"test", ToJson(test)}});
  };
  for (const CaseResults& which : cases) {
    if (!which.is_honest()) continue;
    const std::vector<double> cross = BlocksOf(which, "log_relative_error", false);
    const std::vector<double> baseline = BlocksOf(which, "log_relative_error", true);
    add("device difference", DirectionOf(which.summary), TestMean(Differences(cross, baseline)));
    add("depth", DirectionOf(which.summary), TestMean(BlocksOf(which, "depth_slope", false)));
  }
  for (auto a = cases.begin(); a != cases.end(); ++a) {
    for (auto b = std::next(a); b != cases.end(); ++b) {
      if (!a->is_honest() || !b->is_honest() || !IsReverse(a->summary, b->summary)) continue;
      add("direction", fmt::format("{} against the reverse", DirectionOf(a->summary)),
          TestDifference(BlocksOf(*a, "log_relative_error", false), BlocksOf(*b, "log_relative_error", false)));
    }
  }
  return questions;
}

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

Json ExperimentReport(const std::vector<CaseResults>& cases) {
  Json report = {{"schema_version", kSchemaVersion}, {"directions", Json::array()}};
  std::vector<Json> trials;
  for (const CaseResults& which : cases) {
    report["directions"].push_back(CaseOf(which));
    for (const TrialResult& trial : which.trials) trials.push_back(trial.json);
  }
  report["questions"] = QuestionsOf(cases);
  report["detection"] = DetectionOf(trials);
  report["bakeoff"] = BakeoffOf(trials);
  return report;
}

Json ExperimentReport(const fs::path& folder) {
  const std::vector<CaseResults> cases = ReadResults(folder);
  try {
    return ExperimentReport(cases);
  } catch (const nlohmann::json::exception& bad) {
    ThrowNotAsWritten(folder, bad);
  }
}

}  // namespace verillm
