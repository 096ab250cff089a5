#include "report/detection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::SizeIs;
using testing::StartsWith;

using Responses = std::vector<std::vector<double>>;

// --- areas

// 2 lies above one honest value and ties with two: 2 of 4; 4 lies above all.
TEST(AreaUnderCurve, CountsTiesHalf) {
  EXPECT_DOUBLE_EQ(AreaUnderCurve({1, 2, 2, 3}, {2, 4}), (2.0 / 4 + 4.0 / 4) / 2);
  EXPECT_DOUBLE_EQ(AreaUnderCurve({3, 2, 1, 2}, {4, 2}), 0.75);
  EXPECT_DOUBLE_EQ(AreaUnderCurve({1, 1, 1}, {1, 1}), 0.5);
}

TEST(AreaUnderCurve, IsOneMinusItselfWithSidesChanged) {
  const std::vector<double> a = {0.5, 1, 2, 2.5};
  const std::vector<double> b = {1, 1.5, 3};
  EXPECT_DOUBLE_EQ(AreaUnderCurve(a, b), (1.5 + 2 + 4) / 12);
  EXPECT_DOUBLE_EQ(AreaUnderCurve(b, a), 1 - (1.5 + 2 + 4) / 12);
}

TEST(AreaUnderCurve, IsOneOrZeroWhereValuesDoNotMix) {
  EXPECT_EQ(AreaUnderCurve({1, 2}, {3, 4, 5}), 1);
  EXPECT_EQ(AreaUnderCurve({3, 4, 5}, {1, 2}), 0);
}

TEST(AreaUnderCurve, IsUndefinedWithoutValues) {
  EXPECT_TRUE(std::isnan(AreaUnderCurve({}, {1})));
  EXPECT_TRUE(std::isnan(AreaUnderCurve({1}, {})));
}

std::vector<double> Flat(const Responses& responses) {
  std::vector<double> values;
  for (const auto& response : responses) values.insert(values.end(), response.begin(), response.end());
  return values;
}

TEST(AreaInterval, ContainsTheArea) {
  const Responses honest = {{1, 2, 3}, {2, 3, 4}, {0, 1, 2}, {3, 4, 5}, {1, 3, 5}};
  const Responses cheating = {{3, 4, 5}, {2, 4, 6}, {1, 2, 6}, {4, 5, 5}};
  const double area = AreaUnderCurve(Flat(honest), Flat(cheating));
  const Interval interval = AreaInterval(honest, cheating);
  EXPECT_LT(interval.low, area - 0.02);
  EXPECT_GT(interval.high, area + 0.02);
  EXPECT_GT(interval.low, 0.4);
  EXPECT_LT(interval.high, 1);
}

TEST(AreaInterval, IsAlwaysTheSame) {
  const Responses honest = {{1, 2, 3}, {2, 3, 4}, {0, 1, 2}};
  const Responses cheating = {{3, 4, 5}, {2, 4, 6}, {1, 2, 6}};
  const Interval first = AreaInterval(honest, cheating);
  const Interval second = AreaInterval(honest, cheating);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
}

TEST(AreaInterval, IsOneWhereValuesDoNotMix) {
  const Interval interval = AreaInterval({{1, 2}, {2, 3}, {1, 1}}, {{4, 5}, {6, 7}});
  EXPECT_EQ(interval.low, 1);
  EXPECT_EQ(interval.high, 1);
}

// Whole responses are drawn, so that many positions of one response do not make it narrow: one response a side is always itself.
TEST(AreaInterval, DrawsResponsesAndNotPositions) {
  const Interval one = AreaInterval({{1, 2, 3}}, {{2, 3, 4}});
  EXPECT_DOUBLE_EQ(one.low, 7.0 / 9);  // 1.5, 2.5 and 3 of 3
  EXPECT_DOUBLE_EQ(one.high, 7.0 / 9);

  // Of two responses one mixes and one does not, whatever their length.
  const Responses honest = {std::vector<double>(100, 0.0)};
  const Interval two = AreaInterval(honest, {std::vector<double>(100, 0.0), std::vector<double>(100, 1.0)});
  EXPECT_EQ(two.low, 0.5);
  EXPECT_EQ(two.high, 1);
}

