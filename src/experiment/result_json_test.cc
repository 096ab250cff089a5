#include "experiment/result_json.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

// 100 elements, one of them infinite: 20 with another sign or exponent (12 of them with distant mantissas), 60 of the other 79
// with close mantissas; absolute errors: 30 zero, 9 above 0.2, 4 of these above 5.
PairStatistics HandMadePair() {
  PairStatistics statistics;
  statistics.n_elements = 100;
  statistics.n_nonfinite = 1;
  statistics.n_exact = 29;
  statistics.n_mismatch = 20;
  statistics.n_mismatch_large = 12;
  statistics.n_match_small = 60;
  statistics.n_error_zero = 30;
  statistics.n_error_above_02 = 9;
  statistics.n_error_above_5 = 4;
  statistics.sum_error = -9.9;
  statistics.sum_abs_error = 19.8;
  statistics.max_abs_error = 7.123456789;
  statistics.sum_squared_error = 4;
  statistics.sum_squared_verifier = 25;
  return statistics;
}

// One element with this relative error.
PairStatistics PairWithRelativeError(double error) {
  PairStatistics statistics;
  statistics.n_elements = 1;
  statistics.sum_squared_error = error * error;
  statistics.sum_squared_verifier = 1;
  return statistics;
}

// Layers 0, 8 and final at positions 10 and 11; the pair of final at 11 is missing.
ResponseDiscrepancy HandMadeResponse() {
  ResponseDiscrepancy response;
  response.plan.points = {CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Final()};
  response.positions = {10, 11};
  for (const int position : response.positions) {
    for (const CapturePoint point : response.plan.points) {
      if (position == 11 && point.is_final()) continue;
      response.pairs.push_back({.point = point, .position = position, .statistics = HandMadePair(), .element_error = 0.015625});
    }
  }
  return response;
}

// A verdict on it: everything at layer 0 accepted, half of layer 8, nothing of final.
PolicyResult HandMadeResult() {
  PolicyResult result;
  result.policy = "paper";
  result.version = 1;
  result.verdict = Verdict::kReject;
  result.reason = "because";
  result.accept_count = 3;
  result.total_count = 6;
  result.pair_failures = {"", "", "Pe", "", "Pe"};
  const auto add = [&](CapturePoint point, std::size_t accepted) {
    result.points.push_back(
        {.point = point, .pool = HandMadePair(), .accept_count = accepted, .total_count = 2, .pool_failure = ""});
  };
  add(CapturePoint::Layer(0), 2);
  add(CapturePoint::Layer(8), 1);
  add(CapturePoint::Final(), 0);
  result.points.back().pool_failure = "Pm";
  return result;
}

TEST(PublishedStatistics, HasAnEntryForEachPairUnderThePublishedName) {
  const Json statistics = PublishedStatistics(HandMadeResult(), HandMadeResponse());
  EXPECT_THAT(Keys(statistics), ElementsAre("per_layer", "summary"));
  // Tokens are counted from the first compared position.
  EXPECT_THAT(Keys(statistics.at("per_layer")),
              ElementsAre("token_0_layer_0", "token_0_layer_8", "token_0_layer_final", "token_1_layer_0", "token_1_layer_8"));
}

TEST(PublishedStatistics, ClassesAreThoseOfThePublishedCode) {
  const Json entry = PublishedStatistics(HandMadeResult(), HandMadeResponse()).at("per_layer").at("token_0_layer_0");
  EXPECT_THAT(Keys(entry), ElementsAre("exact_match", "exp_match_large", "exp_match_small", "exp_mismatch_large",
                                       "exp_mismatch_small", "mean_error", "mean_signed_error", "max_error", "Pe", "Pm", "Pw",
                                       "relative_error", "element_error", "verdict"));
  EXPECT_EQ(entry.at("exact_match"), 30);
  EXPECT_EQ(entry.at("exp_match_large"), 9);
  EXPECT_EQ(entry.at("exp_match_small"), 60);  // 99 - 30 - 9
  EXPECT_EQ(entry.at("exp_mismatch_large"), 4);
  EXPECT_EQ(entry.at("exp_mismatch_small"), 5);
}

