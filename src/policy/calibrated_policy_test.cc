#include "policy/calibrated_policy.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/test_support.h"
#include "policy/test_support.h"

namespace verillm {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Layer 8 and final: ln element error -4 +/- 0.1, ln relative error -5 +/- 0.1, scale error +/- 0.001. At half of 1e-4 three
// exceedances in a row reject ((5^3 + 30^3 + 90^3) / 3 = 252,041.7 of 20,000), and 7 positions without one accept (1.98^7 = 119
// of 100). The margins' 0.1 asks for 49 tokens.
Calibration HandMade() {
  Calibration calibration;
  calibration.false_positive_rate = 1e-4;
  calibration.exceedance_rate = 0.01;
  calibration.embedding_error = 0.001;
  for (const CapturePoint point : {CapturePoint::Layer(8), CapturePoint::Final()}) {
    calibration.points[point] = {
        .element_mean = -4, .element_deviation = 0.1, .relative_mean = -5, .relative_deviation = 0.1, .scale_deviation = 0.001};
  }
  calibration.limits = {{{2, 8}, {3, 10}, {3, 10}, {3, 10}, {0.2, 2.5}}};
  return calibration;
}

// As honest as can be at `n` positions behind a prompt of 100 tokens: scores of 0, embeddings of half the error allowed.
ResponseDiscrepancy HonestResponse(int n) {
  ResponseDiscrepancy response;
  response.plan.points = {CapturePoint::Layer(0), CapturePoint::Layer(8), CapturePoint::Final()};
  for (int position = 100; position < 100 + n; ++position) {
    response.positions.push_back(position);
    response.pairs.push_back(PairWith(CapturePoint::Layer(0), position, 0, 0.0005, 0));
    response.pairs.push_back(PairWith(CapturePoint::Layer(8), position, std::exp(-4), std::exp(-5), 0));
    response.pairs.push_back(PairWith(CapturePoint::Final(), position, std::exp(-4), std::exp(-5), 0));
  }
  return response;
}

// The pair of the i-th position.
PairDiscrepancy& PairAt(ResponseDiscrepancy& response, int i, CapturePoint point) {
  for (PairDiscrepancy& pair : response.pairs) {
    if (pair.position == 100 + i && pair.point == point) return pair;
  }
  throw std::out_of_range("no such pair");
}

// An element error of `score` honest deviations.
void SetElementScore(PairDiscrepancy& pair, double score) { pair.element_error = std::exp(-4 + 0.1 * score); }

// Beyond one threshold, far from every extreme: 4 deviations at layer 8, which are 2 on average, less a bit.
void MakeModerate(ResponseDiscrepancy& response, int i) { SetElementScore(PairAt(response, i, CapturePoint::Layer(8)), 3.9); }

CalibratedResult Judge(const ResponseDiscrepancy& response) { return JudgeCalibrated(HandMade(), response); }

// --- states

TEST(JudgeCalibrated, AcceptsHonestStatesOnceTheyAreEnough) {
  for (const int n : {7, 200}) {
    const CalibratedResult result = Judge(HonestResponse(n));
    EXPECT_EQ(result.verdict, Verdict::kAccept);
    EXPECT_EQ(result.decided_after, 7u);
    EXPECT_EQ(result.reason, "the states of 0 of " + std::to_string(n) + " positions exceed the honest thresholds");
  }
}

TEST(JudgeCalibrated, IsInconclusiveForShortResponses) {
  const CalibratedResult result = Judge(HonestResponse(6));
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.decided_after, 6u);
  EXPECT_EQ(result.reason, "the states of 6 positions are too few to decide: 7 are needed where none exceeds its threshold");
}

