#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "policy/rules.h"

namespace verillm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// `n` finite elements whose errors cancel: `n_mismatch` differ in sign or exponent, of which `n_large` have distant mantissas;
// of the others `n_small` have close ones.
PairStatistics Counts(std::uint64_t n, std::uint64_t n_mismatch, std::uint64_t n_large, std::uint64_t n_small) {
  PairStatistics statistics;
  statistics.n_elements = n;
  statistics.n_mismatch = n_mismatch;
  statistics.n_mismatch_large = n_large;
  statistics.n_match_small = n_small;
  return statistics;
}

// A pool over 200 positions of width 576 with these shares.
PairStatistics Pool(double pe, double pm, double pw) {
  const double n = 200.0 * 576.0;
  const double n_mismatch = std::round(pe * n);
  return Counts(static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(n_mismatch),
                static_cast<std::uint64_t>(pm * n_mismatch), static_cast<std::uint64_t>(pw * (n - n_mismatch)));
}

TEST(BinomialTail, MatchesSumsOverTheCoefficients) {
  EXPECT_DOUBLE_EQ(BinomialUpperTail(3, 10, 0.5), 968.0 / 1024);
  EXPECT_DOUBLE_EQ(BinomialLowerTail(1, 10, 0.5), 11.0 / 1024);
  EXPECT_DOUBLE_EQ(BinomialLowerTail(2, 8, 0.75), 277.0 / 65536);
  EXPECT_DOUBLE_EQ(BinomialLowerTail(3, 8, 0.75), 1789.0 / 65536);
  // In rational arithmetic.
  EXPECT_NEAR(BinomialUpperTail(3, 10, 0.05), 0.011503557379296874, 1e-15);
  EXPECT_NEAR(BinomialUpperTail(42, 576, 0.05), 0.01041212557051988, 1e-14);
  EXPECT_NEAR(BinomialUpperTail(43, 576, 0.05), 0.006558639255287542, 1e-14);
}

TEST(BinomialTail, HoldsAtTheEndsOfTheRange) {
  EXPECT_EQ(BinomialUpperTail(0, 10, 0.3), 1);
  EXPECT_EQ(BinomialLowerTail(10, 10, 0.3), 1);
  EXPECT_DOUBLE_EQ(BinomialUpperTail(4, 4, 0.5), 1.0 / 16);
  EXPECT_DOUBLE_EQ(BinomialLowerTail(0, 4, 0.5), 1.0 / 16);
  for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{576}, std::uint64_t{1'000'000'000}}) {
    EXPECT_EQ(BinomialUpperTail(0, n, 0), 1) << n;
    EXPECT_EQ(BinomialUpperTail(1, n, 0), 0) << n;
    EXPECT_EQ(BinomialLowerTail(0, n, 0), 1) << n;
    EXPECT_EQ(BinomialUpperTail(n, n, 1), 1) << n;
    EXPECT_EQ(BinomialLowerTail(n - 1, n, 1), 0) << n;
    EXPECT_EQ(BinomialLowerTail(n, n, 1), 1) << n;
  }
}

TEST(BinomialTail, MatchesTheNormalApproximationForABillion) {
  const std::uint64_t n = 1'000'000'000;
  for (const double p : {0.05, 0.5, 0.75, 0.999}) {
    const double deviation = std::sqrt(static_cast<double>(n) * p * (1 - p));
    for (const double z : {-20.0, -2.0, 0.0, 2.0, 20.0}) {
      const std::uint64_t k = static_cast<std::uint64_t>(static_cast<double>(n) * p + z * deviation);
      // With the continuity correction of half an element; what is left is the skewness, below (1 - 2 p) / deviation.
      const double upper_z = (static_cast<double>(k) - 0.5 - static_cast<double>(n) * p) / deviation;
      const double lower_z = (static_cast<double>(k) + 0.5 - static_cast<double>(n) * p) / deviation;
      EXPECT_NEAR(BinomialUpperTail(k, n, p), 0.5 * std::erfc(upper_z / std::sqrt(2.0)), 1 / deviation) << p << ' ' << z;
      EXPECT_NEAR(BinomialLowerTail(k, n, p), 0.5 * std::erfc(-lower_z / std::sqrt(2.0)), 1 / deviation) << p << ' ' << z;
    }
  }
}

