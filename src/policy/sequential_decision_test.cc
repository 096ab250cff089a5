#include "policy/sequential_decision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace verillm {
namespace {

// As for states: 1 in 100 honest positions exceeds a threshold, at least half of the dishonest ones do.
SequentialDecision OfStates(double alpha, double beta) { return {0.01, 0.5, alpha, beta}; }

// Share of `n` sequences of 200 positions, each of which exceeds its threshold with probability `rate`, that end as asked.
template <typename Ended>
double ShareOf(int n, double rate, const SequentialDecision& fresh, Ended ended) {
  std::mt19937 random(1);
  int count = 0;
  for (int i = 0; i < n; ++i) {
    SequentialDecision test = fresh;
    for (int position = 0; position < 200; ++position) test.Add(static_cast<double>(random()) < rate * 4294967296.0);
    count += ended(test);
  }
  return static_cast<double>(count) / n;
}

TEST(SequentialDecision, BeginsWithoutEvidence) {
  const SequentialDecision test = OfStates(0.05, 0.05);
  EXPECT_NEAR(test.log_evidence_against(), 0, 1e-15);  // the mean of three ones
  EXPECT_EQ(test.log_evidence_for(), 0);
  EXPECT_FALSE(test.Rejects());
  EXPECT_FALSE(test.Accepts());
}

// The bets are 0.05, 0.3 and 0.9; the honest rate is 0.01, the dishonest one 0.5.
TEST(SequentialDecision, EvidenceOfOneAndTwoStepsIsThatByHand) {
  SequentialDecision test = OfStates(1e-9, 1e-9);
  test.Add(true);
  EXPECT_NEAR(test.log_evidence_against(), std::log((5.0 + 30.0 + 90.0) / 3), 1e-12);
  EXPECT_NEAR(test.log_evidence_for(), std::log(0.01 / 0.5), 1e-12);
  test.Add(false);
  EXPECT_NEAR(test.log_evidence_against(), std::log((5.0 * 0.95 + 30.0 * 0.7 + 90.0 * 0.1) / 0.99 / 3), 1e-12);
  EXPECT_NEAR(test.log_evidence_for(), std::log(0.01 / 0.5 * 0.99 / 0.5), 1e-12);
}

TEST(SequentialDecision, EvidenceDoesNotDependOnTheOrder) {
  SequentialDecision first = OfStates(1e-9, 1e-9);
  SequentialDecision second = OfStates(1e-9, 1e-9);
  for (const bool exceeds : {true, true, false, false, false}) first.Add(exceeds);
  for (const bool exceeds : {false, true, false, true, false}) second.Add(exceeds);
  EXPECT_NEAR(first.log_evidence_against(), second.log_evidence_against(), 1e-12);
  EXPECT_NEAR(first.log_evidence_for(), second.log_evidence_for(), 1e-12);
}

// ln 100 / ln(0.99 / 0.5) = 6.74 and ln 100 / ln(0.99 / 0.9) = 48.3.
TEST(SequentialDecision, AcceptsAfterThePositionsThatItNamesAndNotBefore) {
  EXPECT_EQ(OfStates(0.05, 0.01).positions_to_accept(), 7u);
  EXPECT_EQ(SequentialDecision(0.01, 0.1, 0.05, 0.01).positions_to_accept(), 49u);
  for (const double dishonest_rate : {0.1, 0.3, 0.5, 0.9}) {
    for (const double beta : {0.3, 0.05, 1e-6}) {
      SequentialDecision test(0.01, dishonest_rate, 0.05, beta);
      const std::size_t needed = test.positions_to_accept();
      ASSERT_GE(needed, 1u);
      for (std::size_t i = 0; i + 1 < needed; ++i) test.Add(false);
      EXPECT_FALSE(test.Accepts()) << dishonest_rate << ' ' << beta;
      test.Add(false);
      EXPECT_TRUE(test.Accepts()) << dishonest_rate << ' ' << beta;
      EXPECT_FALSE(test.Rejects());
    }
  }
}

// After one exceedance the evidence against an honest run is (5 + 30 + 90) / 3 = 41.7, after two in a row 9025 / 3 = 3008.3,
// after three 756,125 / 3 = 252,041.7.
TEST(SequentialDecision, RejectsAfterAsManyExceedancesInARowAsAlphaAsksFor) {
  const struct {
    double alpha;
    int needed;
  } cases[] = {{1 / 41.0, 1}, {1 / 42.0, 2}, {1 / 3008.0, 2}, {1 / 3009.0, 3}, {1 / 252041.0, 3}, {1 / 252042.0, 4}};
  for (const auto& [alpha, needed] : cases) {
    SequentialDecision test = OfStates(alpha, 0.01);
    for (int i = 0; i + 1 < needed; ++i) test.Add(true);
    EXPECT_FALSE(test.Rejects()) << 1 / alpha;
    test.Add(true);
    EXPECT_TRUE(test.Rejects()) << 1 / alpha;
  }
}

TEST(SequentialDecision, StaysRejectedWhateverFollows) {
  SequentialDecision test = OfStates(1e-3, 0.01);
  test.Add(true);
  test.Add(true);
  ASSERT_TRUE(test.Rejects());
  for (int i = 0; i < 100; ++i) test.Add(false);
  EXPECT_LT(test.log_evidence_against(), std::log(1e3));
  EXPECT_TRUE(test.Rejects());
}

TEST(SequentialDecision, StaysAcceptedAndCanStillReject) {
  SequentialDecision test = OfStates(1e-3, 0.01);
  for (int i = 0; i < 7; ++i) test.Add(false);
  ASSERT_TRUE(test.Accepts());
  for (int i = 0; i < 7; ++i) test.Add(true);
  EXPECT_LT(test.log_evidence_for(), 0);
  EXPECT_TRUE(test.Accepts());
  EXPECT_TRUE(test.Rejects());
}

TEST(SequentialDecision, SeldomRejectsHonestRunsAtTheirVeryRate) {
  const double share = ShareOf(4000, 0.01, OfStates(0.05, 0.05), [](const SequentialDecision& test) { return test.Rejects(); });
  EXPECT_GT(share, 0.01);
  EXPECT_LT(share, 0.05);
}

TEST(SequentialDecision, SeldomAcceptsDishonestRunsAtTheirVeryRate) {
  const double share = ShareOf(4000, 0.5, OfStates(0.05, 0.05), [](const SequentialDecision& test) { return test.Accepts(); });
  EXPECT_GT(share, 0.01);
  EXPECT_LT(share, 0.05);
}

TEST(SequentialDecision, NearlyAlwaysTellsWhatIsFarFromItsThresholds) {
  const SequentialDecision strict = OfStates(1e-6, 1e-6);
  EXPECT_GT(ShareOf(1000, 0.001, strict, [](const auto& test) { return test.Accepts() && !test.Rejects(); }), 0.995);
  EXPECT_GT(ShareOf(1000, 0.5, strict, [](const auto& test) { return test.Rejects() && !test.Accepts(); }), 0.995);
}

}  // namespace
}  // namespace verillm