// 0.02 1.98^k passes 100 at k = 13, so an exceedance costs 7 positions.
TEST(JudgeCalibrated, AsksForMorePositionsAfterAnExceedance) {
  ResponseDiscrepancy response = HonestResponse(13);
  MakeModerate(response, 3);
  const CalibratedResult undecided = Judge(response);
  EXPECT_EQ(undecided.verdict, Verdict::kInconclusive);
  EXPECT_EQ(undecided.decided_after, 13u);
  EXPECT_EQ(undecided.reason,
            "the states of 1 of 13 positions exceed the honest thresholds, too many to accept and too few to reject");

  response = HonestResponse(14);
  MakeModerate(response, 3);
  const CalibratedResult accepted = Judge(response);
  EXPECT_EQ(accepted.verdict, Verdict::kAccept);
  EXPECT_EQ(accepted.decided_after, 14u);
}

TEST(JudgeCalibrated, RejectsPositionsThatExceedThresholdsByTheirNumber) {
  ResponseDiscrepancy response = HonestResponse(20);
  for (int i = 0; i < 20; ++i) MakeModerate(response, i);
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 3u);
  EXPECT_EQ(result.reason, "the states of 3 of the first 3 positions exceed what 1 in 100 honest ones does");
}

// After 20 positions without one it takes 6: 5 give 8358 of the 20,000 (sampling_check_test.cc has the sum).
TEST(JudgeCalibrated, RejectsAStretchBehindPositionsThatWouldBeAccepted) {
  ResponseDiscrepancy response = HonestResponse(60);
  for (int i = 20; i < 25; ++i) MakeModerate(response, i);
  EXPECT_EQ(Judge(response).verdict, Verdict::kAccept);
  MakeModerate(response, 25);
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 26u);
  EXPECT_EQ(result.reason, "the states of 6 of the first 26 positions exceed what 1 in 100 honest ones does");
}

TEST(JudgeCalibrated, EachScoreOfStatesCanExceedItsThreshold) {
  const auto decided_after = [](auto&& change) {
    ResponseDiscrepancy response = HonestResponse(20);
    for (PairDiscrepancy& pair : response.pairs) {
      if (pair.point > CapturePoint::Layer(0)) change(pair);
    }
    const CalibratedResult result = Judge(response);
    EXPECT_THAT(result.reason, HasSubstr("of the first 3 positions exceed")) << result.reason;
    return result.decided_after;
  };
  EXPECT_EQ(decided_after([](PairDiscrepancy& pair) { SetElementScore(pair, 2.5); }), 3u);  // on average only
  EXPECT_EQ(decided_after([](PairDiscrepancy& pair) {
              if (pair.point.is_final()) SetElementScore(pair, 3.5);  // at worst only
            }),
            3u);
  EXPECT_EQ(decided_after([](PairDiscrepancy& pair) { pair.statistics.sum_squared_error = std::exp(2 * (-5 + 0.35)); }), 3u);
  EXPECT_EQ(decided_after([](PairDiscrepancy& pair) { pair.statistics.sum_error_product = -0.0035; }), 3u);
  EXPECT_EQ(decided_after([](PairDiscrepancy& pair) { pair.statistics.sum_error_product = 0.0035; }), 3u);
}

TEST(JudgeCalibrated, RejectsStatesThatAreFarOffAtTheFirstPosition) {
  ResponseDiscrepancy response = HonestResponse(20);
  for (PairDiscrepancy& pair : response.pairs) {
    if (pair.point > CapturePoint::Layer(0)) SetElementScore(pair, 20);
  }
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 1u);
  EXPECT_EQ(result.reason, "the element error at position 100 is beyond anything honest (20 > 8 deviations)");
}

TEST(JudgeCalibrated, RejectsOnePositionThatIsFarOffInOneLayerOnly) {
  ResponseDiscrepancy response = HonestResponse(60);
  SetElementScore(PairAt(response, 40, CapturePoint::Final()), 12);  // 6 on average, which is within the 8
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 41u);
  EXPECT_EQ(result.reason, "the worst element error at position 140 is beyond anything honest (12 > 10 deviations)");
}

