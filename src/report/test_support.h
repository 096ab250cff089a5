// For tests of what is reported of an experiment: the files of its cases, as far as a report reads them.
#ifndef VERILLM_REPORT_TEST_SUPPORT_H_
#define VERILLM_REPORT_TEST_SUPPORT_H_

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/test_support.h"

namespace verillm {

// 50 values each, which is one block.
inline Json Blocks(const std::vector<double>& means) {
  Json series = Json::array();
  for (const double mean : means) {
    for (int i = 0; i < 25; ++i) {
      series.push_back(mean - 0.5);
      series.push_back(mean + 0.5);
    }
  }
  return series;
}

// One case with one trial and one verifier, as far as the report reads it.
struct CaseFiles {
  int scenario = 1;
  std::string from;
  std::string to;
  std::vector<double> cross;                  // ln relative error, a block each
  std::vector<double> baseline = {};          // of an honest case
  std::vector<double> slopes = {0.1};         // of depth
  std::vector<double> element_errors = {-4};  // ln, a block each
  std::string attack = "none";
  std::string lazy_verifier = "none";
  double pass_rate = 1.0;
  Json first_as_expected = 1;
  Json pairs = Json::object();  // the single ones of the verifier
  Json calibrated = nullptr;    // what that policy says; null where there is no calibration
};

inline void WriteCase(const TestFolder& folder, const CaseFiles& which) {
  const bool honest = which.attack == "none" && which.lazy_verifier == "none";
  const Json point = {
      {"Pe", 0.025},       {"Pm", nullptr},   {"Pw", 0.9}, {"mean_signed_error", -0.00012345}, {"median_relative_error", 0.004},
      {"accept_count", 7}, {"total_count", 8}};
  const char* const verdict = which.pass_rate > 0 ? "accept" : "reject";
  const auto verification = [&](const std::vector<double>& errors) {
    Json json = {{"statistics", {{"summary", {{"accept_rate", 0.996}}}}},
                 {"overhead", {{"verification_time", 2.5}}},
                 {"policies",
                  {{"paper",
                    {{"policy", "paper"},
                     {"thresholds", {{"Pe", 0.05}}},
                     {"verdict", verdict},
                     {"decided_after", nullptr},
                     {"accept_rate", 0.95},
                     {"per_capture_point", {{"0", point}, {"final", point}}}}},
                   {"reference", {{"verdict", verdict}, {"decided_after", nullptr}, {"accept_rate", 0.9979}}}}},
                 {"series",
                  {{"log_relative_error", Blocks(errors)},
                   {"log_element_error", Blocks(which.element_errors)},
                   {"depth_slope", Blocks(which.slopes)}}}};
    if (!which.calibrated.is_null()) json["policies"]["calibrated"] = which.calibrated;
    return json;
  };
  Json verifier = verification(which.cross);
  verifier["statistics"]["per_layer"] = which.pairs;
  const Json trial = {
      {"attack", which.attack},
      {"lazy_verifier", which.lazy_verifier},
      {"inference",
       {{"prompt_length", 300}, {"generated_length", 1000}, {"timing", {{"tokens_per_second", 8.0}, {"total_time", 125.0}}}}},
      {"inference_device", which.from},
      {"verification_device", which.to},
      {"verifiers", {verifier}},
      {"baseline", honest ? verification(which.baseline) : Json(nullptr)},
      {"context", {{"model", {{"n_layer", 30}}}, {"prover", {{"device", {{"name", which.from}}}}}}}};
  const double as_expected_rate = honest ? which.pass_rate : 1 - which.pass_rate;
  const Json summary = {{"experiment", "exp2"},
                        {"scenario", which.scenario},
                        {"model", "m"},
                        {"title", "devices compared"},
                        {"attack", which.attack},
                        {"lazy_verifier", which.lazy_verifier},
                        {"expected_result", honest ? "ACCEPT" : "REJECT"},
                        {"inference_device", which.from},
                        {"verification_device", which.to},
                        {"num_trials", 1},
                        {"num_verifiers_per_trial", 1},
                        {"trials", {trial}},
                        {"aggregate",
                         {{"avg_accept_rate", 0.95},
                          {"avg_overhead_percentage", 2.0},
                          {"pass_rate", which.pass_rate},
                          {"as_expected_rate", as_expected_rate},
                          {"first_as_expected", which.first_as_expected},
                          {"avg_accept_rate_without_embeddings", 0.94},
                          {"avg_accept_rate_published_plan", nullptr},
                          {"avg_accept_rate_by_policy", {{"paper", 0.95}, {"reference", 0.9979}}}}},
                        {"context", {{"settings", {{"policy", "paper"}, {"thresholds", {{"accept_rate", 0.9}}}}}}}};
  std::string label = which.from + "_to_" + which.to;
  if (which.attack != "none") label = which.attack + "_" + which.from + "_to_fp_" + which.to;
  if (which.lazy_verifier != "none") label = "fp_" + which.from + "_to_" + which.lazy_verifier + "_" + which.to;
  WriteFile(folder / ("m_" + label + "_trial1.json"), trial.dump());
  WriteFile(folder / ("m_" + label + "_summary.json"), summary.dump());
}

}  // namespace verillm

#endif  // VERILLM_REPORT_TEST_SUPPORT_H_
