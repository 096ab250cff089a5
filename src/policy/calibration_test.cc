#include "policy/calibration.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"
#include "policy/sampling_check.h"
#include "policy/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::optional<double> Of(const PositionScores& scores, Score score) { return scores[static_cast<std::size_t>(score)]; }

const ModelIdentity kModel = {.name = "m",
                              .digest = "d1",
                              .architecture = "llama",
                              .weight_type = "f16",
                              .n_layer = 30,
                              .width = 576,
                              .n_vocab = 1000,
                              .vocabulary_digest = "v1"};

// --- scores

const std::map<CapturePoint, HonestPoint> kTwoPoints = {
    {CapturePoint::Layer(8),
     {.element_mean = -4, .element_deviation = 0.5, .relative_mean = -5, .relative_deviation = 0.25, .scale_deviation = 0.001}},
    {CapturePoint::Final(),
     {.element_mean = -3, .element_deviation = 1, .relative_mean = -4, .relative_deviation = 0.5, .scale_deviation = 0.002}}};

// Position 100 of a response with embeddings, layer 8 and final.
ResponseDiscrepancy OnePosition() {
  ResponseDiscrepancy response;
  response.plan.points = {CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Final()};
  response.positions = {100};
  response.pairs = {PairWith(CapturePoint::Layer(0), 100, 1, 1, 1),
                    PairWith(CapturePoint::Layer(8), 100, std::exp(-3.5), std::exp(-4.5), -0.003),
                    PairWith(CapturePoint::Final(), 100, std::exp(-1), std::exp(-4), 0.002)};
  return response;
}

TEST(ScoreName, NamesEachScore) {
  EXPECT_EQ(ScoreName(Score::kElementError), "element error");
  EXPECT_EQ(ScoreName(Score::kWorstElementError), "worst element error");
  EXPECT_EQ(ScoreName(Score::kWorstRelativeError), "worst relative error");
  EXPECT_EQ(ScoreName(Score::kScaleError), "scale error");
  EXPECT_EQ(ScoreName(Score::kSamplingMargin), "sampling margin");
}

// Element: (-3.5 + 4) / 0.5 = 1 and (-1 + 3) / 1 = 2. Relative: (-4.5 + 5) / 0.25 = 2 and 0. Scale: 3 and 1.
TEST(ScorePositions, EqualsTheScoresByHand) {
  const std::vector<PositionScores> scores = ScorePositions(kTwoPoints, OnePosition());
  ASSERT_THAT(scores, SizeIs(1));
  EXPECT_NEAR(Of(scores[0], Score::kElementError).value(), 1.5, 1e-12);
  EXPECT_NEAR(Of(scores[0], Score::kWorstElementError).value(), 2, 1e-12);
  EXPECT_NEAR(Of(scores[0], Score::kWorstRelativeError).value(), 2, 1e-12);
  EXPECT_NEAR(Of(scores[0], Score::kScaleError).value(), 3, 1e-12);
  EXPECT_EQ(Of(scores[0], Score::kSamplingMargin), std::nullopt);
}

TEST(ScorePositions, AreNegativeWhereStatesAreCloserThanHonestOnes) {
  ResponseDiscrepancy response = OnePosition();
  response.pairs[1].element_error = std::exp(-6);
  response.pairs[2].element_error = std::exp(-4.5);
  const PositionScores scores = ScorePositions(kTwoPoints, response).at(0);
  EXPECT_NEAR(Of(scores, Score::kElementError).value(), (-4 - 1.5) / 2, 1e-12);
  EXPECT_NEAR(Of(scores, Score::kWorstElementError).value(), -1.5, 1e-12);
}

// States that agree to the last bit count as an error of 1e-9.
TEST(ScorePositions, IdenticalStatesHaveFiniteScores) {
  ResponseDiscrepancy response = OnePosition();
  response.pairs[1] = PairWith(CapturePoint::Layer(8), 100, 0, 0, 0);
  response.pairs[2] = PairWith(CapturePoint::Final(), 100, 0, 0, 0);
  const PositionScores scores = ScorePositions(kTwoPoints, response).at(0);
  EXPECT_NEAR(Of(scores, Score::kWorstElementError).value(), std::log(1e-9) + 3, 1e-9);
  EXPECT_NEAR(Of(scores, Score::kWorstRelativeError).value(), (std::log(1e-9) + 4) / 0.5, 1e-9);
  EXPECT_EQ(Of(scores, Score::kScaleError), 0);
}