TEST(JudgeCalibrated, RejectsFewLargeElementsAndFalseScales) {
  ResponseDiscrepancy response = HonestResponse(60);
  PairAt(response, 10, CapturePoint::Layer(8)).statistics.sum_squared_error = std::exp(2 * (-5 + 1.5));
  EXPECT_EQ(Judge(response).reason, "the worst relative error at position 110 is beyond anything honest (15 > 10 deviations)");
  response = HonestResponse(60);
  PairAt(response, 10, CapturePoint::Layer(8)).statistics.sum_error_product = 0.0125;
  EXPECT_EQ(Judge(response).reason, "the scale error at position 110 is beyond anything honest (12.5 > 10 deviations)");
}

// Rows of zeros: every element is off by itself.
TEST(JudgeCalibrated, RejectsAFewZeroedRowsAtTheFirstOfThem) {
  ResponseDiscrepancy response = HonestResponse(60);
  for (const int i : {33, 44, 55}) {
    for (const CapturePoint point : {CapturePoint::Layer(8), CapturePoint::Final()}) {
      PairAt(response, i, point) = PairWith(point, 100 + i, 1, 1, -1);
    }
  }
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 34u);
  EXPECT_EQ(result.reason, "the element error at position 133 is beyond anything honest (40 > 8 deviations)");
}

TEST(JudgeCalibrated, RejectsAPairThatIsMissingOrNotFinite) {
  ResponseDiscrepancy response = HonestResponse(60);
  PairAt(response, 20, CapturePoint::Layer(8)).statistics.n_nonfinite = 1;
  const CalibratedResult not_finite = Judge(response);
  EXPECT_EQ(not_finite.verdict, Verdict::kReject);
  EXPECT_EQ(not_finite.decided_after, 21u);
  EXPECT_EQ(not_finite.reason, "the element error at position 120 is beyond anything honest (inf > 8 deviations)");

  response = HonestResponse(60);
  std::erase_if(response.pairs, [](const PairDiscrepancy& pair) { return pair.position == 130 && pair.point.is_final(); });
  const CalibratedResult missing = Judge(response);
  EXPECT_EQ(missing.verdict, Verdict::kReject);
  EXPECT_EQ(missing.decided_after, 31u);
}

TEST(JudgeCalibrated, ToleratesScoresAtTheirExtremeOnce) {
  ResponseDiscrepancy response = HonestResponse(60);
  SetElementScore(PairAt(response, 40, CapturePoint::Layer(8)), 9.999);
  EXPECT_EQ(Judge(response).verdict, Verdict::kAccept);
}

TEST(JudgeCalibrated, RejectsWrongEmbeddings) {
  ResponseDiscrepancy response = HonestResponse(20);
  PairAt(response, 2, CapturePoint::Layer(0)).statistics.sum_squared_error = 0.002 * 0.002;
  PairAt(response, 5, CapturePoint::Layer(0)).statistics.sum_squared_error = 1;
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 3u);
  EXPECT_EQ(result.reason, "the embeddings at position 102 are not those of its token (relative error 0.002, honest 0.001)");
}

TEST(JudgeCalibrated, RejectsFailuresOfTheResponseBeforeAnyPosition) {
  ResponseDiscrepancy response = HonestResponse(60);
  response.failures = {"the trace lacks 1 of 60 rows of capture point 8", "the text is not what the tokens decode to"};
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 0u);
  EXPECT_EQ(result.reason, "the trace lacks 1 of 60 rows of capture point 8");
}

TEST(JudgeCalibrated, NeedsNoEmbeddingsAndNotAllPoints) {
  ResponseDiscrepancy response = HonestResponse(20);
  response.plan.points = {CapturePoint::Final()};
  std::erase_if(response.pairs, [](const PairDiscrepancy& pair) { return !pair.point.is_final(); });
  EXPECT_EQ(Judge(response).verdict, Verdict::kAccept);
  EXPECT_EQ(Judge(response).decided_after, 7u);
  PairAt(response, 0, CapturePoint::Final()).element_error = 1;
  EXPECT_EQ(Judge(response).reason, "the worst element error at position 100 is beyond anything honest (40 > 10 deviations)");
}