// Clopper and Pearson's interval for 10 trials: 1 - 0.025^(1/10) = 0.3085 where none succeeds.
TEST(RateInterval, EqualsKnownValues) {
  EXPECT_EQ(RateInterval(0, 10).low, 0);
  EXPECT_NEAR(RateInterval(0, 10).high, 1 - std::pow(0.025, 0.1), 1e-12);
  EXPECT_NEAR(RateInterval(0, 10).high, 0.3085, 5e-5);
  EXPECT_NEAR(RateInterval(10, 10).low, 0.6915, 5e-5);
  EXPECT_EQ(RateInterval(10, 10).high, 1);
  EXPECT_NEAR(RateInterval(5, 10).low, 0.1871, 5e-5);
  EXPECT_NEAR(RateInterval(5, 10).high, 0.8129, 5e-5);
  EXPECT_NEAR(RateInterval(1, 1).low, 0.025, 1e-12);
}

TEST(RateInterval, NarrowsWithTheNumberOfTrials) {
  EXPECT_LT(RateInterval(50, 100).high - RateInterval(50, 100).low, 0.21);
  EXPECT_GT(RateInterval(50, 100).high - RateInterval(50, 100).low, 0.19);  // 2 * 1.96 * sqrt(0.25 / 100), and a correction
}

// --- trials

// What one verifier says of a response.
struct Answer {
  Json element_errors = Json::array();
  double accept_rate = 1;
  bool paper_rejects = false;
  std::optional<int> calibrated_rejects_after = {};  // it accepts otherwise
  Json scores = nullptr;                             // null: there is no calibration
  Json margins = nullptr;                            // null: sampling was not checked
};

Json VerifierJson(const Answer& answer) {
  Json json = {{"series", {{"log_element_error", answer.element_errors}}},
               {"policies",
                {{"paper", {{"accept_rate", answer.accept_rate}, {"verdict", answer.paper_rejects ? "reject" : "accept"}}},
                 {"reference", {{"accept_rate", 0.5}, {"verdict", "accept"}}}}}};
  if (!answer.scores.is_null()) {
    json["series"]["state_score"] = answer.scores;
    json["policies"]["calibrated"] = {{"accept_rate", 1.0},
                                      {"verdict", answer.calibrated_rejects_after ? "reject" : "accept"},
                                      {"decided_after", answer.calibrated_rejects_after.value_or(7)}};
  }
  if (!answer.margins.is_null()) json["series"]["margin"] = answer.margins;
  return json;
}

Json Trial(const std::string& attack, const std::vector<Answer>& answers, const std::string& lazy_verifier = "none") {
  Json verifiers = Json::array();
  for (const Answer& answer : answers) verifiers.push_back(VerifierJson(answer));
  return {{"attack", attack}, {"lazy_verifier", lazy_verifier}, {"verifiers", std::move(verifiers)}};
}

// Two honest responses and three of "weights-q8_0", of which the policy calibrated rejects two, and one of "other-prompt".
std::vector<Json> HandMadeTrials() {
  return {Trial("weights-q8_0", {{.element_errors = {-3, -2},
                                  .accept_rate = 0.25,
                                  .paper_rejects = true,
                                  .calibrated_rejects_after = 3,
                                  .scores = {0.5, 2},
                                  .margins = {0.5, 9}}}),
          Trial("none", {{.element_errors = {-5, -4}, .scores = {-1, -0.5}, .margins = {0, 0.25}}}),
          Trial("weights-q8_0", {{.element_errors = {-4, -1},
                                  .accept_rate = 0.5,
                                  .paper_rejects = true,
                                  .calibrated_rejects_after = 11,
                                  .scores = {-0.5, 3},
                                  .margins = {0.125, 0.125}},
                                 {.element_errors = {-2, -2}, .accept_rate = 0.75, .scores = {0.1, 0.2}, .margins = {0, 0}}}),
          Trial("other-prompt", {{.element_errors = {0, 0},
                                  .accept_rate = 0,
                                  .paper_rejects = true,
                                  .calibrated_rejects_after = 1,
                                  .scores = {9, 9},
                                  .margins = {0, 0.25}}}),
          Trial("none", {{.element_errors = {-5, nullptr}, .accept_rate = 0.5, .scores = {-1, nullptr}, .margins = {0, 0}}})};
}