TEST(ScorePositions, GivesEachPositionItsOwnPairsAndMargin) {
  ResponseDiscrepancy response = OnePosition();
  response.positions = {100, 101};
  response.pairs.push_back(PairWith(CapturePoint::Layer(8), 101, std::exp(-4), std::exp(-5), 0));
  response.pairs.push_back(PairWith(CapturePoint::Final(), 101, std::exp(-3), std::exp(-4), 0));
  response.margins = {0.25, 0.5};
  const std::vector<PositionScores> scores = ScorePositions(kTwoPoints, response);
  ASSERT_THAT(scores, SizeIs(2));
  EXPECT_NEAR(Of(scores[0], Score::kElementError).value(), 1.5, 1e-12);
  EXPECT_NEAR(Of(scores[1], Score::kElementError).value(), 0, 1e-12);
  EXPECT_EQ(Of(scores[0], Score::kSamplingMargin), 0.25);
  EXPECT_EQ(Of(scores[1], Score::kSamplingMargin), 0.5);
}

void ExpectInfiniteStateScores(const ResponseDiscrepancy& response) {
  const std::vector<PositionScores> scores = ScorePositions(kTwoPoints, response);
  ASSERT_THAT(scores, SizeIs(1));
  for (const Score score : {Score::kElementError, Score::kWorstElementError, Score::kWorstRelativeError, Score::kScaleError}) {
    EXPECT_EQ(Of(scores[0], score), kInfinity) << ScoreName(score);
  }
}

TEST(ScorePositions, MissingPairsScoreInfinity) {
  ResponseDiscrepancy response = OnePosition();
  response.pairs.pop_back();
  ExpectInfiniteStateScores(response);
  response.pairs.clear();
  ExpectInfiniteStateScores(response);
}

TEST(ScorePositions, PairsThatAreNotFiniteScoreInfinity) {
  ResponseDiscrepancy response = OnePosition();
  response.pairs[2].statistics.n_nonfinite = 1;
  ExpectInfiniteStateScores(response);
  response.pairs[2].statistics.n_nonfinite = response.pairs[2].statistics.n_elements = 0;
  ExpectInfiniteStateScores(response);
}

TEST(ScorePositions, LeavesTheMeanOutWhereAPlanHasFewerPointsThanWereLearned) {
  ResponseDiscrepancy response = OnePosition();
  response.plan.points.pop_back();
  response.pairs.pop_back();
  const PositionScores scores = ScorePositions(kTwoPoints, response).at(0);
  EXPECT_EQ(Of(scores, Score::kElementError), std::nullopt);
  EXPECT_NEAR(Of(scores, Score::kWorstElementError).value(), 1, 1e-12);
  EXPECT_NEAR(Of(scores, Score::kWorstRelativeError).value(), 2, 1e-12);
  EXPECT_NEAR(Of(scores, Score::kScaleError).value(), 3, 1e-12);
}

TEST(ScorePositions, EmbeddingsAloneHaveNoScores) {
  ResponseDiscrepancy response = OnePosition();
  response.plan.points = {CapturePoint::Layer(0)};
  response.pairs.erase(response.pairs.begin() + 1, response.pairs.end());
  response.margins = {0.125};
  const PositionScores scores = ScorePositions(kTwoPoints, response).at(0);
  for (std::size_t i = 0; i + 1 < kScores; ++i) EXPECT_EQ(scores[i], std::nullopt) << i;
  EXPECT_EQ(Of(scores, Score::kSamplingMargin), 0.125);
}

TEST(ScorePositions, RefusesCapturePointsThatWereNotLearned) {
  ResponseDiscrepancy response = OnePosition();
  response.plan.points.insert(response.plan.points.begin() + 2, CapturePoint::Layer(16));
  response.pairs.push_back(PairWith(CapturePoint::Layer(16), 100, 0.01, 0.01, 0));
  ExpectError([&] { ScorePositions(kTwoPoints, response); }, ErrorKind::kUsage,
              "the calibration does not know capture point 16; compare those that it learned");
}