TEST(JudgeCalibrated, RefusesCapturePointsThatWereNotLearned) {
  ResponseDiscrepancy response = HonestResponse(20);
  response.plan.points.push_back(CapturePoint::Layer(16));
  response.pairs.push_back(PairWith(CapturePoint::Layer(16), 100, 0, 0, 0));
  ExpectError([&] { Judge(response); }, ErrorKind::kUsage, HasSubstr("does not know capture point 16"));
}

TEST(JudgeCalibrated, EmbeddingsAloneAreNoEvidence) {
  ResponseDiscrepancy response = HonestResponse(60);
  response.plan.points = {CapturePoint::Layer(0)};
  std::erase_if(response.pairs, [](const PairDiscrepancy& pair) { return pair.point > CapturePoint::Layer(0); });
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.decided_after, 60u);
  EXPECT_THAT(result.reason, HasSubstr("only embeddings were compared"));
  PairAt(response, 7, CapturePoint::Layer(0)).statistics.sum_squared_error = 1;
  EXPECT_EQ(Judge(response).verdict, Verdict::kReject);
}

TEST(JudgeCalibrated, IsInconclusiveWhereNothingWasCompared) {
  for (ResponseDiscrepancy response : {ResponseDiscrepancy(), HonestResponse(0)}) {
    EXPECT_EQ(Judge(response).verdict, Verdict::kInconclusive);
    EXPECT_EQ(Judge(response).reason, "nothing was to be compared");
    EXPECT_EQ(Judge(response).decided_after, 0u);
    response.margins.emplace();
    EXPECT_EQ(Judge(response).verdict, Verdict::kInconclusive);
  }
}

// --- sampling

// Honest states at `n` positions with these margins, of which the first are given and the others 0.
ResponseDiscrepancy WithMargins(int n, std::vector<double> margins) {
  ResponseDiscrepancy response = HonestResponse(n);
  margins.resize(static_cast<std::size_t>(n), 0);
  response.margins = std::move(margins);
  return response;
}

TEST(JudgeCalibrated, AcceptsWhereStatesAndSamplingAreHonest) {
  const CalibratedResult result = Judge(WithMargins(60, {}));
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.decided_after, 49u);  // 7 for the states, 49 for the tokens
  EXPECT_EQ(result.reason,
            "the states of 0 of 60 positions exceed the honest thresholds; 0 of 60 output tokens are far from the choice asked "
            "for");
}

TEST(JudgeCalibrated, IsInconclusiveWhereTokensAreTooFewForTheSampling) {
  const CalibratedResult result = Judge(WithMargins(20, {}));
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.decided_after, 20u);
  EXPECT_THAT(result.reason, HasSubstr("20 output tokens are too few to tell whether they were chosen as asked: 49 are needed"));
}

// Every seventh position exceeds a threshold: never 7 more without than with, and not enough of them to reject.
TEST(JudgeCalibrated, IsInconclusiveWhereStatesAreThoughSamplingIsHonest) {
  ResponseDiscrepancy response = WithMargins(49, {});
  for (int i = 3; i < 49; i += 7) MakeModerate(response, i);
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.decided_after, 49u);
  EXPECT_EQ(result.reason,
            "the states of 7 of 49 positions exceed the honest thresholds, too many to accept and too few to reject");
}

TEST(JudgeCalibrated, RejectsHonestStatesOfTokensThatWereNotChosenAsAsked) {
  const CalibratedResult by_number = Judge(WithMargins(60, std::vector<double>(60, 1.0)));
  EXPECT_EQ(by_number.verdict, Verdict::kReject);
  EXPECT_EQ(by_number.decided_after, 3u);
  EXPECT_THAT(by_number.reason, HasSubstr("3 of the first 3 output tokens are further from the choice asked for"));

  const CalibratedResult by_one = Judge(WithMargins(60, {0, 0, 0, 0, 3.0}));
  EXPECT_EQ(by_one.verdict, Verdict::kReject);
  EXPECT_EQ(by_one.decided_after, 5u);
  EXPECT_THAT(by_one.reason, HasSubstr("output token 4 was not chosen as asked"));
}