TEST(PaperPolicy, FailsPeOnlyWhereTheExcessIsSignificant) {
  // P(X >= 3) = 0.0115 and P(X >= 4) = 0.00103 for 10 elements at 0.05.
  EXPECT_THAT(JudgePaper(Counts(10, 3, 3, 7), {}), IsEmpty());
  EXPECT_EQ(JudgePaper(Counts(10, 4, 4, 6), {}), "Pe 0.4 > 0.05 (p < 0.01, 4 of 10)");
  // A stricter level lets it pass again.
  EXPECT_THAT(JudgePaper(Counts(10, 4, 4, 6), {.significance = 0.001}), IsEmpty());
  // Width 576: 43 is the first count whose tail is below 0.01.
  EXPECT_THAT(JudgePaper(Counts(576, 42, 42, 534), {}), IsEmpty());
  EXPECT_EQ(JudgePaper(Counts(576, 43, 43, 533), {}), "Pe 0.07465 > 0.05 (p < 0.01, 43 of 576)");
}

TEST(PaperPolicy, FailsPmOnlyWhereTheLackIsSignificant) {
  // P(X <= 3) = 0.0273 and P(X <= 2) = 0.0042 for 8 elements at 0.75.
  EXPECT_THAT(JudgePaper(Counts(576, 8, 3, 568), {}), IsEmpty());
  EXPECT_EQ(JudgePaper(Counts(576, 8, 2, 568), {}), "Pm 0.25 < 0.75 (p < 0.01, 2 of 8)");
}

TEST(PaperPolicy, FailsPwOnlyWhereTheLackIsSignificant) {
  // P(X <= 1) = 11/1024 and P(X <= 0) = 1/1024 for 10 elements at 0.5.
  EXPECT_THAT(JudgePaper(Counts(10, 0, 0, 1), {}), IsEmpty());
  EXPECT_EQ(JudgePaper(Counts(10, 0, 0, 0), {}), "Pw 0 < 0.5 (p < 0.01, 0 of 10)");
}

TEST(PaperPolicy, AcceptsSharesAtTheirThresholdsAtAnyLevel) {
  // Pe 1/20, Pm 3/4 of 4 (in 80 elements), Pw 1/2.
  for (const double significance : {0.0, 0.01, 1.0}) {
    EXPECT_THAT(JudgePaper(Counts(80, 4, 3, 38), {.significance = significance}), IsEmpty()) << significance;
  }
}

TEST(PaperPolicy, HoldsToTheBareThresholdsAtLevelOne) {
  const Thresholds bare = {.significance = 1};
  EXPECT_THAT(JudgePaper(Counts(80, 5, 5, 75), bare), HasSubstr("Pe 0.0625 > 0.05"));
  EXPECT_THAT(JudgePaper(Counts(80, 4, 2, 76), bare), HasSubstr("Pm 0.5 < 0.75"));
  EXPECT_THAT(JudgePaper(Counts(80, 4, 4, 37), bare), HasSubstr("Pw 0.4868 < 0.5"));
}

TEST(PaperPolicy, NeverFailsAShareAtLevelZero) {
  EXPECT_THAT(JudgePaper(Counts(576, 576, 0, 0), {.significance = 0}), IsEmpty());
}

TEST(PaperPolicy, HandlesThresholdsZeroAndOne) {
  EXPECT_THAT(JudgePaper(Counts(576, 0, 0, 576), {.pe = 0}), IsEmpty());
  EXPECT_EQ(JudgePaper(Counts(576, 1, 1, 575), {.pe = 0}), "Pe 0.001736 > 0 (p < 0.01, 1 of 576)");
  EXPECT_THAT(JudgePaper(Counts(576, 576, 576, 0), {.pe = 1, .pm = 1}), IsEmpty());
  EXPECT_EQ(JudgePaper(Counts(576, 0, 0, 575), {.pw = 1}), "Pw 0.9983 < 1 (p < 0.01, 575 of 576)");
  EXPECT_THAT(JudgePaper(Counts(576, 10, 0, 0), {.pm = 0, .pw = 0}), IsEmpty());
}

TEST(PaperPolicy, TakesUndefinedSharesAsNoEvidence) {
  EXPECT_THAT(JudgePaper(Counts(576, 0, 0, 576), {.pm = 1}), IsEmpty());
  EXPECT_THAT(JudgePaper(Counts(576, 576, 576, 0), {.pe = 1, .pw = 1}), IsEmpty());
}