TEST(StateScore, IsZeroAtTheThresholdAndOneAtTheExtreme) {
  Calibration calibration;
  calibration.limits = {{{2, 6}, {3, 10}, {3, 10}, {3, 10}, {0.2, 2.5}}};
  EXPECT_EQ(StateScore(calibration, {2.0, 0.0, 0.0, 0.0, std::nullopt}), 0);
  EXPECT_EQ(StateScore(calibration, {6.0, 0.0, 0.0, 0.0, std::nullopt}), 1);
  EXPECT_EQ(StateScore(calibration, {3.0, 10.0, 0.0, 0.0, std::nullopt}), 1);
  EXPECT_EQ(StateScore(calibration, {3.0, 3.0, 3.0, 3.0, std::nullopt}), 0.25);
  // Closer than the threshold everywhere: the nearest to its threshold.
  EXPECT_NEAR(StateScore(calibration, {std::nullopt, 2.3, 1.0, 1.0, std::nullopt}).value(), -0.1, 1e-12);
}

TEST(StateScore, LooksAtStatesOnly) {
  Calibration calibration;
  calibration.limits = {{{2, 6}, {3, 10}, {3, 10}, {3, 10}, {0.2, 2.5}}};
  EXPECT_EQ(StateScore(calibration, {std::nullopt, std::nullopt, std::nullopt, std::nullopt, 100.0}), std::nullopt);
  EXPECT_EQ(StateScore(calibration, {2.0, std::nullopt, std::nullopt, std::nullopt, 100.0}), 0);
  EXPECT_EQ(StateScore(calibration, {2.0, kInfinity, 0.0, 0.0, std::nullopt}), kInfinity);
}

// --- learning

// Thresholds: 3 values beyond each of four with 0.003 / 4. Extremes: 4 scores, 100 positions, a thousandfold extrapolation.
TEST(PositionsNeeded, IsThatOfThresholdsOrOfExtremes) {
  EXPECT_EQ(PositionsNeeded(0.01, 0.003), 4000u);
  EXPECT_EQ(PositionsNeeded(1e-4, 0.003), 4000u);
  EXPECT_EQ(PositionsNeeded(1e-5, 0.003), 40000u);
  EXPECT_EQ(PositionsNeeded(0.01, 0.001), 12000u);
}

constexpr double kQuiet = 0;
constexpr double kNoisy = 0.1;

// `n` responses of 100 positions from "a" and as many, noisier, from "c".
std::vector<HonestRun> TwoPairs(int n, unsigned seed = 1) {
  SimulatedDevices devices(seed);
  std::vector<HonestRun> runs;
  for (int i = 0; i < n; ++i) {
    runs.push_back(devices.Run("a", "b", 100, kQuiet));
    runs.push_back(devices.Run("c", "b", 100, kNoisy));
  }
  return runs;
}

Calibration LearnTwoPairs() {
  static const Calibration calibration = Calibrate(kModel, StateType::kBF16, 1e-4, TwoPairs(100));
  return calibration;
}

TEST(Calibrate, LearnsTheMomentsOfEachCapturePoint) {
  const Calibration calibration = LearnTwoPairs();
  ASSERT_THAT(calibration.points, SizeIs(3));
  EXPECT_FALSE(calibration.points.contains(CapturePoint::Layer(0)));
  for (const auto& [point, honest] : calibration.points) {
    // Of two normal distributions half of `kNoisy` to each side; 20,000 values place the means to 0.0015 and 0.0008.
    EXPECT_NEAR(honest.element_mean, -4 + kNoisy / 2, 0.006) << point.Name();
    EXPECT_NEAR(honest.element_deviation, std::hypot(0.2, kNoisy / 2), 0.004) << point.Name();
    EXPECT_NEAR(honest.relative_mean, -5 + kNoisy / 2, 0.003) << point.Name();
    EXPECT_NEAR(honest.relative_deviation, std::hypot(0.1, kNoisy / 2), 0.002) << point.Name();
    EXPECT_NEAR(honest.scale_deviation, 0.001 * std::sqrt((1 + std::exp(2 * kNoisy)) / 2), 0.00003) << point.Name();
  }
}