TEST(DetectionOf, HasAnEntryForEachAttackWithTheHonestOneFirst) {
  std::vector<std::string> attacks;
  for (const Json& entry : DetectionOf(HandMadeTrials())) attacks.push_back(entry.at("attack").get<std::string>());
  EXPECT_THAT(attacks, ElementsAre("none", "weights-q8_0", "other-prompt"));
}

TEST(DetectionOf, CountsResponsesAndVerdicts) {
  const Json detection = DetectionOf(HandMadeTrials());
  ASSERT_THAT(detection, SizeIs(3));
  EXPECT_EQ(detection[0].at("n_responses"), 2);
  EXPECT_EQ(detection[0].at("verdicts").at("paper").at("accept"), 2);
  EXPECT_FALSE(detection[0].at("verdicts").at("paper").contains("reject"));
  EXPECT_EQ(detection[0].at("verdicts").at("calibrated").at("n"), 2);

  // Two verifiers of one trial are two responses.
  EXPECT_EQ(detection[1].at("n_responses"), 3);
  const Json& calibrated = detection[1].at("verdicts").at("calibrated");
  EXPECT_EQ(calibrated.at("reject"), 2);
  EXPECT_EQ(calibrated.at("accept"), 1);
  EXPECT_EQ(calibrated.at("n"), 3);
  const Interval interval = RateInterval(2, 3);
  EXPECT_EQ(calibrated.at("reject_rate_confidence_95"), Json({interval.low, interval.high}));
  EXPECT_EQ(detection[0].at("verdicts").at("calibrated").at("reject_rate_confidence_95")[0], 0);
}

TEST(DetectionOf, AveragesErrorsMarginsAndRates) {
  const Json detection = DetectionOf(HandMadeTrials());
  EXPECT_NEAR(detection[0].at("mean_log_element_error").get<double>(), -14.0 / 3, 1e-12);  // the null is left out
  EXPECT_NEAR(detection[1].at("mean_log_element_error").get<double>(), -14.0 / 6, 1e-12);
  // Margins count as 1 at most: 0.75, 0.125 and 0.
  EXPECT_NEAR(detection[1].at("mean_margin").get<double>(), 0.875 / 3, 1e-12);
  EXPECT_EQ(detection[0].at("accept_rate").at("paper"), 0.75);
  EXPECT_EQ(detection[1].at("accept_rate").at("paper"), 0.5);
  EXPECT_EQ(detection[1].at("accept_rate").at("reference"), 0.5);
}

TEST(DetectionOf, SaysHowManyPositionsRejectionsTook) {
  const Json detection = DetectionOf(HandMadeTrials());
  EXPECT_TRUE(detection[0].at("positions_needed").is_null());
  EXPECT_EQ(detection[1].at("positions_needed").dump(), R"({"median":11.0,"most":11.0})");
  EXPECT_EQ(detection[2].at("positions_needed").dump(), R"({"median":1.0,"most":1.0})");
}