TEST(PaperPolicy, BoundsTheSignedMeanError) {
  PairStatistics statistics = Counts(1, 0, 0, 1);
  for (const double sign : {-1.0, 1.0}) {
    statistics.sum_error = sign * std::nextafter(0.01, 0.0);
    EXPECT_THAT(JudgePaper(statistics, {}), IsEmpty());
    statistics.sum_error = sign * 0.01;
    EXPECT_EQ(JudgePaper(statistics, {}), "|mean error| 0.01 >= 0.01");
  }
  // Errors that cancel do not count.
  statistics.sum_error = 0;
  statistics.sum_abs_error = 100;
  EXPECT_THAT(JudgePaper(statistics, {}), IsEmpty());
}

TEST(PaperPolicy, FailsWithoutElementsOrWithNonFiniteOnes) {
  EXPECT_EQ(JudgePaper({}, {}), "no elements to compare");
  PairStatistics statistics = Counts(576, 0, 0, 575);
  statistics.n_nonfinite = 1;
  EXPECT_EQ(JudgePaper(statistics, {}), "1 of 576 elements are not finite");
  statistics = Counts(576, 0, 0, 0);
  statistics.n_nonfinite = 576;
  EXPECT_EQ(JudgePaper(statistics, {}), "576 of 576 elements are not finite");
}

TEST(PaperPolicy, NamesEveryFailedCriterion) {
  PairStatistics statistics = Counts(576, 76, 30, 100);
  statistics.sum_error = -576;
  EXPECT_EQ(JudgePaper(statistics, {}),
            "Pe 0.1319 > 0.05 (p < 0.01, 76 of 576) and Pm 0.3947 < 0.75 (p < 0.01, 30 of 76) and "
            "Pw 0.2 < 0.5 (p < 0.01, 100 of 500) and |mean error| 1 >= 0.01");
}

// Shares measured with SmolLM2-135M-Instruct (F16), bf16 records, pooled over positions.
TEST(PaperPolicy, AcceptsTheSharesOfHonestCpus) {
  EXPECT_THAT(JudgePaper(Pool(0.012, 0.77, 0.97), {}), IsEmpty());
  EXPECT_THAT(JudgePaper(Pool(0.012, 0.77, 0.97), {.pw = 0.80}), IsEmpty());
}

TEST(PaperPolicy, RejectsTheSharesOfQuantisedWeights) {
  const Failure q8_0 = JudgePaper(Pool(0.13, 0.62, 0.56), {});
  EXPECT_THAT(q8_0, HasSubstr("Pe 0.13 > 0.05 (p < 0.01, 14976 of 115200)"));
  EXPECT_THAT(q8_0, HasSubstr("Pm 0.62 < 0.75"));
  EXPECT_THAT(q8_0, Not(HasSubstr("Pw")));
  EXPECT_THAT(JudgePaper(Pool(0.13, 0.62, 0.56), {.pw = 0.80}), HasSubstr("Pw 0.56 < 0.8"));
  // A single position suffices.
  EXPECT_THAT(JudgePaper(Counts(576, 75, 46, 281), {}), HasSubstr("Pe 0.1302 > 0.05"));
}

TEST(PaperPolicy, RejectsTheSharesOfAnHonestVulkanDevice) {
  // A limit of the published thresholds, not of the device: half precision is as far away.
  EXPECT_THAT(JudgePaper(Pool(0.060, 0.69, 0.80), {}), HasSubstr("Pe 0.06 > 0.05"));
}

TEST(PaperPolicy, DecidesForABillionElements) {
  // At 0.05 the deviation is 6892 elements, and 2.326 deviations (16,033) are significant.
  const std::uint64_t n = 1'000'000'000;
  const auto judge = [&](std::uint64_t n_mismatch) { return JudgePaper(Counts(n, n_mismatch, n_mismatch, n - n_mismatch), {}); };
  EXPECT_THAT(judge(50'015'900), IsEmpty());
  EXPECT_EQ(judge(50'016'100), "Pe 0.05002 > 0.05 (p < 0.01, 50016100 of 1000000000)");
  EXPECT_THAT(judge(0), IsEmpty());
  EXPECT_THAT(judge(n), HasSubstr("Pe 1 > 0.05"));
}

}  // namespace
}  // namespace verillm