TEST(Calibrate, RemembersWhatItLearnedOf) {
  const Calibration calibration = LearnTwoPairs();
  EXPECT_EQ(calibration.model, kModel);
  EXPECT_EQ(calibration.states, StateType::kBF16);
  EXPECT_EQ(calibration.false_positive_rate, 1e-4);
  EXPECT_EQ(calibration.exceedance_rate, 0.003);
  EXPECT_THAT(calibration.pairs,
              ElementsAre(CalibratedPair{"a", "b", "b1", 100, 10000}, CalibratedPair{"c", "b", "b1", 100, 10000}));
  EXPECT_EQ(calibration.longest_response, 100u);
  EXPECT_THAT(calibration.conditions, ElementsAre("default"));
}

TEST(Calibrate, ListsEachConditionOnce) {
  std::vector<HonestRun> runs = TwoPairs(40);
  runs[3].condition = runs[7].condition = "flash_attention=off";
  EXPECT_THAT(Calibrate(kModel, StateType::kBF16, 1e-4, runs).conditions, ElementsAre("default", "flash_attention=off"));
}

TEST(Calibrate, LearnsTheLargestErrorOfHonestEmbeddings) {
  std::vector<HonestRun> runs = TwoPairs(40);
  EXPECT_NEAR(Calibrate(kModel, StateType::kBF16, 1e-4, runs).embedding_error, 0.0005, 1e-12);
  ASSERT_EQ(runs[5].discrepancy.pairs[40].point, CapturePoint::Layer(0));
  runs[5].discrepancy.pairs[40].statistics.sum_squared_error = 0.0625 * 0.0625;
  EXPECT_EQ(Calibrate(kModel, StateType::kBF16, 1e-4, runs).embedding_error, 0.0625);
}

// What fresh honest positions of one pair of devices show.
struct Exceeding {
  double states = 0;   // share of positions with a score of states beyond its threshold
  double margins = 0;  // share of positions with a margin beyond its threshold
  int extreme = 0;     // positions with anything beyond its extreme
};

Exceeding CountExceeding(const Calibration& calibration, double noise, int n_positions) {
  SimulatedDevices devices(77);
  Exceeding exceeding;
  for (const PositionScores& scores : ScorePositions(calibration.points, devices.Response(n_positions, noise))) {
    bool states = false;
    bool extreme = false;
    for (std::size_t i = 0; i < kScores; ++i) {
      const bool beyond = scores[i].value() > calibration.limits[i].threshold;
      if (static_cast<Score>(i) != Score::kSamplingMargin) states |= beyond;
      if (static_cast<Score>(i) == Score::kSamplingMargin) exceeding.margins += beyond;
      extreme |= scores[i].value() > calibration.limits[i].extreme;
    }
    exceeding.states += states;
    exceeding.extreme += extreme;
  }
  exceeding.states /= n_positions;
  exceeding.margins /= n_positions;
  return exceeding;
}

// The four thresholds of states share 0.3 %, of which the mean and the worst of the element errors exceed theirs together now and
// then; 30 of 10,000 positions have a deviation of 5.5, and so have those that the thresholds were placed with.
TEST(Calibrate, FreshHonestPositionsExceedThresholdsAtThePromisedRate) {
  const Exceeding noisy = CountExceeding(LearnTwoPairs(), kNoisy, 10000);
  EXPECT_GT(noisy.states, 0.0012);
  EXPECT_LT(noisy.states, 0.005);
  EXPECT_GT(noisy.margins, 0.0012);
  EXPECT_LT(noisy.margins, 0.005);
}

// Half a deviation less noise makes what lies three deviations out several times as rare.
TEST(Calibrate, QuieterDevicesExceedThresholdsLessOften) {
  const Exceeding quiet = CountExceeding(LearnTwoPairs(), kQuiet, 40000);
  EXPECT_GT(quiet.states, 0.00005);
  EXPECT_LT(quiet.states, 0.0012);
  EXPECT_GT(quiet.margins, 0.0012);  // margins do not depend on the noise
  EXPECT_LT(quiet.margins, 0.005);
}