TEST(DetectionOf, HasTheAreasOfEachAttackAgainstTheHonestResponses) {
  const Json detection = DetectionOf(HandMadeTrials());
  for (const char* const area : {"element_error_one_position", "state_score_one_position", "margin_one_response"}) {
    EXPECT_FALSE(detection[0].contains(area)) << area;
  }
  // Honest -5, -5, -4: five of six values lie above all, -4 above two and ties with one.
  const Json& element = detection[1].at("element_error_one_position");
  EXPECT_NEAR(element.at("auc").get<double>(), (5 + 2.5 / 3) / 6, 1e-12);
  EXPECT_LE(element.at("confidence_95")[0], element.at("auc"));
  EXPECT_EQ(element.at("confidence_95")[1], 1);
  // Honest -1, -1, -0.5 likewise.
  EXPECT_NEAR(detection[1].at("state_score_one_position").at("auc").get<double>(), (5 + 2.5 / 3) / 6, 1e-12);
  // Means of margins 0.75, 0.125, 0 against honest 0.125, 0: 2, 1.5 and 0.5 of 2.
  EXPECT_NEAR(detection[1].at("margin_one_response").at("auc").get<double>(), 4.0 / 6, 1e-12);
  EXPECT_EQ(detection[2].at("state_score_one_position").dump(), R"({"auc":1.0,"confidence_95":[1.0,1.0]})");
}

TEST(DetectionOf, HasNoAreasOfWhatWasNotMeasured) {
  const Json detection = DetectionOf({Trial("none", {{.element_errors = {-5}}}), Trial("x", {{.element_errors = {-4}}})});
  ASSERT_THAT(detection, SizeIs(2));
  EXPECT_EQ(detection[1].at("element_error_one_position").at("auc"), 1);
  EXPECT_TRUE(detection[1].at("state_score_one_position").is_null());
  EXPECT_TRUE(detection[1].at("margin_one_response").is_null());
  EXPECT_TRUE(detection[1].at("mean_margin").is_null());
  EXPECT_FALSE(detection[1].at("verdicts").contains("calibrated"));
}

TEST(DetectionOf, LeavesResponsesWithoutAnyValueOutOfTheAreas) {
  const std::vector<Json> trials = {Trial("none", {{.element_errors = {nullptr, nullptr}}, {.element_errors = {-5, -4}}}),
                                    Trial("x", {{.element_errors = {-4.5, -4.5}}})};
  const Json detection = DetectionOf(trials);
  EXPECT_EQ(detection[0].at("n_responses"), 2);
  EXPECT_EQ(detection[1].at("element_error_one_position").dump(), R"({"auc":0.5,"confidence_95":[0.5,0.5]})");

  const Json nothing = DetectionOf({Trial("none", {{.element_errors = {nullptr}}}), Trial("x", {{.element_errors = {-4.5}}})});
  EXPECT_TRUE(nothing[0].at("mean_log_element_error").is_null());
  EXPECT_TRUE(nothing[1].at("element_error_one_position").is_null());
}

TEST(DetectionOf, LeavesTrialsOfLazyVerifiersOut) {
  std::vector<Json> trials = HandMadeTrials();
  const Json without = DetectionOf(trials);
  trials.push_back(Trial("none", {{.element_errors = {7, 7}, .paper_rejects = true}}, "sends-the-provers"));
  trials.push_back(Trial("weights-q4_0", {{.element_errors = {7, 7}, .paper_rejects = true}}, "says-yes"));
  EXPECT_EQ(DetectionOf(trials), without);
}

TEST(DetectionOf, IsEmptyWithFewerThanTwoKinds) {
  EXPECT_EQ(DetectionOf({}), Json::array());
  EXPECT_EQ(DetectionOf({HandMadeTrials()[1], HandMadeTrials()[4]}), Json::array());
  EXPECT_EQ(DetectionOf({HandMadeTrials()[0], HandMadeTrials()[2]}), Json::array());
}

