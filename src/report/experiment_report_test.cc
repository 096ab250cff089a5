#include "report/experiment_report.h"

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"
#include "report/experiment_tables.h"
#include "report/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// By hand: standard error sqrt(2.5 / 5), t = 4.242641 with 4 degrees of freedom, whose 97.5 % quantile is 2.776445.
TEST(TestMean, EqualsTheTestByHand) {
  const MeanTest test = TestMean({1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(test.mean, 3);
  EXPECT_NEAR(test.low, 1.0367568, 1e-7);
  EXPECT_NEAR(test.high, 4.9632432, 1e-7);
  EXPECT_NEAR(test.p_value, 0.0132356, 1e-7);
  EXPECT_EQ(test.n_blocks, 5u);
}

// With two degrees of freedom the p-value has a closed form: 1 - t / sqrt(2 + t^2), here with t = sqrt(12).
TEST(TestMean, EqualsTheClosedFormForThreeValues) {
  EXPECT_NEAR(TestMean({1, 2, 3}).p_value, 1 - std::sqrt(12.0 / 14.0), 1e-12);
  EXPECT_NEAR(TestMean({-1, -2, -3}).p_value, 1 - std::sqrt(12.0 / 14.0), 1e-12);
}

TEST(TestMean, FewerThanTwoValuesTestNothing) {
  const MeanTest one = TestMean({3});
  EXPECT_EQ(one.mean, 3);
  EXPECT_EQ(one.n_blocks, 1u);
  const MeanTest none = TestMean({});
  EXPECT_EQ(none.n_blocks, 0u);
  for (const double value : {one.low, one.high, one.p_value, none.low, none.high, none.p_value}) EXPECT_TRUE(std::isnan(value));
}

TEST(TestMean, ValuesWithoutSpreadAreCertain) {
  const MeanTest zero = TestMean({0, 0, 0});
  EXPECT_EQ(zero.p_value, 1);
  EXPECT_EQ(zero.low, 0);
  EXPECT_EQ(zero.high, 0);
  const MeanTest two = TestMean({2, 2});
  EXPECT_EQ(two.p_value, 0);
  EXPECT_EQ(two.low, 2);
  EXPECT_EQ(two.high, 2);
}

// By hand: means 3 and 5, variances 2.5 and 20/3, so parts 1/2 and 5/3; 4.749415 degrees of freedom, t = -1.358732. The integral
// of the density gives the rest.
TEST(TestDifference, EqualsWelchsTestByHand) {
  const MeanTest test = TestDifference({1, 2, 3, 4, 5}, {2, 4, 6, 8});
  EXPECT_DOUBLE_EQ(test.mean, -2);
  EXPECT_NEAR(test.low, -5.8446364, 1e-7);
  EXPECT_NEAR(test.high, 1.8446364, 1e-7);
  EXPECT_NEAR(test.p_value, 0.2351941, 1e-7);
  EXPECT_EQ(test.n_blocks, 9u);
}

TEST(TestDifference, ChangesSignWithItsSides) {
  const MeanTest test = TestDifference({1, 2, 3, 4, 5}, {2, 4, 6, 8});
  const MeanTest reverse = TestDifference({2, 4, 6, 8}, {1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(reverse.mean, -test.mean);
  EXPECT_DOUBLE_EQ(reverse.low, -test.high);
  EXPECT_DOUBLE_EQ(reverse.p_value, test.p_value);
}

TEST(TestDifference, SidesWithoutSpreadAreCertain) {
  EXPECT_EQ(TestDifference({1, 1}, {1, 1}).p_value, 1);
  EXPECT_EQ(TestDifference({1, 1}, {2, 2}).p_value, 0);
}

TEST(TestDifference, OneValueOnASideTestsNothing) {
  const MeanTest test = TestDifference({1, 2, 3}, {4});
  EXPECT_EQ(test.mean, -2);
  EXPECT_EQ(test.n_blocks, 4u);
  EXPECT_TRUE(std::isnan(test.p_value));
}

TEST(BlockMeans, AreOfConsecutiveValues) { EXPECT_THAT(BlockMeans(Json{1, 3, 10, 20}, 2), ElementsAre(2, 15)); }

TEST(BlockMeans, LeaveALastBlockOfLessThanHalfTheSizeOut) {
  EXPECT_THAT(BlockMeans(Json{1, 1, 1, 1, 9}, 4), ElementsAre(1));
  EXPECT_THAT(BlockMeans(Json{1, 1, 1, 1, 9, 9}, 4), ElementsAre(1, 9));
}

TEST(BlockMeans, KeepTheFirstBlockHoweverShort) { EXPECT_THAT(BlockMeans(Json{1, 3}, 50), ElementsAre(2)); }

TEST(BlockMeans, LeaveNullsOut) {
  EXPECT_THAT(BlockMeans(Json{1, nullptr, nullptr, nullptr, nullptr, 4}, 2), ElementsAre(1, 4));
  EXPECT_THAT(BlockMeans(Json::array(), 2), IsEmpty());
}

void WriteDirection(const TestFolder& folder, int scenario, const std::string& from, const std::string& to,
                    const std::vector<double>& cross, const std::vector<double>& baseline, const std::vector<double>& slopes) {
  WriteCase(folder, {.scenario = scenario, .from = from, .to = to, .cross = cross, .baseline = baseline, .slopes = slopes});
}

void WriteBothDirections(const TestFolder& folder) {
  WriteDirection(folder, 1, "a", "b", {-2, -3, -4}, {-5, -5, -5}, {0.10, 0.11, 0.12});
  WriteDirection(folder, 2, "b", "a", {-6, -6.5, -7}, {-6, -6.5, -7}, {-0.10, -0.11, -0.12});
}

TEST(ExperimentReport, FolderWithoutSummariesIsAnIoError) {
  const TestFolder folder;
  ExpectError([&] { ExperimentReport(folder.path()); }, ErrorKind::kIo,
              HasSubstr("has no summary of an experiment (*_summary.json)"));
  ExpectError([&] { ExperimentReport(folder / "nowhere"); }, ErrorKind::kIo, HasSubstr("has no summary of an experiment"));
}

TEST(ExperimentReport, MissingTrialIsAnIoError) {
  const TestFolder folder;
  WriteBothDirections(folder);
  std::filesystem::remove(folder / "m_b_to_a_trial1.json");
  ExpectError([&] { ExperimentReport(folder.path()); }, ErrorKind::kIo,
              AllOf(StartsWith((folder / "m_b_to_a_trial1.json").string()), EndsWith("No such file or directory")));
}

TEST(ExperimentReport, ResultsOfAnotherShapeAreAnInputError) {
  const TestFolder folder;
  for (const char* const text : {"{}", "[]", "{\"num_trials\": 0}", "{\"num_trials\": \"one\"}"}) {
    WriteFile(folder / "x_summary.json", text);
    ExpectError([&] { ExperimentReport(folder.path()); }, ErrorKind::kInput,
                HasSubstr("its results are not as this version writes them"));
  }
  WriteFile(folder / "x_summary.json", "{");
  ExpectError([&] { ExperimentReport(folder.path()); }, ErrorKind::kInput, HasSubstr("x_summary.json: is not JSON"));
}

TEST(ExperimentReport, AnswersTheQuestionsWithATestEach) {
  const TestFolder folder;
  WriteBothDirections(folder);
  const Json report = ExperimentReport(folder.path());
  ASSERT_EQ(report.at("directions").size(), 2u);
  EXPECT_EQ(report.at("directions")[0].at("inference_device"), "a");
  EXPECT_EQ(report.at("directions")[0].at("prompt_tokens"), 300);
  EXPECT_EQ(report.at("directions")[0].at("baseline_accept_rate"), 0.996);

  std::vector<std::string> questions;
  for (const Json& question : report.at("questions")) {
    questions.push_back(question.at("question").get<std::string>() + ": " + question.at("direction").get<std::string>());
  }
  EXPECT_THAT(questions, ElementsAre("device difference: a to b", "depth: a to b", "device difference: b to a", "depth: b to a",
                                     "direction: a to b against the reverse"));
  // Differences 3, 2, 1 of three blocks: see TestMean above.
  const Json& difference = report.at("questions")[0].at("test");
  EXPECT_NEAR(difference.at("estimate").get<double>(), 2, 1e-12);
  EXPECT_NEAR(difference.at("p_value").get<double>(), 1 - std::sqrt(12.0 / 14.0), 1e-9);
  EXPECT_EQ(difference.at("n_blocks"), 3);
  EXPECT_EQ(report.at("questions")[2].at("test").at("p_value"), 1);
}

TEST(ExperimentReport, OneDirectionHasNoReverse) {
  const TestFolder folder;
  WriteDirection(folder, 1, "a", "b", {-2, -3, -4}, {-5, -5, -5}, {0.10, 0.11, 0.12});
  const Json report = ExperimentReport(folder.path());
  EXPECT_EQ(report.at("questions").size(), 2u);
  for (const Json& question : report.at("questions")) EXPECT_NE(question.at("question"), "direction");
}

TEST(ExperimentReport, TooShortASeriesHasNoTest) {
  const TestFolder folder;
  WriteDirection(folder, 1, "a", "b", {-2}, {-5}, {0.10});
  const Json report = ExperimentReport(folder.path());
  EXPECT_TRUE(report.at("questions")[0].at("test").at("p_value").is_null());
  std::ostringstream out;
  PrintExperimentReport(report, out);
  EXPECT_THAT(out.str(),
              HasSubstr("  a to b: factor 20.086 (95 %: - to -; p -; 1 blocks of 50 positions): no difference shown\n"));
}

// The honest case of a to b, a prover with quantised weights, and a verifier that computes nothing.
void WriteCheats(const TestFolder& folder) {
  WriteDirection(folder, 1, "a", "b", {-2, -3, -4}, {-5, -5, -5}, {0.10, 0.11, 0.12});
  WriteCase(folder, {.from = "a",
                     .to = "b",
                     .cross = {-1},
                     .element_errors = {-2},
                     .attack = "weights-q8_0",
                     .pass_rate = 0,
                     .first_as_expected = 1});
  WriteCase(folder, {.from = "a",
                     .to = "b",
                     .cross = {-1},
                     .element_errors = {0},
                     .lazy_verifier = "says-yes",
                     .pass_rate = 0,
                     .first_as_expected = 4});
}

TEST(ExperimentReport, CasesWithCheatsAnswerNoQuestions) {
  const TestFolder folder;
  WriteCheats(folder);
  const Json report = ExperimentReport(folder.path());
  ASSERT_EQ(report.at("directions").size(), 3u);
  int n_baselines = 0;
  for (const Json& which : report.at("directions")) {
    const bool honest = which.at("attack") == "none" && which.at("lazy_verifier") == "none";
    EXPECT_EQ(which.at("baseline_accept_rate"), honest ? Json(0.996) : Json(nullptr));
    EXPECT_EQ(which.at("expected_result"), honest ? "ACCEPT" : "REJECT");
    EXPECT_EQ(which.at("title"), "devices compared");
    n_baselines += honest;
  }
  EXPECT_EQ(n_baselines, 1);
  EXPECT_EQ(report.at("questions").size(), 2u);
  for (const Json& question : report.at("questions")) EXPECT_EQ(question.at("direction"), "a to b");
}

TEST(ExperimentReport, DetectionIsOfProversThatCheat) {
  const TestFolder folder;
  WriteCheats(folder);
  const Json detection = ExperimentReport(folder.path()).at("detection");
  ASSERT_EQ(detection.size(), 2u);
  EXPECT_EQ(detection[0].at("attack"), "none");
  EXPECT_EQ(detection[0].at("n_responses"), 1);
  EXPECT_EQ(detection[1].at("attack"), "weights-q8_0");
  EXPECT_EQ(detection[1].at("mean_log_element_error"), -2);
  EXPECT_EQ(detection[1].at("element_error_one_position").at("auc"), 1);
}

TEST(ExperimentReport, HonestCasesAloneHaveNoDetection) {
  const TestFolder folder;
  WriteBothDirections(folder);
  EXPECT_EQ(ExperimentReport(folder.path()).at("detection"), Json::array());
}

TEST(PrintExperimentReport, HoldsEachCaseAgainstWhatWasExpected) {
  const TestFolder folder;
  WriteCheats(folder);
  std::ostringstream out;
  PrintExperimentReport(ExperimentReport(folder.path()), out);
  EXPECT_THAT(out.str(), StartsWith("exp2: devices compared\n\n"
                                    "prover  verifier  cheat         policy  accept rate    passed  expected  as expected\n"
                                    "a       b         none          paper       95.00 %  100.00 %  accept       100.00 %\n"
                                    "a       b         says-yes      paper       95.00 %    0.00 %  reject      in task 4\n"
                                    "a       b         weights-q8_0  paper       95.00 %    0.00 %  reject       100.00 %\n"
                                    "\n"
                                    "attack "));
  EXPECT_THAT(out.str(), HasSubstr("\nweights-q8_0  "));
  // The comparison of devices is of the honest case alone.
  EXPECT_THAT(out.str(), HasSubstr("\n\n                              a to b\nscenario                           1\n"));
}

TEST(PrintExperimentReport, SaysWhereALazyVerifierIsNeverCaught) {
  const TestFolder folder;
  WriteCase(folder, {.from = "a", .to = "b", .cross = {-1}, .lazy_verifier = "says-yes", .first_as_expected = nullptr});
  std::ostringstream out;
  PrintExperimentReport(ExperimentReport(folder.path()), out);
  EXPECT_THAT(out.str(), HasSubstr("a       b         says-yes  paper       95.00 %  100.00 %  reject          never\n"));
  EXPECT_THAT(out.str(), Not(HasSubstr("scenario")));  // no honest case
  EXPECT_THAT(out.str(), Not(HasSubstr("AUC")));       // and nobody who cheats as a prover
}

TEST(PrintExperimentReport, ShowsDirectionsSideBySide) {
  const TestFolder folder;
  WriteBothDirections(folder);
  std::ostringstream out;
  PrintExperimentReport(ExperimentReport(folder.path()), out);
  EXPECT_THAT(out.str(), HasSubstr("\n\n                              a to b      b to a\n"
                                   "scenario                           1           2\n"
                                   "model                              m           m\n"
                                   "trials x verifiers             1 x 1       1 x 1\n"
                                   "prompt + output tokens    300 + 1000  300 + 1000\n"
                                   "accept rate (paper)          95.00 %     95.00 %\n"
                                   "  without the embeddings     94.00 %     94.00 %\n"
                                   "  published plan alone             -           -\n"
                                   "  same device                99.60 %     99.60 %\n"
                                   "accept rate (reference)      99.79 %     99.79 %\n"
                                   "criterion                  > 90.00 %   > 90.00 %\n"
                                   "trials passed               100.00 %    100.00 %\n"
                                   "tokens per second                8.0         8.0\n"
                                   "inference                 2 min 05 s  2 min 05 s\n"
                                   "verification                  2.50 s      2.50 s\n"
                                   "overhead of one verifier      2.00 %      2.00 %\n\n"));
}

TEST(PrintExperimentReport, ShowsTheCapturePointsOfEachDirection) {
  const TestFolder folder;
  WriteBothDirections(folder);
  std::ostringstream out;
  PrintExperimentReport(ExperimentReport(folder.path()), out);
  const std::string points =
      "layer     Pe  Pm   Pw  mean error  relative error  accepted\n"
      "0      0.025   -  0.9   -0.000123           0.004       7/8\n"
      "final  0.025   -  0.9   -0.000123           0.004       7/8\n";
  EXPECT_THAT(out.str(), HasSubstr("\na to b\n" + points + "\nb to a\n" + points));
}

// exp(2) = 7.389, its bounds exp(2 -/+ 4.302653 / sqrt(3)); exp(3.5) = 33.115; slopes 0.11 -/+ 4.302653 * 0.01 / sqrt(3).
TEST(PrintExperimentReport, GivesEachAnswerWithItsUncertainty) {
  const TestFolder folder;
  WriteBothDirections(folder);
  std::ostringstream out;
  PrintExperimentReport(ExperimentReport(folder.path()), out);
  const std::string text = out.str();
  for (const char* const line :
       {"  a to b: factor 7.389 (95 %: 0.616 to 88.601; p = 0.074; 3 blocks of 50 positions): no difference shown\n",
        "  b to a: factor 1.000 (95 %: 1.000 to 1.000; p = 1.000; 3 blocks of 50 positions): no difference shown\n",
        "  a to b against the reverse: factor 33.115 (95 %: 4.147 to 264.463; p = 0.013; 6 blocks of 50 positions): the "
        "directions differ\n",
        "  a to b: +0.1100 (95 %: +0.0852 to +0.1348; p = 0.003; 3 blocks of 50 positions): it grows\n",
        "  b to a: -0.1100 (95 %: -0.1348 to -0.0852; p = 0.003; 3 blocks of 50 positions): it shrinks\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

}  // namespace
}  // namespace verillm