TEST(JudgeCalibrated, UsesTheMarginsThatWereLearned) {
  Calibration calibration = HandMade();
  calibration.limits[static_cast<std::size_t>(Score::kSamplingMargin)] = {1.5, 4};
  EXPECT_EQ(JudgeCalibrated(calibration, WithMargins(90, {1.0, 1.0, 1.0, 1.0, 3.0})).verdict, Verdict::kAccept);
}

TEST(JudgeCalibrated, RejectsFalseStatesOfTokensThatWereChosenAsAsked) {
  ResponseDiscrepancy response = WithMargins(60, {});
  SetElementScore(PairAt(response, 10, CapturePoint::Final()), 30);
  const CalibratedResult result = Judge(response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 11u);
  EXPECT_THAT(result.reason, HasSubstr("the element error at position 110"));
}

TEST(JudgeCalibrated, NamesTheEarlierOfTwoRejections) {
  ResponseDiscrepancy response = WithMargins(60, {0, 0, 0, 0, 3.0});
  SetElementScore(PairAt(response, 10, CapturePoint::Final()), 30);
  EXPECT_EQ(Judge(response).decided_after, 5u);
  EXPECT_THAT(Judge(response).reason, HasSubstr("output token 4"));
  SetElementScore(PairAt(response, 2, CapturePoint::Final()), 30);
  EXPECT_EQ(Judge(response).decided_after, 3u);
  EXPECT_THAT(Judge(response).reason, HasSubstr("position 102"));
}

TEST(JudgeCalibrated, JudgesSamplingAlone) {
  ResponseDiscrepancy response = WithMargins(60, {});
  response.plan.points.clear();
  response.pairs.clear();
  const CalibratedResult accepted = Judge(response);
  EXPECT_EQ(accepted.verdict, Verdict::kAccept);
  EXPECT_EQ(accepted.decided_after, 49u);
  response.margins->at(7) = 3.0;
  EXPECT_EQ(Judge(response).verdict, Verdict::kReject);
  EXPECT_EQ(Judge(response).decided_after, 8u);
}

// --- with what was learned

// At the rate of 1e-4 it rejects 0.02 of 200 on average.
TEST(JudgeCalibrated, AcceptsFreshHonestResponsesOfLearnedDevices) {
  SimulatedDevices devices(1);
  std::vector<HonestRun> runs;
  for (int i = 0; i < 60; ++i) runs.push_back(devices.Run("a", "b", 100, 0));
  const Calibration calibration = Calibrate({}, StateType::kBF16, 1e-4, runs);
  int n_accepted = 0;
  for (int i = 0; i < 200; ++i) {
    const CalibratedResult result = JudgeCalibrated(calibration, devices.Response(100, 0));
    EXPECT_NE(result.verdict, Verdict::kReject) << result.reason;
    n_accepted += result.verdict == Verdict::kAccept;
  }
  EXPECT_GE(n_accepted, 190);  // an exceedance or two may leave one undecided
}

TEST(JudgeCalibrated, RejectsNoisierDevicesThanThoseLearned) {
  SimulatedDevices devices(2);
  std::vector<HonestRun> runs;
  for (int i = 0; i < 60; ++i) runs.push_back(devices.Run("a", "b", 100, 0));
  const Calibration calibration = Calibrate({}, StateType::kBF16, 1e-4, runs);
  for (int i = 0; i < 50; ++i) {
    const CalibratedResult result = JudgeCalibrated(calibration, devices.Response(100, 0.3));
    EXPECT_EQ(result.verdict, Verdict::kReject) << result.reason;
    EXPECT_GE(result.decided_after, 1u);
    EXPECT_LE(result.decided_after, 20u);
  }
}

// --- single pairs and the policy