TEST(Calibrate, NoFreshHonestPositionIsExtreme) {
  const Calibration calibration = LearnTwoPairs();
  EXPECT_EQ(CountExceeding(calibration, kNoisy, 10000).extreme, 0);
  EXPECT_EQ(CountExceeding(calibration, kQuiet, 10000).extreme, 0);
}

// So far out that honest positions do not get there, but errors 4.5 times as large do.
TEST(Calibrate, ExtremesAreWithinReachOfCheats) {
  const Calibration calibration = LearnTwoPairs();
  for (std::size_t i = 0; i < kScores; ++i) {
    const ScoreLimits& limits = calibration.limits[i];
    if (static_cast<Score>(i) == Score::kSamplingMargin) continue;
    EXPECT_GT(limits.extreme, 1.2 * limits.threshold);
    EXPECT_LT(limits.extreme, 4 * limits.threshold);
  }
  // Too few honest margins are above 0 to tell where their tail ends.
  EXPECT_EQ(calibration.limits_of(Score::kSamplingMargin).extreme, kUncalibratedSampling.extreme);
  EXPECT_GT(CountExceeding(calibration, kNoisy + 1.5, 1000).extreme, 990);
}

TEST(Calibrate, WithoutMarginsSamplingIsJudgedAsWithoutCalibration) {
  std::vector<HonestRun> runs = TwoPairs(60);
  for (HonestRun& run : runs) run.discrepancy.margins.reset();
  const ScoreLimits limits = Calibrate(kModel, StateType::kBF16, 1e-4, runs).limits_of(Score::kSamplingMargin);
  EXPECT_EQ(limits.threshold, kUncalibratedSampling.threshold);
  EXPECT_EQ(limits.extreme, kUncalibratedSampling.extreme);
}

TEST(Calibrate, LimitsAreThoseOfTheNoisiestPair) {
  std::vector<HonestRun> only_noisy;
  std::vector<HonestRun> only_quiet;
  for (const HonestRun& run : TwoPairs(60)) (run.prover == "a" ? only_quiet : only_noisy).push_back(run);
  const Calibration both = Calibrate(kModel, StateType::kBF16, 1e-4, TwoPairs(60));
  const Calibration noisy = Calibrate(kModel, StateType::kBF16, 1e-4, only_noisy);
  const Calibration quiet = Calibrate(kModel, StateType::kBF16, 1e-4, only_quiet);
  // As scale errors, since each calibration has deviations of its own.
  const auto scale_threshold = [](const Calibration& calibration) {
    return calibration.limits_of(Score::kScaleError).threshold * calibration.points.at(CapturePoint::Final()).scale_deviation;
  };
  EXPECT_NEAR(scale_threshold(both), scale_threshold(noisy), 0.03 * scale_threshold(noisy));
  EXPECT_LT(scale_threshold(quiet), 0.97 * scale_threshold(noisy));
  EXPECT_EQ(both.limits_of(Score::kSamplingMargin).threshold,
            std::max(noisy.limits_of(Score::kSamplingMargin).threshold, quiet.limits_of(Score::kSamplingMargin).threshold));
}

TEST(Calibrate, RefusesTooFewPositionsOfAPairAndSaysHowManyItTakes) {
  std::vector<HonestRun> runs = TwoPairs(50);
  runs.push_back(SimulatedDevices(2).Run("e", "b", 900, kQuiet));
  ExpectError([&] { Calibrate(kModel, StateType::kBF16, 1e-4, runs); }, ErrorKind::kInput,
              "e to b: 900 honest positions are too few for a false-positive rate of 0.0001: 4000 are needed, 5 responses of "
              "this length");
  EXPECT_NO_THROW(Calibrate(kModel, StateType::kBF16, 1e-4, TwoPairs(40)));
  ExpectError([&] { Calibrate(kModel, StateType::kBF16, 1e-5, TwoPairs(40)); }, ErrorKind::kInput,
              HasSubstr("40000 are needed, 400 responses of this length"));
}

