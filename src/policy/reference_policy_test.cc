#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "policy/rules.h"

namespace verillm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A pair of `n` elements whose mean abs error is `mean_error` and of which `n_exponent_mismatch` differ in the exponent.
PairStatistics Pair(std::uint64_t n, double mean_error, std::uint64_t n_exponent_mismatch) {
  PairStatistics pair;
  pair.n_elements = n;
  pair.sum_abs_error = mean_error * static_cast<double>(n);
  pair.n_exponent_mismatch = n_exponent_mismatch;
  return pair;
}

TEST(ReferencePolicy, AcceptsNearlyIdenticalStatesWhateverTheirExponents) {
  // One element, so that the mean is the sum to the last bit; its exponent differs, which shuts the second door.
  EXPECT_THAT(JudgeReferencePair(Pair(1, std::nextafter(1e-6, 0.0), 1), {}), IsEmpty());
  EXPECT_THAT(JudgeReferencePair(Pair(1, 1e-6, 1), {}), Not(IsEmpty()));
}

TEST(ReferencePolicy, AcceptsSmallErrorsWithFewExponentMismatches) {
  EXPECT_THAT(JudgeReferencePair(Pair(20, 0.005, 0), {}), IsEmpty());
  EXPECT_EQ(JudgeReferencePair(Pair(20, 0.005, 1), {}), "Pe of exponents 0.05 >= 0.05 (1 of 20)");
  EXPECT_THAT(JudgeReferencePair(Pair(21, 0.005, 1), {}), IsEmpty());
  EXPECT_THAT(JudgeReferencePair(Pair(1, std::nextafter(0.01, 0.0), 0), {}), IsEmpty());
  EXPECT_EQ(JudgeReferencePair(Pair(1, 0.01, 0), {}), "mean abs error 0.01 >= 0.01");
}

TEST(ReferencePolicy, NamesEveryFailedCriterion) {
  EXPECT_EQ(JudgeReferencePair(Pair(100, 0.075, 7), {}),
            "mean abs error 0.075 >= 0.01 and Pe of exponents 0.07 >= 0.05 (7 of 100)");
}

TEST(ReferencePolicy, TakesItsThresholdsAsGiven) {
  EXPECT_THAT(JudgeReferencePair(Pair(20, 0.005, 1), {.pe = 0.06}), IsEmpty());
  EXPECT_THAT(JudgeReferencePair(Pair(20, 0.005, 0), {.mean_error = 0.005}), HasSubstr("0.005 >= 0.005"));
  // But not the one of nearly identical states.
  EXPECT_THAT(JudgeReferencePair(Pair(20, 1e-7, 20), {.pe = 0, .mean_error = 0}), IsEmpty());
}

TEST(ReferencePolicy, IgnoresSigns) {
  PairStatistics negated = Pair(100, 0.001, 0);
  negated.n_mismatch = 100;
  negated.n_mismatch_large = 0;
  EXPECT_THAT(JudgeReferencePair(negated, {}), IsEmpty());

  PairStatistics cancelling = Pair(100, 5.0, 0);
  cancelling.sum_error = 0;
  EXPECT_THAT(JudgeReferencePair(cancelling, {}), Not(IsEmpty()));
}

TEST(ReferencePolicy, AcceptsOneLargeErrorHiddenInTheMean) {
  // 5 on one of 576 coordinates (a mean of 0.0087) passes, as published.
  EXPECT_THAT(JudgeReferencePair(Pair(576, 5.0 / 576, 1), {}), IsEmpty());
}

TEST(ReferencePolicy, FailsWithoutElementsOrWithNonFiniteOnes) {
  EXPECT_EQ(JudgeReferencePair({}, {}), "no elements to compare");
  PairStatistics pair = Pair(576, 0.0, 0);
  pair.n_nonfinite = 1;
  EXPECT_EQ(JudgeReferencePair(pair, {}), "1 of 576 elements are not finite");
}

// Whether one of the two criteria that come before the nominal ones accepts.
bool OtherDoorAccepts(const PairStatistics& pair, const Thresholds& thresholds) {
  const double n = static_cast<double>(pair.n_elements);
  const double mean_error = pair.sum_abs_error / n;
  const double pe = static_cast<double>(pair.n_exponent_mismatch) / n;
  return mean_error < 1e-6 || (mean_error < thresholds.mean_error && pe < thresholds.pe);
}

TEST(ReferencePolicy, NominalCriteriaNeverAcceptOnAGrid) {
  // Shares from 0 to 1 in twentieths, also those that exclude each other, on either side of every threshold.
  int n_shut = 0;
  for (const double mean_error : {0.0, 1e-7, 1e-6, 1e-4, 0.0099, 0.01, 0.0101, 1.0}) {
    for (std::uint64_t n_exponent_mismatch = 0; n_exponent_mismatch <= 20; ++n_exponent_mismatch) {
      for (std::uint64_t n_above = 0; n_above <= 20; ++n_above) {
        for (std::uint64_t n_below = 0; n_below <= 20; ++n_below) {
          PairStatistics pair = Pair(20, mean_error, n_exponent_mismatch);
          pair.n_error_above_1e5 = n_above;
          pair.n_error_below_1e7 = n_below;
          const bool accepted = JudgeReferencePair(pair, {}).empty();
          EXPECT_EQ(accepted, OtherDoorAccepts(pair, {}));
          n_shut += !OtherDoorAccepts(pair, {});
        }
      }
    }
  }
  // 441 pairs of shares; 3 means between the two thresholds with 1 to 20 mismatches, and 3 from the upper one on with 0 to 20.
  EXPECT_EQ(n_shut, 441 * (3 * 20 + 3 * 21));
}

TEST(ReferencePolicy, NominalCriteriaNeverAcceptRandomStatistics) {
  std::mt19937_64 random(20250924);
  std::uniform_real_distribution<double> share(0.0, 1.0);
  std::uniform_real_distribution<double> log10_error(-8.0, 1.0);
  int n_shut = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t n = 1 + random() % 4096;
    PairStatistics pair = Pair(n, std::pow(10.0, log10_error(random)), random() % (n / 8 + 1));
    pair.n_error_above_1e5 = random() % (n + 1);
    pair.n_error_below_1e7 = random() % (n - pair.n_error_above_1e5 + 1);
    const Thresholds thresholds = {.pe = share(random), .pm = share(random), .pw = share(random), .mean_error = share(random)};
    for (const Thresholds& candidate : {Thresholds{}, thresholds}) {
      if (OtherDoorAccepts(pair, candidate)) continue;
      ++n_shut;
      EXPECT_THAT(JudgeReferencePair(pair, candidate), Not(IsEmpty()));
    }
  }
  EXPECT_GT(n_shut, 50'000);
}

}  // namespace
}  // namespace verillm