// What decides alone in a layer: exp(-4 + 10 * 0.1) = 0.04979.
TEST(JudgeCalibratedPair, AcceptsElementErrorsUpToTheExtreme) {
  const Calibration calibration = HandMade();
  for (const CapturePoint point : {CapturePoint::Layer(8), CapturePoint::Final()}) {
    EXPECT_THAT(JudgeCalibratedPair(calibration, PairWith(point, 100, 0, 0, 0)), IsEmpty());
    EXPECT_THAT(JudgeCalibratedPair(calibration, PairWith(point, 100, 0.0497, 0.01, 0)), IsEmpty());
    EXPECT_EQ(JudgeCalibratedPair(calibration, PairWith(point, 100, 0.0625, 0.01, 0)), "element error 0.0625 > 0.04979");
    EXPECT_EQ(JudgeCalibratedPair(calibration, PairWith(point, 100, 0.0498, 0.01, 0)), "element error 0.0498 > 0.04979");
  }
}

TEST(JudgeCalibratedPair, HoldsEmbeddingsToTheirRelativeError) {
  const Calibration calibration = HandMade();
  EXPECT_THAT(JudgeCalibratedPair(calibration, PairWith(CapturePoint::Layer(0), 100, 1, 0.0009, 0)), IsEmpty());
  EXPECT_EQ(JudgeCalibratedPair(calibration, PairWith(CapturePoint::Layer(0), 100, 0, 0.002, 0)), "relative error 0.002 > 0.001");
}

TEST(JudgeCalibratedPair, FailsWithoutFiniteElementsOrAKnownPoint) {
  const Calibration calibration = HandMade();
  PairDiscrepancy pair = PairWith(CapturePoint::Layer(8), 100, 0, 0, 0);
  pair.statistics.n_nonfinite = 1;
  EXPECT_EQ(JudgeCalibratedPair(calibration, pair), "1 of 576 elements are not finite");
  pair.statistics.n_elements = pair.statistics.n_nonfinite = 0;
  EXPECT_EQ(JudgeCalibratedPair(calibration, pair), "no elements to compare");
  pair = PairWith(CapturePoint::Layer(8), 100, 0, 0, 0);
  pair.element_error = std::nullopt;
  EXPECT_EQ(JudgeCalibratedPair(calibration, pair), "element error 1 > 0.04979");
  EXPECT_EQ(JudgeCalibratedPair(calibration, PairWith(CapturePoint::Layer(16), 100, 0, 0, 0)),
            "the calibration does not know this capture point");
}

TEST(Evaluate, DecidesByPositionsWhereThePolicyIsCalibrated) {
  ResponseDiscrepancy response = HonestResponse(20);
  SetElementScore(PairAt(response, 4, CapturePoint::Final()), 11);
  const Policy policy = MakeCalibratedPolicy(HandMade());
  const PolicyResult result = Evaluate(policy, response);
  EXPECT_EQ(result.policy, "calibrated");
  EXPECT_EQ(result.version, policy.version);
  // 59 of 60 pairs are accepted, which the policy "paper" would do with.
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.decided_after, 5u);
  EXPECT_EQ(result.reason, "the worst element error at position 104 is beyond anything honest (11 > 10 deviations)");
  EXPECT_EQ(result.accept_count, 59u);
  EXPECT_EQ(result.total_count, 60u);
  ASSERT_THAT(result.pair_failures, SizeIs(60));
  EXPECT_THAT(result.pair_failures[14], HasSubstr("element error 0.05502 > 0.04979"));  // exp(-2.9)
  ASSERT_THAT(result.points, SizeIs(3));
  EXPECT_EQ(result.points[1].accept_count, 20u);
  EXPECT_EQ(result.points[2].accept_count, 19u);
  EXPECT_EQ(result.pools_accepted(), std::nullopt);
}

TEST(Evaluate, AcceptsHonestResponsesWhereThePolicyIsCalibrated) {
  const PolicyResult result = Evaluate(MakeCalibratedPolicy(HandMade()), HonestResponse(20));
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.decided_after, 7u);
  EXPECT_EQ(result.accept_rate(), 1);
  EXPECT_THAT(result.pair_failures, Each(IsEmpty()));
}

TEST(Evaluate, IsInconclusiveWhereNothingWasComparedAndThePolicyIsCalibrated) {
  const PolicyResult result = Evaluate(MakeCalibratedPolicy(HandMade()), {});
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_EQ(result.decided_after, 0u);
}

}  // namespace
}  // namespace verillm