std::vector<std::string> LinesOf(const Json& detection) {
  std::ostringstream out;
  PrintDetection(detection, out);
  std::istringstream in(out.str());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The cells of a row, which are two blanks or more apart.
std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::size_t begin = 0;
  while ((begin = line.find_first_not_of(' ', begin)) != std::string::npos) {
    const std::size_t end = std::min(line.find("  ", begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
    begin = end;
  }
  return cells;
}

TEST(PrintDetection, HasARowForEachAttackInBothTables) {
  const std::vector<std::string> lines = LinesOf(DetectionOf(HandMadeTrials()));
  ASSERT_THAT(lines, SizeIs(9));
  EXPECT_THAT(lines[0], StartsWith("attack"));
  EXPECT_THAT(Cells(lines[1]), ElementsAre("none (honest)", "-4.67", "0.062", "75.00 %", "50.00 %", "0/2", "0/2", "-"));
  EXPECT_THAT(Cells(lines[2]), ElementsAre("weights-q8_0", "-2.33", "0.29", "50.00 %", "50.00 %", "2/3", "2/3", "11"));
  EXPECT_THAT(Cells(lines[3]), ElementsAre("other-prompt", "0", "0.12", "0.00 %", "50.00 %", "1/1", "1/1", "1"));
  EXPECT_THAT(lines[5], StartsWith("areas under curves"));
  EXPECT_THAT(Cells(lines[6]), ElementsAre("none (honest)", "-", "-"));
  // The intervals are those of the bootstrap; no response has 8 positions, no short looks were taken.
  EXPECT_THAT(Cells(lines[7]), ElementsAre("weights-q8_0", StartsWith("0.9722 ("), "-", "-", StartsWith("0.9722 ("),
                                           StartsWith("0.6667 ("), "-", "-"));
  EXPECT_THAT(Cells(lines[8]), ElementsAre("other-prompt", "1.0000", "-", "-", "1.0000", StartsWith("0.7500"), "-", "-"));
}

TEST(PrintDetection, ShowsElementErrorsWhereThereIsNoCalibration) {
  const std::vector<std::string> lines =
      LinesOf(DetectionOf({Trial("none", {{.element_errors = {-5, -3}}}), Trial("x", {{.element_errors = {-4}}})}));
  ASSERT_THAT(lines, SizeIs(7));
  EXPECT_THAT(Cells(lines[2]), ElementsAre("x", "-4", "-", "100.00 %", "50.00 %", "0/1", "-", "-"));
  EXPECT_THAT(Cells(lines[6]), ElementsAre("x", "0.5000", "-", "-", "-", "-", "-", "-"));
}

// Of 10 and 30 stretches of one position 9 and 30 were rejected.
TEST(PrintDetection, ShowsWhatAPositionOrTwoAloneWouldHaveFound) {
  std::vector<Json> trials = {Trial("none", {{.element_errors = {-5}}}),
                              Trial("x", {{.element_errors = {-4}}, {.element_errors = {-4}}})};
  trials[1]["verifiers"][0]["short_looks"] = {{{"positions", 1}, {"n", 10}, {"n_rejected", 9}},
                                              {{"positions", 2}, {"n", 5}, {"n_rejected", 5}}};
  trials[1]["verifiers"][1]["short_looks"] = {{{"positions", 1}, {"n", 30}, {"n_rejected", 30}},
                                              {{"positions", 2}, {"n", 15}, {"n_rejected", 15}}};
  const Json detection = DetectionOf(trials);
  const Interval one = RateInterval(39, 40);
  EXPECT_EQ(detection[1].at("short_looks")[0].at("reject_rate"), 39.0 / 40);
  EXPECT_EQ(detection[1].at("short_looks")[0].at("confidence_95"), Json({one.low, one.high}));
  const std::vector<std::string> cells = Cells(LinesOf(detection).at(6));
  EXPECT_THAT(cells.at(6), "97.50 % (86.84-99.94)");
  EXPECT_THAT(cells.at(7), "100.00 % (83.16-100.00)");
}

TEST(PrintDetection, ShowsAttacksWithoutHonestTrials) {
  const Json detection = DetectionOf({Trial("x", {{.element_errors = {-5}}}), Trial("y", {{.element_errors = {-4}}})});
  const std::vector<std::string> lines = LinesOf(detection);
  ASSERT_THAT(lines, SizeIs(7));
  EXPECT_THAT(lines[1], StartsWith("x"));
  EXPECT_THAT(lines[2], StartsWith("y"));
  EXPECT_THAT(lines[6], EndsWith("-"));
}

}  // namespace
}  // namespace verillm