TEST(Calibrate, RefusesRunsWithoutPositions) {
  std::vector<HonestRun> runs = {SimulatedDevices(1).Run("a", "b", 0, kQuiet)};
  ExpectError([&] { Calibrate(kModel, StateType::kBF16, 1e-4, runs); }, ErrorKind::kInput,
              HasSubstr("a to b: 0 honest positions are too few"));
}

TEST(Calibrate, RefusesRunsThatAreNotWhole) {
  const auto expect_refused = [](const std::vector<HonestRun>& runs, const std::string& message) {
    ExpectError([&] { Calibrate(kModel, StateType::kBF16, 1e-4, runs); }, ErrorKind::kInput, HasSubstr(message));
  };
  std::vector<HonestRun> runs = TwoPairs(40);
  runs[3].discrepancy.pairs.pop_back();
  expect_refused(runs, "the run of c verified by b is not whole");

  runs = TwoPairs(40);
  runs[2].discrepancy.failures = {"the text is not what the tokens decode to"};
  expect_refused(runs, "the run of a verified by b is not whole, or of other capture points: the text is not what");

  runs = TwoPairs(40);
  runs[2].discrepancy.plan.points.pop_back();
  std::erase_if(runs[2].discrepancy.pairs, [](const PairDiscrepancy& pair) { return pair.point.is_final(); });
  expect_refused(runs, "of other capture points");

  runs = TwoPairs(40);
  ASSERT_EQ(runs[3].discrepancy.pairs[5].point, CapturePoint::Layer(8));
  runs[3].discrepancy.pairs[5].statistics.n_nonfinite = 1;
  expect_refused(runs, "capture point 8 at position 101 of a run of c is not finite");

  expect_refused({}, "there are no honest runs to learn from");
}

TEST(Calibrate, RefusesRatesThatMakeNoSense) {
  const std::vector<HonestRun> runs = TwoPairs(40);
  for (const double rate : {0.0, 1.0, -0.5, std::numeric_limits<double>::quiet_NaN()}) {
    ExpectError([&] { Calibrate(kModel, StateType::kBF16, rate, runs); }, ErrorKind::kUsage, HasSubstr("makes no sense"));
  }
}

// --- JSON

Calibration HandMade() {
  Calibration calibration;
  calibration.model = kModel;
  calibration.states = StateType::kF16;
  calibration.false_positive_rate = 1e-3;
  calibration.exceedance_rate = 0.02;
  calibration.pairs = {{"cpu:zen4", "cpu:haswell", "b1", 20, 4000}, {"vulkan:0", "cpu:haswell", "b2", 30, 6000}};
  calibration.longest_response = 200;
  calibration.conditions = {"default", "flash_attention=off"};
  calibration.prompts_digest = "p1";
  calibration.embedding_error = 1.0 / 3;
  calibration.points = kTwoPoints;
  calibration.points.begin()->second.element_mean = -4.1 / 3;
  calibration.limits = {{{-1.0 / 7, 6.1 / 7}, {3, 10}, {0.1, 0.1}, {3, 10}, {0.2, 2.5}}};
  return calibration;
}

TEST(CalibrationJson, ComesBackExactly) {
  for (const Calibration& original : {HandMade(), LearnTwoPairs()}) {
    const Calibration read = CalibrationFromJson(ParseJson(ToJson(original).dump(), "calibration"));
    EXPECT_EQ(read.model, original.model);
    EXPECT_EQ(read.states, original.states);
    EXPECT_EQ(read.false_positive_rate, original.false_positive_rate);
    EXPECT_EQ(read.exceedance_rate, original.exceedance_rate);
    EXPECT_EQ(read.pairs, original.pairs);
    EXPECT_EQ(read.longest_response, original.longest_response);
    EXPECT_EQ(read.conditions, original.conditions);
    EXPECT_EQ(read.prompts_digest, original.prompts_digest);
    EXPECT_EQ(read.embedding_error, original.embedding_error);
    ASSERT_EQ(read.points.size(), original.points.size());
    for (const auto& [point, honest] : original.points) {
      const HonestPoint& other = read.points.at(point);
      EXPECT_EQ(other.element_mean, honest.element_mean) << point.Name();
      EXPECT_EQ(other.element_deviation, honest.element_deviation) << point.Name();
      EXPECT_EQ(other.relative_mean, honest.relative_mean) << point.Name();
      EXPECT_EQ(other.relative_deviation, honest.relative_deviation) << point.Name();
      EXPECT_EQ(other.scale_deviation, honest.scale_deviation) << point.Name();
    }
    for (std::size_t i = 0; i < kScores; ++i) {
      EXPECT_EQ(read.limits[i].threshold, original.limits[i].threshold) << i;
      EXPECT_EQ(read.limits[i].extreme, original.limits[i].extreme) << i;
    }
    EXPECT_EQ(ToJson(read).dump(), ToJson(original).dump());
  }
}

