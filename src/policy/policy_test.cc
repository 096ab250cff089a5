#include "policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "policy/rules.h"

namespace verillm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

PairStatistics IdenticalPair() {
  PairStatistics statistics;
  statistics.n_elements = statistics.n_exact = statistics.n_match_small = 576;
  statistics.n_error_below_1e7 = statistics.n_error_zero = 576;
  return statistics;
}

// As under Q8_0 weights; both policies reject it.
PairStatistics DistantPair() {
  PairStatistics statistics;
  statistics.n_elements = 576;
  statistics.n_mismatch = statistics.n_exponent_mismatch = 75;
  statistics.n_mismatch_large = 46;
  statistics.n_match_small = 281;
  statistics.n_error_above_1e5 = 576;
  statistics.sum_abs_error = 576 * 0.076;
  return statistics;
}

// Identical pairs at layer 0, 8, ... and `n_positions` positions behind a prompt of 100 tokens.
ResponseDiscrepancy IdenticalResponse(int n_points, int n_positions) {
  ResponseDiscrepancy response;
  for (int i = 0; i < n_points; ++i) response.plan.points.push_back(CapturePoint::Layer(8 * i));
  for (int i = 0; i < n_positions; ++i) response.positions.push_back(100 + i);
  for (const int position : response.positions) {
    for (const CapturePoint point : response.plan.points) {
      response.pairs.push_back({.point = point, .position = position, .statistics = IdenticalPair(), .element_error = 0.0});
    }
  }
  return response;
}

// Judges a pair by whether it is identical, a pool by whether at least half of its elements are.
Policy IdentityPolicy(double accept_rate) {
  return {.name = "identity",
          .version = 7,
          .source = "test",
          .thresholds = {.accept_rate = accept_rate},
          .judge_pair = [](const PairStatistics& pair, const Thresholds&) -> Failure {
            return pair.n_exact == pair.n_elements ? "" : "differs";
          },
          .judge_pool = [](const PairStatistics& pool, const Thresholds&) -> Failure {
            return 2 * pool.n_exact >= pool.n_elements ? "" : "differs mostly";
          }};
}

std::string MessageOf(std::string_view name, const Thresholds& thresholds) {
  try {
    MakePolicy(name, thresholds);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "nothing thrown";
}

TEST(Verdict, HasNames) {
  EXPECT_EQ(VerdictName(Verdict::kAccept), "accept");
  EXPECT_EQ(VerdictName(Verdict::kReject), "reject");
  EXPECT_EQ(VerdictName(Verdict::kInconclusive), "inconclusive");
}

TEST(MakePolicy, KnowsEveryNameItOffers) {
  EXPECT_THAT(PolicyNames(), ElementsAre("paper", "reference"));
  for (const std::string_view name : PolicyNames()) {
    const Policy policy = MakePolicy(name, {.pw = 0.80});
    EXPECT_EQ(policy.name, name);
    EXPECT_GE(policy.version, 1);
    EXPECT_THAT(policy.source, Not(IsEmpty()));
    EXPECT_EQ(policy.thresholds.pw, 0.80);
    EXPECT_THAT(policy.judge_pair(IdenticalPair(), policy.thresholds), IsEmpty());
    EXPECT_THAT(policy.judge_pair(DistantPair(), policy.thresholds), Not(IsEmpty()));
  }
  EXPECT_EQ(MakePolicy("paper", {}).judge_pool, MakePolicy("paper", {}).judge_pair);
  EXPECT_EQ(MakePolicy("reference", {}).judge_pool, nullptr);
}

TEST(MakePolicy, RefusesUnknownNames) {
  EXPECT_EQ(
      MessageOf("Paper", {}),
      "unknown policy \"Paper\": choose one of paper, reference, toploc, toploc-deployed, activation-difr, token-difr, grail, residues");
  EXPECT_THAT(MessageOf("", {}), HasSubstr("unknown policy"));
}

TEST(MakePolicy, RefusesThresholdsOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(MessageOf("paper", {.pe = 1.5}), "threshold Pe = 1.5 lies outside [0, 1]");
  for (const double bad : {-0.001, 1.001, nan, infinity}) {
    EXPECT_THAT(MessageOf("paper", {.pe = bad}), HasSubstr("threshold Pe")) << bad;
    EXPECT_THAT(MessageOf("paper", {.pm = bad}), HasSubstr("threshold Pm")) << bad;
    EXPECT_THAT(MessageOf("reference", {.pw = bad}), HasSubstr("threshold Pw")) << bad;
    EXPECT_THAT(MessageOf("paper", {.significance = bad}), HasSubstr("threshold significance")) << bad;
    EXPECT_THAT(MessageOf("reference", {.accept_rate = bad}), HasSubstr("threshold accept_rate")) << bad;
  }
  for (const double bad : {-0.001, nan, infinity, -infinity}) {
    EXPECT_THAT(MessageOf("paper", {.mean_error = bad}), HasSubstr("threshold mean_error")) << bad;
  }
  EXPECT_NO_THROW(MakePolicy("paper", {.pe = 0, .pm = 1, .pw = 1, .mean_error = 20, .significance = 0, .accept_rate = 0}));
}

TEST(Evaluate, AcceptsAnHonestResponse) {
  const Policy policy = MakePolicy("paper", {});
  const PolicyResult result = Evaluate(policy, IdenticalResponse(5, 20));
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.reason, "100 of 100 pairs accepted (1 > 0.9)");
  EXPECT_EQ(result.policy, "paper");
  EXPECT_EQ(result.version, policy.version);
  EXPECT_EQ(result.thresholds.pe, 0.05);
  EXPECT_EQ(result.accept_rate(), 1.0);
  EXPECT_THAT(result.pair_failures, SizeIs(100));
  ASSERT_THAT(result.points, SizeIs(5));
  EXPECT_EQ(result.points[3].point, CapturePoint::Layer(24));
  EXPECT_EQ(result.points[3].pool.n_elements, 20u * 576u);
  EXPECT_EQ(result.points[3].accept_count, 20u);
  EXPECT_EQ(result.points[3].total_count, 20u);
}