TEST(PublishedStatistics, SharesAndErrorsHaveSixDigits) {
  const Json entry = PublishedStatistics(HandMadeResult(), HandMadeResponse()).at("per_layer").at("token_0_layer_0");
  EXPECT_EQ(entry.at("mean_error"), 0.2);          // 19.8 / 99
  EXPECT_EQ(entry.at("mean_signed_error"), -0.1);  // -9.9 / 99
  EXPECT_EQ(entry.at("max_error"), 7.12346);
  EXPECT_EQ(entry.at("Pe"), 0.20202);          // 20 / 99
  EXPECT_EQ(entry.at("Pm"), 0.6);              // 12 / 20
  EXPECT_EQ(entry.at("Pw"), 0.759494);         // 60 / 79
  EXPECT_EQ(entry.at("relative_error"), 0.4);  // sqrt(4 / 25)
  EXPECT_EQ(entry.at("element_error"), 0.015625);
}

TEST(PublishedStatistics, VerdictsOfPairsFollowThePolicy) {
  const Json entries = PublishedStatistics(HandMadeResult(), HandMadeResponse()).at("per_layer");
  EXPECT_EQ(entries.at("token_0_layer_8").at("verdict"), "ACCEPT");
  EXPECT_EQ(entries.at("token_0_layer_final").at("verdict"), "REJECT");
}

TEST(PublishedStatistics, PairsThatAreNotJudgedHaveNoVerdict) {
  PolicyResult result = HandMadeResult();
  result.pair_failures.clear();
  for (const auto& [name, entry] : PublishedStatistics(result, HandMadeResponse()).at("per_layer").items())
    EXPECT_TRUE(entry.at("verdict").is_null()) << name;
}

TEST(PublishedStatistics, SummaryCountsMissingPairsToo) {
  const Json summary = PublishedStatistics(HandMadeResult(), HandMadeResponse()).at("summary");
  EXPECT_EQ(summary.dump(), R"({"accept_rate":0.5,"accept_count":3,"total_count":6,"avg_mean_error":0.2,"avg_Pe":0.20202,)"
                            R"("accept_rate_without_embeddings":0.25,"accept_rate_published_plan":0.75})");
}

TEST(PublishedStatistics, UndefinedSharesAreNull) {
  ResponseDiscrepancy response = HandMadeResponse();
  response.pairs = {{.point = CapturePoint::Layer(0), .position = 10, .statistics = {}, .element_error = std::nullopt}};
  response.pairs[0].statistics.max_abs_error = std::numeric_limits<double>::infinity();
  const Json entry = PublishedStatistics(HandMadeResult(), response).at("per_layer").at("token_0_layer_0");
  for (const char* const key : {"mean_error", "mean_signed_error", "max_error", "Pe", "Pm", "Pw", "element_error"})
    EXPECT_TRUE(entry.at(key).is_null()) << key;
}

TEST(PublishedStatistics, EmptyResponseIsNoPairsAndNullRates) {
  const Json statistics = PublishedStatistics({}, {});
  EXPECT_TRUE(statistics.at("per_layer").empty());
  EXPECT_TRUE(statistics.at("summary").at("accept_rate_without_embeddings").is_null());
  EXPECT_TRUE(statistics.at("summary").at("accept_rate_published_plan").is_null());
  EXPECT_EQ(statistics.at("summary").at("avg_Pe"), 0);
}

TEST(ToJson, PolicyResultHasPoolsByCapturePoint) {
  const Json json = ToJson(HandMadeResult(), HandMadeResponse());
  EXPECT_EQ(json.at("policy"), "paper");
  EXPECT_EQ(json.at("verdict"), "reject");
  EXPECT_EQ(json.at("reason"), "because");
  EXPECT_TRUE(json.at("decided_after").is_null());
  EXPECT_EQ(json.at("accept_rate"), 0.5);
  const Json& points = json.at("per_capture_point");
  EXPECT_THAT(Keys(points), ElementsAre("0", "8", "final"));
  EXPECT_EQ(points.at("8").at("accept_count"), 1);
  EXPECT_EQ(points.at("8").at("total_count"), 2);
  EXPECT_EQ(points.at("8").at("Pe"), 0.20202);
  EXPECT_EQ(points.at("8").at("median_relative_error"), 0.4);
  EXPECT_TRUE(points.at("8").at("pool_failure").is_null());
  EXPECT_EQ(points.at("final").at("pool_failure"), "Pm");
}