// Expects every field of the object at `where` to be needed, and no other to be allowed.
void ExpectStrictFields(const std::string& where) {
  const Json good = ToJson(HandMade());
  const Json::json_pointer pointer(where);
  std::vector<std::string> keys;
  for (const auto& [key, value] : good.at(pointer).items()) keys.push_back(key);
  ASSERT_FALSE(keys.empty());
  for (const std::string& key : keys) {
    Json bad = good;
    bad.at(pointer).erase(key);
    ExpectError([&] { CalibrationFromJson(bad); }, ErrorKind::kInput, HasSubstr("field \"" + key + "\" is missing"));
    bad = good;
    bad.at(pointer)[key] = nullptr;
    EXPECT_THROW(CalibrationFromJson(bad), Error) << where << ' ' << key;
  }
  Json bad = good;
  bad.at(pointer)["surprise"] = 1;
  ExpectError([&] { CalibrationFromJson(bad); }, ErrorKind::kInput, HasSubstr("unknown field \"surprise\""));
}

TEST(CalibrationJson, NeedsEveryFieldAndAllowsNoOther) {
  for (const char* const where : {"", "/model", "/pairs/0", "/pairs/1", "/points/8", "/points/final", "/limits",
                                  "/limits/element error", "/limits/sampling margin"}) {
    ExpectStrictFields(where);
  }
}

// Expects the calibration with another value at `where` to be refused with this message.
void ExpectRefused(const std::string& where, const Json& value, const std::string& message) {
  Json bad = ToJson(HandMade());
  bad.at(Json::json_pointer(where)) = value;
  ExpectError([&] { CalibrationFromJson(bad); }, ErrorKind::kInput, HasSubstr(message));
}

TEST(CalibrationJson, RefusesOtherFormatsAndVersions) {
  ExpectRefused("/format", "verillm-trace", "format \"verillm-trace\" version 2 is not \"verillm-calibration\" version 2");
  ExpectRefused("/format_version", 1, "format \"verillm-calibration\" version 1 is not");
  ExpectRefused("/format_version", 0, "version 0 is not");
  ExpectError([] { CalibrationFromJson(Json::array()); }, ErrorKind::kInput, "calibration: is no JSON object");
}

TEST(CalibrationJson, RefusesRatesOutOfRange) {
  for (const double rate : {0.0, 1.0, -0.1, 7.0}) ExpectRefused("/false_positive_rate", rate, "make no sense");
  // The sequential test bets on 0.05 as the smallest rate of cheats.
  for (const double rate : {0.0, 0.05, -0.1, 1.0}) ExpectRefused("/exceedance_rate", rate, "make no sense");
}

TEST(CalibrationJson, RefusesDeviationsThatAreNotPositive) {
  for (const char* const name : {"element_deviation", "relative_deviation", "scale_deviation"}) {
    for (const double deviation : {0.0, -0.1}) {
      ExpectRefused(std::string("/points/8/") + name, deviation, "calibration point 8: a deviation is not positive");
    }
  }
}

TEST(CalibrationJson, RefusesAnExtremeBelowItsThreshold) {
  ExpectRefused("/limits/scale error/extreme", 2.9, "calibration limits of scale error: the extreme lies below the threshold");
  ExpectRefused("/limits/sampling margin/threshold", 2.6, "calibration limits of sampling margin: the extreme lies below");
}

TEST(CalibrationJson, RefusesANegativeErrorOfEmbeddings) { ExpectRefused("/embedding_error", -0.001, "embedding_error"); }