TEST(Evaluate, SaysWhichUnitDecided) {
  EXPECT_EQ(Evaluate(MakePolicy("paper", {}, Unit::kPairs), IdenticalResponse(2, 2)).reason, "4 of 4 pairs accepted (1 > 0.9)");
  EXPECT_EQ(Evaluate(MakePolicy("paper", {}, Unit::kPools), IdenticalResponse(2, 2)).reason,
            "all 2 capture points pooled are accepted");
  EXPECT_EQ(Evaluate(MakePolicy("paper", {}, Unit::kPools), IdenticalResponse(1, 2)).reason,
            "capture point 0 pooled is accepted");
}

TEST(Evaluate, WantsMoreThanTheCriterionOfPairs) {
  ResponseDiscrepancy response = IdenticalResponse(2, 10);
  response.pairs[3].statistics = DistantPair();
  PolicyResult result = Evaluate(IdentityPolicy(0.90), response);
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_EQ(result.reason, "19 of 20 pairs accepted (0.95 > 0.9)");
  EXPECT_EQ(result.policy, "identity");
  EXPECT_EQ(result.version, 7);

  // 18 of 20 is exactly the criterion.
  response.pairs[8].statistics = DistantPair();
  result = Evaluate(IdentityPolicy(0.90), response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.reason,
            "only 18 of 20 pairs accepted (0.9 <= 0.9), the first rejected being capture point 8 at position 101: differs");
  EXPECT_EQ(result.accept_count, 18u);
  EXPECT_EQ(result.points[0].accept_count, 9u);
  EXPECT_EQ(result.points[1].accept_count, 9u);
  EXPECT_EQ(result.pair_failures[3], "differs");
  EXPECT_EQ(result.pair_failures[4], "");
}

TEST(Evaluate, WantsMoreThanAllPairsAtCriterionOne) {
  EXPECT_EQ(Evaluate(IdentityPolicy(1.0), IdenticalResponse(2, 10)).verdict, Verdict::kReject);
}

TEST(Evaluate, CountsMissingPairsAsRejected) {
  ResponseDiscrepancy response = IdenticalResponse(2, 10);
  response.pairs.pop_back();
  response.pairs.pop_back();
  const PolicyResult result = Evaluate(MakePolicy("reference", {}), response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.reason, "only 18 of 20 pairs accepted (0.9 <= 0.9)");
  EXPECT_EQ(result.total_count, 20u);
  EXPECT_EQ(result.points[1].accept_count, 9u);
  EXPECT_EQ(result.points[1].total_count, 10u);
  EXPECT_THAT(result.pair_failures, SizeIs(18));
}

