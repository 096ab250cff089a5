#include "page/report_pages.h"

#include <string>

#include "base/test_support.h"
#include "report/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(ExperimentPage, BeginsWithVerdictsAndHasEveryFigureOfTheResults) {
  const TestFolder folder;
  const Json pairs = {{"token_0_layer_8", {{"verdict", "ACCEPT"}}}};
  WriteCase(folder,
            {.from = "a", .to = "b", .cross = {-2, -3}, .baseline = {-3, -3}, .element_errors = {-4, -5}, .pairs = pairs});
  WriteCase(folder,
            {.from = "a", .to = "b", .cross = {-1}, .element_errors = {-2}, .attack = "<x>", .pass_rate = 0, .pairs = pairs});
  const std::string html = ExperimentPage(folder.path());
  EXPECT_LT(html.find("As expected in all 2 cases."), html.find("<h2>"));
  for (const char* const part :
       {"<h1>devices compared</h1>", "Do the devices differ?", "id=\"error-by-depth-honest-runs\"", "id=\"pe-by-depth-cheats\"",
        "id=\"error-by-position-honest-runs\"", "id=\"accepted-cheats\"", "id=\"error-distribution-cheats\"", "id=\"roc-cheats\"",
        "id=\"area-by-positions-cheats\"", "&lt;x&gt;", "threshold of policy paper"}) {
    EXPECT_THAT(html, HasSubstr(part)) << part;
  }
  EXPECT_THAT(html, Not(HasSubstr("<x>")));
  EXPECT_THAT(html, Not(HasSubstr("rejected-within")));  // no calibration
}

TEST(ExperimentPage, SaysWhatDidNotComeOutAsExpected) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .baseline = {-3}});
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-1}, .attack = "x", .pass_rate = 1});
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-1}, .lazy_verifier = "y", .first_as_expected = nullptr});
  const std::string html = ExperimentPage(folder.path());
  EXPECT_THAT(html,
              AllOf(HasSubstr("<p class=\"verdict mixed\">As expected in 1 of 3 cases.</p>"), HasSubstr("<tr class=\"bad\">")));
}

TEST(ExperimentPage, FolderWithoutResultsIsAnIoErrorThatSaysWhatToDo) {
  const TestFolder folder;
  ExpectError([&] { ExperimentPage(folder.path()); }, ErrorKind::kIo,
              AllOf(HasSubstr(folder.path().string()), HasSubstr("verillm experiment run")));
}

TEST(ExperimentPage, ResultOfAnotherShapeIsAnInputError) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-2}, .baseline = {-3}});
  WriteFile(folder / "m_a_to_b_trial1.json", "{\"verifiers\": [{}]}");
  ExpectError([&] { ExperimentPage(folder.path()); }, ErrorKind::kInput,
              HasSubstr("its results are not as this version writes them"));
}

Json HandMadeVerification() {
  const Json point = {
      {"Pe", 0.02},        {"Pm", 0.7},       {"Pw", 0.9}, {"mean_signed_error", -0.001}, {"median_relative_error", 0.004},
      {"accept_count", 7}, {"total_count", 8}};
  const auto device = [](const char* name) {
    return Json{{"name", name}, {"description", "a <chip>"}, {"backend", "CPU"}, {"engine", "llama.cpp 1"}};
  };
  return {{"verdict", "reject"},
          {"policy", "paper"},
          {"reason", "because"},
          {"prover", device("a")},
          {"verifier", device("b")},
          {"model", {{"name", "m"}, {"digest", "d"}}},
          {"n_prompt", 3},
          {"n_output", 8},
          {"n_checked", 8},
          {"verification_seconds", 1.5},
          {"thresholds", {{"Pe", 0.05}}},
          {"measures", nullptr},
          {"per_capture_point", {{"8", point}, {"final", point}}},
          {"margins", {0.0, 0.5}}};
}

TEST(VerificationPage, BeginsWithTheVerdict) {
  const TestFolder folder;
  WriteFile(folder / "v.json", HandMadeVerification().dump());
  const std::string html = VerificationPage(folder / "v.json");
  EXPECT_THAT(html, HasSubstr("<p class=\"verdict bad\">reject by policy paper: because</p>"));
  for (const char* const part : {"a to b", "a: a &lt;chip&gt; (CPU, llama.cpp 1)", "id=\"error-by-depth\"", "id=\"pe-by-depth\"",
                                 "id=\"margin-by-position\"", "<td>7/8</td>"}) {
    EXPECT_THAT(html, HasSubstr(part)) << part;
  }
}

TEST(VerificationPage, FileOfAnotherKindIsAnInputErrorThatSaysWhatToName) {
  const TestFolder folder;
  for (const char* const text : {"{}", "[]", "3"}) {
    WriteFile(folder / "v.json", text);
    ExpectError([&] { VerificationPage(folder / "v.json"); }, ErrorKind::kInput,
                AllOf(HasSubstr((folder / "v.json").string()), HasSubstr("verillm verify --json")));
  }
}

}  // namespace
}  // namespace verillm