TEST(CalibrationJson, RefusesContentOfAnotherShape) {
  for (const char* const where : {"/pairs", "/points", "/limits"}) {
    ExpectRefused(where, "x", "are not what belongs there");
  }
  ExpectRefused("/points", Json::object(), "are not what belongs there");
  ExpectRefused("/states", "f8", "calibration: ");
  ExpectRefused("/pairs/0/n_positions", -1, "n_positions");
  ExpectRefused("/pairs/0/n_positions", 1.5, "n_positions");
  Json bad = ToJson(HandMade());
  bad["points"]["08"] = bad["points"]["8"];
  ExpectError([&] { CalibrationFromJson(bad); }, ErrorKind::kInput, HasSubstr("\"08\" is no capture point"));
}

TEST(ReadCalibration, NamesTheFileInItsErrors) {
  const TestFolder folder;
  const std::string path = (folder / "c.json").string();
  ExpectError([&] { ReadCalibration(path); }, ErrorKind::kIo, HasSubstr(path));
  WriteFile(path, "{\"format\": ");
  ExpectError([&] { ReadCalibration(path); }, ErrorKind::kInput, AllOf(StartsWith(path + ": "), HasSubstr("is not JSON")));
  WriteFile(path, "{}");
  ExpectError([&] { ReadCalibration(path); }, ErrorKind::kInput,
              AllOf(StartsWith(path + ": "), HasSubstr("field \"format\" is missing")));
  WriteFile(path, ToJson(HandMade()).dump());
  EXPECT_EQ(ToJson(ReadCalibration(path)).dump(), ToJson(HandMade()).dump());
}

// --- where it applies

DeviceIdentity Device(const std::string& name, const std::string& engine) {
  return {.name = name, .backend = "CPU", .description = "", .features = {}, .engine = engine, .memory_total = 0};
}

std::string Check(const std::string& prover, const std::string& verifier, const std::string& engine) {
  return CheckApplies(HandMade(), kModel, StateType::kF16, Device(prover, "b0"), Device(verifier, engine), 200);
}

TEST(CheckApplies, SaysNothingWhereTheCalibrationFits) {
  EXPECT_THAT(Check("cpu:zen4", "cpu:haswell", "b1"), IsEmpty());
  EXPECT_THAT(Check("vulkan:0", "cpu:haswell", "b2"), IsEmpty());
}

TEST(CheckApplies, WarnsOfDevicesThatItHasNotLearned) {
  EXPECT_EQ(Check("cpu:haswell", "cpu:zen4", "b1"),
            "the calibration has not learned cpu:haswell to cpu:zen4: its rates do not hold here");
  EXPECT_EQ(Check("cpu:zen4", "vulkan:0", "b1"),
            "the calibration has not learned cpu:zen4 to vulkan:0: its rates do not hold here");
}

TEST(CheckApplies, WarnsOfAnotherEngineOfTheVerifier) {
  EXPECT_EQ(Check("cpu:zen4", "cpu:haswell", "b2"), "the calibration was learned with b1, not b2");
}

TEST(CheckApplies, WarnsOfLongerResponsesThanItHasLearned) {
  EXPECT_EQ(CheckApplies(HandMade(), kModel, StateType::kF16, Device("cpu:zen4", "b0"), Device("cpu:haswell", "b1"), 201),
            "the calibration has learned responses of up to 200 tokens: its rates do not hold for 201");
}

TEST(CheckApplies, RefusesOtherModelsAndStateTypes) {
  ModelIdentity other = kModel;
  other.digest = "d2";
  other.weight_type = "q8_0";
  ExpectError(
      [&] { CheckApplies(HandMade(), other, StateType::kF16, Device("cpu:zen4", "b1"), Device("cpu:haswell", "b1"), 200); },
      ErrorKind::kUsage, HasSubstr("the calibration is of \"m\" f16 with SHA-256 d1, not of \"m\" q8_0 with d2"));
  ExpectError(
      [&] { CheckApplies(HandMade(), kModel, StateType::kBF16, Device("cpu:zen4", "b1"), Device("cpu:haswell", "b1"), 200); },
      ErrorKind::kUsage, "the calibration is of states in f16, not bf16; record in f16");
}

}  // namespace
}  // namespace verillm