TEST(ToJson, PolicyResultSaysAfterHowManyPositionsItWasDecided) {
  PolicyResult result = HandMadeResult();
  result.decided_after = 7;
  EXPECT_EQ(ToJson(result, HandMadeResponse()).at("decided_after"), 7);
}

TEST(ToJson, MethodsOfOthersHaveParametersScoreAndMeasures) {
  PolicyResult result = HandMadeResult();
  EXPECT_TRUE(ToJson(result, HandMadeResponse()).at("score").is_null());
  EXPECT_TRUE(ToJson(result, HandMadeResponse()).at("measures").is_null());
  result.peer = PeerResult{.parameters = {{"k", 8}}, .score = 0.25, .measures = {{"bytes", 16}}};
  const Json json = ToJson(result, HandMadeResponse());
  EXPECT_EQ(json.at("thresholds"), (Json{{"k", 8.0}}));
  EXPECT_EQ(json.at("score"), 0.25);
  EXPECT_EQ(json.at("measures"), (Json{{"bytes", 16.0}}));
  result.peer->score = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(ToJson(result, HandMadeResponse()).at("score").is_null());
}

TEST(ToJson, StatisticsAreShares) {
  EXPECT_EQ(ToJson(HandMadePair()).dump(),
            R"({"n_elements":100,"n_nonfinite":1,"Pe":0.20202,"Pm":0.6,"Pw":0.759494,"exact_share":0.292929,)"
            R"("mean_error":0.2,"mean_signed_error":-0.1,"max_error":7.12346,"relative_error":0.4})");
}

TEST(ToJson, ThresholdsHaveTheNamesOfTheStatistics) {
  EXPECT_EQ(ToJson(Thresholds{}).dump(),
            R"({"Pe":0.05,"Pm":0.75,"Pw":0.5,"mean_error":0.01,"significance":0.01,"accept_rate":0.9})");
}

TEST(PublishedPoints, AreEveryEighthLayerWithoutFinal) {
  const std::vector<CapturePoint> of_eighths = PublishedPoints(PlanEvery(8, 30, true, StateType::kBF16));
  EXPECT_THAT(of_eighths,
              ElementsAre(CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Layer(16), CapturePoint::Layer(24)));
  EXPECT_EQ(PublishedPoints(PlanEvery(1, 30, true, StateType::kBF16)), of_eighths);
  EXPECT_THAT(PublishedPoints({{CapturePoint::Layer(7), CapturePoint::Final()}, StateType::kBF16}), IsEmpty());
}

TEST(AcceptRateAt, IsTheShareOfThePairsOfThesePoints) {
  const PolicyResult result = HandMadeResult();
  EXPECT_EQ(AcceptRateAt(result, {CapturePoint::Layer(0)}), 1.0);
  EXPECT_EQ(AcceptRateAt(result, {CapturePoint::Layer(8), CapturePoint::Final()}), 0.25);
  EXPECT_EQ(AcceptRateAt(result, {CapturePoint::Layer(8), CapturePoint::Layer(9)}), 0.5);
  EXPECT_EQ(AcceptRateAt(result, {CapturePoint::Layer(9)}), std::nullopt);
  EXPECT_EQ(AcceptRateAt(result, {}), std::nullopt);
}