TEST(Evaluate, DoesNotLetPairsOutsideThePlanReplaceMissingOnes) {
  ResponseDiscrepancy response = IdenticalResponse(2, 10);
  for (PairDiscrepancy& pair : response.pairs) {
    if (pair.point == CapturePoint::Layer(8)) pair.point = CapturePoint::Final();
  }
  const PolicyResult result = Evaluate(MakePolicy("reference", {}), response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.accept_count, 10u);
  EXPECT_EQ(result.points[1].accept_count, 0u);
  EXPECT_EQ(result.points[1].pool.n_elements, 0u);
}

TEST(Evaluate, RejectsTheEmptyPoolOfACapturePointThatIsMissing) {
  ResponseDiscrepancy response = IdenticalResponse(20, 10);
  std::erase_if(response.pairs, [](const PairDiscrepancy& pair) { return pair.point == CapturePoint::Layer(152); });
  const PolicyResult result = Evaluate(MakePolicy("paper", {}, Unit::kPools), response);
  EXPECT_EQ(result.accept_rate(), 0.95);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.reason, "capture point 152 pooled: no elements to compare");
}

TEST(Evaluate, RejectsWhereTheResponseHasFailures) {
  ResponseDiscrepancy response = IdenticalResponse(2, 10);
  response.failures = {"the trace lacks 1 of 10 rows of capture point 8", "the text is not what the tokens decode to"};
  response.pairs.pop_back();
  const PolicyResult result = Evaluate(MakePolicy("paper", {}), response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.reason, "the trace lacks 1 of 10 rows of capture point 8; the text is not what the tokens decode to");
  EXPECT_EQ(result.accept_count, 19u);
}

TEST(Evaluate, RejectsOnePoolThatFailsAmongAcceptedPairsWherePoolsDecide) {
  // Ten percent of mismatches at every position of layer 8: not significant at 10 elements, but over 20 positions.
  ResponseDiscrepancy response = IdenticalResponse(3, 20);
  PairStatistics small;
  small.n_elements = 10;
  small.n_mismatch = small.n_mismatch_large = 1;
  small.n_match_small = 9;
  for (PairDiscrepancy& pair : response.pairs) {
    if (pair.point == CapturePoint::Layer(8)) pair.statistics = small;
  }
  const PolicyResult by_pairs = Evaluate(MakePolicy("paper", {}, Unit::kPairs), response);
  EXPECT_EQ(by_pairs.verdict, Verdict::kAccept);
  EXPECT_EQ(by_pairs.pools_accepted(), false);

  const PolicyResult result = Evaluate(MakePolicy("paper", {}, Unit::kPools), response);
  EXPECT_EQ(result.accept_rate(), 1.0);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.reason, "capture point 8 pooled: Pe 0.1 > 0.05 (p < 0.01, 20 of 200)");
  EXPECT_EQ(result.points[0].pool_failure, "");
  EXPECT_EQ(result.points[1].pool_failure, "Pe 0.1 > 0.05 (p < 0.01, 20 of 200)");
}

TEST(Evaluate, NamesTheFirstFailureAndItsValues) {
  ResponseDiscrepancy response = IdenticalResponse(4, 10);
  for (PairDiscrepancy& pair : response.pairs) {
    if (pair.point > CapturePoint::Layer(0)) pair.statistics = DistantPair();
  }
  const PolicyResult by_pairs = Evaluate(MakePolicy("paper", {}, Unit::kPairs), response);
  EXPECT_EQ(by_pairs.verdict, Verdict::kReject);
  EXPECT_EQ(by_pairs.reason,
            "only 10 of 40 pairs accepted (0.25 <= 0.9), the first rejected being capture point 8 at position 100: "
            "Pe 0.1302 > 0.05 (p < 0.01, 75 of 576) and Pm 0.6133 < 0.75 (p < 0.01, 46 of 75)");
  const PolicyResult by_pools = Evaluate(MakePolicy("paper", {}, Unit::kPools), response);
  EXPECT_EQ(by_pools.verdict, Verdict::kReject);
  EXPECT_EQ(by_pools.reason,
            "capture point 8 pooled: Pe 0.1302 > 0.05 (p < 0.01, 750 of 5760) and Pm 0.6133 < 0.75 (p < 0.01, 460 of 750) "
            "(16, 24 fail too)");
}