TEST(ErrorSeries, IsMeanAndSlopeOfTheLogarithmAtEachPosition) {
  ResponseDiscrepancy response;
  response.positions = {5, 6, 7, 8};
  const auto add = [&](int position, CapturePoint point, double relative, double element) {
    response.pairs.push_back(
        {.point = point, .position = position, .statistics = PairWithRelativeError(relative), .element_error = element});
  };
  // ln: 1, 2, 6 at layers 8, 16, 24 and 7 at final. Mean (1 + 2 + 6 + 7) / 4; slope of the three: (-8 * 1 + 8 * 6) / (2 * 64).
  // ln of the element errors: -1, -2, -3, -6.
  add(5, CapturePoint::Layer(0), std::exp(-100), std::exp(-100));
  add(5, CapturePoint::Layer(8), std::exp(1), std::exp(-1));
  add(5, CapturePoint::Layer(16), std::exp(2), std::exp(-2));
  add(5, CapturePoint::Layer(24), std::exp(6), std::exp(-3));
  add(5, CapturePoint::Final(), std::exp(7), std::exp(-6));
  // Identical states have no logarithm; one layer has no slope.
  add(6, CapturePoint::Layer(8), 0, 0);
  add(6, CapturePoint::Layer(16), std::exp(-3), std::exp(-4));
  add(6, CapturePoint::Final(), std::exp(-5), std::exp(-7));
  add(7, CapturePoint::Layer(0), std::exp(1), std::exp(1));
  add(7, CapturePoint::Layer(8), 0, 0);
  const Json series = ErrorSeries(response);
  EXPECT_EQ(series.dump(), R"({"log_relative_error":[4.0,-4.0,null,null],"log_element_error":[-3.0,-5.5,null,null],)"
                           R"("depth_slope":[0.3125,null,null,null]})");
}

// ln 1e-9 = -20.7233; where no element is finite the error counts as 1.
TEST(ErrorSeries, ElementErrorsAreBounded) {
  ResponseDiscrepancy response;
  response.positions = {5, 6};
  response.pairs = {
      {.point = CapturePoint::Final(), .position = 5, .statistics = PairWithRelativeError(1e-12), .element_error = 1e-12},
      {.point = CapturePoint::Final(), .position = 6, .statistics = PairWithRelativeError(1), .element_error = std::nullopt}};
  EXPECT_EQ(ErrorSeries(response).at("log_element_error").dump(), "[-20.7233,0.0]");
}

TEST(ErrorSeries, HasMarginsWhereSamplingWasChecked) {
  ResponseDiscrepancy response;
  response.positions = {5, 6, 7};
  EXPECT_FALSE(ErrorSeries(response).contains("margin"));
  response.margins = {0, 0.12345678, std::numeric_limits<double>::infinity()};
  EXPECT_EQ(ErrorSeries(response).at("margin").dump(), "[0.0,0.123457,null]");
}

// At layer 8 ln relative error is -5 +/- 0.5 and has its threshold at 2 deviations and its extreme at 6; the others do not count.
TEST(ErrorSeries, HasStateScoresWithACalibration) {
  Calibration calibration;
  calibration.points[CapturePoint::Layer(8)] = {
      .element_mean = 0, .element_deviation = 1, .relative_mean = -5, .relative_deviation = 0.5, .scale_deviation = 1};
  calibration.limits = {{{100, 101}, {100, 101}, {2, 6}, {100, 101}, {0, 0}}};
  ResponseDiscrepancy response;
  response.plan.points = {CapturePoint::Layer(0), CapturePoint::Layer(8)};
  response.positions = {5, 6, 7};
  for (const int position : response.positions) {
    // 2 and 6 deviations; position 7 is missing.
    if (position == 7) continue;
    response.pairs.push_back({.point = CapturePoint::Layer(8),
                              .position = position,
                              .statistics = PairWithRelativeError(std::exp(position == 5 ? -4 : -2)),
                              .element_error = 0.01});
  }
  const Json series = ErrorSeries(response, &calibration);
  ASSERT_EQ(series.at("state_score").size(), 3u);
  EXPECT_NEAR(series.at("state_score")[0].get<double>(), 0, 1e-9);
  EXPECT_NEAR(series.at("state_score")[1].get<double>(), 1, 1e-9);
  // Infinite, for which JSON has no number.
  EXPECT_EQ(series.at("state_score")[2].get<double>(), 1e6);
  EXPECT_FALSE(ErrorSeries(response).contains("state_score"));
}