TEST(MakePolicy, RefusesPoolsWhereTheRuleJudgesPairsOnly) { EXPECT_THROW(MakePolicy("reference", {}, Unit::kPools), Error); }

TEST(Evaluate, IsInconclusiveWhereNothingWasToBeCompared) {
  for (const std::string_view name : PolicyNames()) {
    PolicyResult result = Evaluate(MakePolicy(name, {}), IdenticalResponse(5, 0));
    EXPECT_EQ(result.verdict, Verdict::kInconclusive);
    EXPECT_EQ(result.reason, "nothing was to be compared: 5 capture points, 0 positions");
    EXPECT_EQ(result.accept_rate(), 0.0);
    EXPECT_THAT(result.points, SizeIs(5));

    EXPECT_EQ(Evaluate(MakePolicy(name, {}), IdenticalResponse(0, 5)).verdict, Verdict::kInconclusive);
  }
}

TEST(Evaluate, RejectsAnEmptyResponseThatHasFailures) {
  ResponseDiscrepancy response = IdenticalResponse(5, 0);
  response.failures = {"the text is not what the tokens decode to"};
  const PolicyResult result = Evaluate(MakePolicy("paper", {}), response);
  EXPECT_EQ(result.verdict, Verdict::kReject);
  EXPECT_EQ(result.reason, "the text is not what the tokens decode to");
}

// 49 tokens tell that they were chosen as asked, three in a row that they were not (sampling_check_test.cc).
TEST(Evaluate, RejectsTokensThatWereNotChosenAsAsked) {
  ResponseDiscrepancy response = IdenticalResponse(2, 60);
  response.margins = std::vector<double>(60, 0.0);
  const PolicyResult accepted = Evaluate(MakePolicy("paper", {}), response);
  EXPECT_EQ(accepted.verdict, Verdict::kAccept);
  EXPECT_EQ(accepted.reason, "120 of 120 pairs accepted (1 > 0.9); tokens chosen as asked");

  response.margins->at(7) = 3;
  const PolicyResult rejected = Evaluate(MakePolicy("paper", {}), response);
  EXPECT_EQ(rejected.verdict, Verdict::kReject);
  EXPECT_THAT(rejected.reason, HasSubstr("output token 7 was not chosen as asked"));
}

TEST(Evaluate, LeavesTheVerdictToTheStatesWhereTokensAreTooFew) {
  ResponseDiscrepancy response = IdenticalResponse(2, 10);
  response.margins = std::vector<double>(10, 0.0);
  const PolicyResult result = Evaluate(MakePolicy("paper", {}), response);
  EXPECT_EQ(result.verdict, Verdict::kAccept);
  EXPECT_THAT(result.reason, HasSubstr("20 of 20 pairs accepted (1 > 0.9); 10 output tokens are too few to tell"));
}

TEST(Evaluate, JudgesSamplingAloneWhereNoStatesAreCompared) {
  ResponseDiscrepancy response = IdenticalResponse(0, 49);
  response.margins = std::vector<double>(49, 0.0);
  EXPECT_EQ(Evaluate(MakePolicy("paper", {}), response).verdict, Verdict::kAccept);
  EXPECT_EQ(Evaluate(MakePolicy("paper", {}), response).reason, "tokens chosen as asked");

  response.positions.pop_back();
  response.margins->pop_back();
  const PolicyResult result = Evaluate(MakePolicy("paper", {}), response);
  EXPECT_EQ(result.verdict, Verdict::kInconclusive);
  EXPECT_THAT(result.reason, HasSubstr("48 output tokens are too few to tell whether they were chosen as asked"));
}

TEST(ShowBeside, ShowsOnWhichSideOfTheThresholdAValueIs) {
  EXPECT_EQ(ShowBeside(0.13194, 0.05), "0.1319");
  EXPECT_EQ(ShowBeside(0.05, 0.05), "0.05");
  EXPECT_EQ(ShowBeside(0.05000012, 0.05), "0.0500001");
  EXPECT_EQ(ShowBeside(0.90001, 0.9), "0.90001");
  EXPECT_NE(ShowBeside(std::nextafter(0.05, 1.0), 0.05), "0.05");
}

}  // namespace
}  // namespace verillm