TEST(MedianRelativeError, IsTheLowerMedianOfItsCapturePoint) {
  ResponseDiscrepancy response;
  for (const double error : {4.0, 1.0, 3.0, 2.0}) {
    response.pairs.push_back({.point = CapturePoint::Layer(8),
                              .position = 0,
                              .statistics = PairWithRelativeError(error),
                              .element_error = std::nullopt});
  }
  response.pairs.push_back(
      {.point = CapturePoint::Final(), .position = 0, .statistics = PairWithRelativeError(9), .element_error = std::nullopt});
  EXPECT_EQ(MedianRelativeError(response, CapturePoint::Layer(8)), 2);
  EXPECT_EQ(MedianRelativeError(response, CapturePoint::Final()), 9);
  EXPECT_EQ(MedianRelativeError(response, CapturePoint::Layer(0)), std::nullopt);
}

TEST(ReadResult, LeavesTheSinglePairsOut) {
  const TestFolder folder;
  WriteFile(folder / "x.json",
            R"({"a": 1, "verifiers": [{"statistics": {"per_layer": {"token_0_layer_0": {"Pe": 0}}, "summary": {"b": 2}}}],
                                   "per_layer": [1, 2], "c": "per_layer"})");
  EXPECT_EQ(ReadResult(folder / "x.json").dump(), R"({"a":1,"verifiers":[{"statistics":{"summary":{"b":2}}}],"c":"per_layer"})");
}

TEST(ReadResult, ShowsTheSinglePairsOfEachVerifier) {
  const TestFolder folder;
  WriteFile(folder / "x.json", R"({"verifiers":[{"statistics":{"per_layer":{"k":{"a":1},"l":{"a":2}},"summary":{"b":2}}},)"
                               R"({"statistics":{"per_layer":{}}},{"statistics":{"per_layer":{"k":{"a":3}}},"c":"per_layer"}]})");
  std::vector<std::string> shown;
  const Json read = ReadResult(folder / "x.json", [&](std::size_t verifier, const std::string& key, const Json& pair) {
    shown.push_back(std::to_string(verifier) + key + pair.dump());
  });
  EXPECT_THAT(shown, ElementsAre(R"(0k{"a":1})", R"(0l{"a":2})", R"(2k{"a":3})"));
  EXPECT_EQ(read.dump(),
            R"({"verifiers":[{"statistics":{"summary":{"b":2}}},{"statistics":{}},{"statistics":{},"c":"per_layer"}]})");
}

// Whatever stands there in place of pairs.
TEST(ReadResult, PassesOverWhatIsNoPair) {
  const TestFolder folder;
  const auto visit = [](std::size_t, const std::string&, const Json&) { FAIL(); };
  for (const char* const pairs : {"3", "null", "[1,2]", "{\"k\":1}"}) {
    WriteFile(folder / "x.json", R"({"a":{"per_layer":)" + std::string(pairs) + R"(},"b":{"c":{}}})");
    EXPECT_EQ(ReadResult(folder / "x.json", visit).at("b").dump(), R"({"c":{}})") << pairs;
  }
}

TEST(ReadResult, ReadsWhatPublishedStatisticsWrote) {
  const TestFolder folder;
  const Json statistics = PublishedStatistics(HandMadeResult(), HandMadeResponse());
  WriteFile(folder / "x.json", statistics.dump());
  EXPECT_EQ(ReadResult(folder / "x.json"), (Json{{"summary", statistics.at("summary")}}));
}

TEST(ReadResult, DamagedFilesAreInputErrors) {
  const TestFolder folder;
  WriteFile(folder / "x.json", "{\"a\": 1");
  ExpectError([&] { ReadResult(folder / "x.json"); }, ErrorKind::kInput,
              (folder / "x.json").string() + ": is not JSON from byte 8 on; remove it and run the experiment again");
  WriteFile(folder / "x.json", "{\"a\": 1e999}");
  ExpectError([&] { ReadResult(folder / "x.json"); }, ErrorKind::kInput, HasSubstr("1e999"));
  ExpectError([&] { ReadResult(folder / "y.json"); }, ErrorKind::kIo, StartsWith((folder / "y.json").string() + ": cannot open"));
}

}  // namespace
}  // namespace verillm
