#include "discrepancy/pair_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace verillm {
namespace {

constexpr StateType kTypes[] = {StateType::kF16, StateType::kBF16, StateType::kF32};
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Row = std::vector<std::byte>;

Row Encoded(std::vector<float> values, StateType type) {
  Row row(values.size() * static_cast<std::size_t>(FormatOf(type).bytes));
  EncodeStates(values, type, row);
  return row;
}

// `n_ulp` steps up in the mantissa of `value`, which the type holds exactly.
Row StepsAbove(float value, std::uint32_t n_ulp, StateType type) {
  Row row = Encoded({value}, type);
  std::uint32_t bits = 0;
  std::memcpy(&bits, row.data(), row.size());
  bits += n_ulp;
  std::memcpy(row.data(), &bits, row.size());
  return row;
}

// Every statement about statistics holds for the reference and for the kernel in use.
template <typename Check>
void ForBothImplementations(const Row& a, const Row& b, StateType type, Check check) {
  SCOPED_TRACE(StateTypeName(type));
  {
    SCOPED_TRACE("ComparePairScalar");
    check(ComparePairScalar(a, b, type));
  }
  {
    SCOPED_TRACE("ComparePair");
    check(ComparePair(a, b, type));
  }
}

template <typename Call>
void ExpectInputError(Call call, const std::string& part_of_message) {
  try {
    call();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(std::string(error.what()).find(part_of_message), std::string::npos) << error.what();
  }
}

// All of these are exact in every type. E = elements 2 to 6.
//
//   i      a     b   e_a = e_b   delta                      b - a   (b - a)^2     b^2
//   0   1.00  1.00   yes         0                            0        0           1
//   1   1.50  1.00   yes         |.5 - 0| = .5              -0.5       0.25        1
//   2   1.00  2.00   no          |0 - 0| = 0                  1        1           4
//   3   3.50  4.00   no          |.75 - 0| = .75              0.5      0.25       16
//   4  -1.00  1.00   yes, signs  |0 - 0| = 0                  2        4           1
//   5   0.00 -0.00   yes, signs  |0 - 0| = 0                  0        0           0
//   6   8.00  0.00   no          |0 - 0| = 0                 -8       64           0
//   7   0.25  0.25   yes         0                            0        0           0.0625
//                                                   sum      -5       69.5        23.0625
//                                            sum of |.|      12
const std::vector<float> kProver = {1, 1.5f, 1, 3.5f, -1, 0, 8, 0.25f};
const std::vector<float> kVerifier = {1, 1, 2, 4, 1, -0.0f, 0, 0.25f};

TEST(PairStatistics, CountsAndSumsAgreeWithHandComputation) {
  for (const StateType type : kTypes) {
    ForBothImplementations(Encoded(kProver, type), Encoded(kVerifier, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_elements, 8u);
      EXPECT_EQ(statistics.n_nonfinite, 0u);
      EXPECT_EQ(statistics.n_exact, 2u);              // 0, 7
      EXPECT_EQ(statistics.n_mismatch, 5u);           // 2, 3, 4, 5, 6
      EXPECT_EQ(statistics.n_mismatch_large, 1u);     // 3
      EXPECT_EQ(statistics.n_match_small, 2u);        // 0, 7
      EXPECT_EQ(statistics.n_exponent_mismatch, 3u);  // 2, 3, 6
      EXPECT_EQ(statistics.n_error_above_1e5, 5u);    // 1, 2, 3, 4, 6
      EXPECT_EQ(statistics.n_error_below_1e7, 3u);    // 0, 5, 7
      EXPECT_EQ(statistics.n_error_zero, 3u);         // 0, 5, 7
      EXPECT_EQ(statistics.n_error_above_02, 5u);     // 1, 2, 3, 4, 6
      EXPECT_EQ(statistics.n_error_above_5, 1u);      // 6
      EXPECT_EQ(statistics.sum_error, -5.0);
      EXPECT_EQ(statistics.sum_abs_error, 12.0);
      EXPECT_EQ(statistics.max_abs_error, 8.0);
      EXPECT_EQ(statistics.sum_squared_error, 69.5);
      EXPECT_EQ(statistics.sum_squared_verifier, 23.0625);
    });
  }
}

TEST(PairStatistics, SharesAndMeansAgreeWithHandComputation) {
  for (const StateType type : kTypes) {
    ForBothImplementations(Encoded(kProver, type), Encoded(kVerifier, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.Pe(), 5.0 / 8);
      EXPECT_EQ(statistics.Pm(), 1.0 / 5);
      EXPECT_EQ(statistics.Pw(), 2.0 / 3);  // of elements 0, 1, 7
      EXPECT_EQ(statistics.ExactShare(), 2.0 / 8);
      EXPECT_EQ(statistics.MeanError(), -5.0 / 8);
      EXPECT_EQ(statistics.MeanAbsError(), 12.0 / 8);
    });
    // norm2((0, 1)) / norm2((3, 4)) = 1 / 5
    ForBothImplementations(Encoded({3, 3}, type), Encoded({3, 4}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_DOUBLE_EQ(statistics.RelativeError().value(), 0.2); });
  }
}

TEST(PairStatistics, NeighboursAcrossAPowerOfTwoAreALargeMismatch) {
  // 1.9999 and 2.0001 in F32: e 127 and 128, f .9999 * 2^23 and .00005 * 2^23, delta .99985.
  ForBothImplementations(Encoded({1.9999f}, StateType::kF32), Encoded({2.0001f}, StateType::kF32), StateType::kF32,
                         [](const PairStatistics& statistics) {
                           EXPECT_EQ(statistics.n_mismatch, 1u);
                           EXPECT_EQ(statistics.n_exponent_mismatch, 1u);
                           EXPECT_EQ(statistics.n_mismatch_large, 1u);
                           EXPECT_EQ(statistics.n_match_small, 0u);
                           EXPECT_NEAR(statistics.sum_error, 0.0002, 1e-6);
                         });
  // The last number below 2 (f = 2^m - 1) against the second from 2 on (f = 1): delta = (2^m - 2) / 2^m, near 1.
  for (const StateType type : {StateType::kF16, StateType::kBF16}) {
    const std::uint32_t n_mantissa = 1u << FormatOf(type).mantissa_bits;
    const Row below = StepsAbove(1, n_mantissa - 1, type);
    ForBothImplementations(below, StepsAbove(2, 1, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_mismatch, 1u);
      EXPECT_EQ(statistics.n_exponent_mismatch, 1u);
      EXPECT_EQ(statistics.n_mismatch_large, 1u);
      EXPECT_EQ(statistics.n_match_small, 0u);
    });
  }
}

TEST(PairStatistics, SignDifferenceIsAMismatchWithEqualExponents) {
  for (const StateType type : kTypes) {
    ForBothImplementations(Encoded({-1.25f}, type), Encoded({1.25f}, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_mismatch, 1u);
      EXPECT_EQ(statistics.n_exponent_mismatch, 0u);
      EXPECT_EQ(statistics.n_mismatch_large, 0u);
      EXPECT_EQ(statistics.n_match_small, 0u);
      EXPECT_EQ(statistics.n_error_zero, 0u);
      EXPECT_EQ(statistics.sum_error, 2.5);
    });
  }
}

TEST(PairStatistics, DeltaOfExactlyOneHalfIsNotLarge) {
  for (const StateType type : kTypes) {
    // 1.5 has f = .5 * 2^m, 2 has f = 0: delta = .5. One step more is large.
    ForBothImplementations(Encoded({1.5f}, type), Encoded({2}, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_mismatch, 1u);
      EXPECT_EQ(statistics.n_mismatch_large, 0u);
    });
    ForBothImplementations(StepsAbove(1.5f, 1, type), Encoded({2}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_mismatch_large, 1u); });
    // The same outside E is neither large nor small.
    ForBothImplementations(StepsAbove(1.5f, 1, type), Encoded({1}, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_mismatch, 0u);
      EXPECT_EQ(statistics.n_mismatch_large, 0u);
      EXPECT_EQ(statistics.n_match_small, 0u);
    });
  }
}

TEST(PairStatistics, DeltaIsSmallBelowOneTwentieth) {
  // .05 * 2^m = 51.2, 6.4 and 419430.4.
  const std::pair<StateType, std::uint32_t> last_small[] = {
      {StateType::kF16, 51}, {StateType::kBF16, 6}, {StateType::kF32, 419430}};
  for (const auto& [type, n_ulp] : last_small) {
    ForBothImplementations(StepsAbove(1, n_ulp, type), Encoded({1}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_match_small, 1u); });
    ForBothImplementations(StepsAbove(1, n_ulp + 1, type), Encoded({1}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_match_small, 0u); });
    // A small delta does not count in E: 1 + n steps against -1.
    ForBothImplementations(StepsAbove(1, n_ulp, type), Encoded({-1}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_match_small, 0u); });
  }
}

TEST(PairStatistics, ErrorThresholdsAreExclusive) {
  const auto compare = [](float error, auto check) {
    ForBothImplementations(Encoded({error}, StateType::kF32), Encoded({0}, StateType::kF32), StateType::kF32, check);
  };
  const auto above = [](float value) { return std::nextafter(value, kInfinity); };
  compare(1e-5f, [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_above_1e5, 0u); });
  compare(above(1e-5f), [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_above_1e5, 1u); });
  compare(1e-7f, [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_below_1e7, 0u); });
  compare(std::nextafter(1e-7f, 0.0f), [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_below_1e7, 1u); });
  compare(0.2f, [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_above_02, 0u); });
  compare(above(0.2f), [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_above_02, 1u); });
  compare(5.0f, [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_above_5, 0u); });
  compare(above(5.0f), [](const PairStatistics& statistics) { EXPECT_EQ(statistics.n_error_above_5, 1u); });
}

TEST(PairStatistics, SharesOfNothingAreUndefined) {
  for (const StateType type : kTypes) {
    ForBothImplementations({}, {}, type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_elements, 0u);
      EXPECT_FALSE(statistics.Pe());
      EXPECT_FALSE(statistics.Pm());
      EXPECT_FALSE(statistics.Pw());
      EXPECT_FALSE(statistics.ExactShare());
      EXPECT_FALSE(statistics.MeanError());
      EXPECT_FALSE(statistics.MeanAbsError());
      EXPECT_FALSE(statistics.RelativeError());
    });
    ForBothImplementations(Encoded({1, 2}, type), Encoded({1, 2}, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.Pe(), 0.0);
      EXPECT_FALSE(statistics.Pm()) << "E is empty";
      EXPECT_EQ(statistics.Pw(), 1.0);
    });
    ForBothImplementations(Encoded({1, 2}, type), Encoded({2, 1}, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.Pe(), 1.0);
      EXPECT_EQ(statistics.Pm(), 0.0);
      EXPECT_FALSE(statistics.Pw()) << "all are in E";
    });
    ForBothImplementations(Encoded({kNaN}, type), Encoded({1}, type), type, [](const PairStatistics& statistics) {
      EXPECT_FALSE(statistics.Pe());
      EXPECT_FALSE(statistics.MeanError());
      EXPECT_FALSE(statistics.RelativeError());
    });
  }
}

TEST(PairStatistics, RelativeErrorOfZeroNorms) {
  for (const StateType type : kTypes) {
    ForBothImplementations(Encoded({0, -0.0f}, type), Encoded({0, 0}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_EQ(statistics.RelativeError(), 0.0); });
    ForBothImplementations(Encoded({0, 1}, type), Encoded({0, 0}, type), type,
                           [](const PairStatistics& statistics) { EXPECT_FALSE(statistics.RelativeError()); });
  }
}

TEST(PairStatistics, NonFiniteElementsAreCountedApart) {
  for (const StateType type : kTypes) {
    const Row a = Encoded({kNaN, 1, kInfinity, -kInfinity, 2, kNaN}, type);
    const Row b = Encoded({1, kNaN, kInfinity, 1, 3, kNaN}, type);
    ForBothImplementations(a, b, type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.n_elements, 6u);
      EXPECT_EQ(statistics.n_nonfinite, 5u);
      EXPECT_EQ(statistics.n_finite(), 1u);
      EXPECT_EQ(statistics.n_exact, 0u) << "equal bits of infinities and NaN";
      EXPECT_EQ(statistics.n_mismatch, 0u);
      EXPECT_EQ(statistics.n_match_small, 0u);
      EXPECT_EQ(statistics.n_exponent_mismatch, 0u);
      EXPECT_EQ(statistics.n_error_above_1e5, 1u);
      EXPECT_EQ(statistics.n_error_zero, 0u);
      EXPECT_EQ(statistics.sum_error, 1.0);
      EXPECT_EQ(statistics.sum_abs_error, 1.0);
      EXPECT_EQ(statistics.max_abs_error, 1.0);
      EXPECT_EQ(statistics.sum_squared_error, 1.0);
      EXPECT_EQ(statistics.sum_squared_verifier, 9.0);
    });
  }
}

TEST(PairStatistics, LargestFiniteNumbersStayFinite) {
  const float largest = std::numeric_limits<float>::max();
  ForBothImplementations(Encoded({-largest}, StateType::kF32), Encoded({largest}, StateType::kF32), StateType::kF32,
                         [&](const PairStatistics& statistics) {
                           EXPECT_EQ(statistics.n_nonfinite, 0u);
                           EXPECT_EQ(statistics.n_error_above_5, 1u);
                           EXPECT_EQ(statistics.sum_error, 2.0 * largest);
                           EXPECT_EQ(statistics.max_abs_error, 2.0 * largest);
                           EXPECT_EQ(statistics.sum_squared_error, 4.0 * largest * largest);
                         });
}

TEST(PairStatistics, MergeEqualsOnePass) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> a(1000), b(1000);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = normal(random);
    b[i] = a[i] + 0.01f * normal(random);
  }
  a[3] = kNaN;
  b[700] = 1000;
  for (const StateType type : kTypes) {
    const Row row_a = Encoded(a, type), row_b = Encoded(b, type);
    const std::size_t split = 311 * static_cast<std::size_t>(FormatOf(type).bytes);
    const PairStatistics whole = ComparePair(row_a, row_b, type);
    PairStatistics merged = ComparePair(std::span(row_a).first(split), std::span(row_b).first(split), type);
    merged.Merge(ComparePair(std::span(row_a).subspan(split), std::span(row_b).subspan(split), type));
    EXPECT_EQ(merged.n_elements, whole.n_elements);
    EXPECT_EQ(merged.n_nonfinite, whole.n_nonfinite);
    EXPECT_EQ(merged.n_exact, whole.n_exact);
    EXPECT_EQ(merged.n_mismatch, whole.n_mismatch);
    EXPECT_EQ(merged.n_mismatch_large, whole.n_mismatch_large);
    EXPECT_EQ(merged.n_match_small, whole.n_match_small);
    EXPECT_EQ(merged.n_exponent_mismatch, whole.n_exponent_mismatch);
    EXPECT_EQ(merged.n_error_above_1e5, whole.n_error_above_1e5);
    EXPECT_EQ(merged.n_error_below_1e7, whole.n_error_below_1e7);
    EXPECT_EQ(merged.n_error_zero, whole.n_error_zero);
    EXPECT_EQ(merged.n_error_above_02, whole.n_error_above_02);
    EXPECT_EQ(merged.n_error_above_5, whole.n_error_above_5);
    EXPECT_NEAR(merged.sum_error, whole.sum_error, 1e-6 * whole.sum_abs_error);
    EXPECT_NEAR(merged.sum_abs_error, whole.sum_abs_error, 1e-6 * whole.sum_abs_error);
    EXPECT_EQ(merged.max_abs_error, whole.max_abs_error);
    EXPECT_NEAR(merged.sum_squared_error, whole.sum_squared_error, 1e-6 * whole.sum_squared_error);
    EXPECT_NEAR(merged.sum_squared_verifier, whole.sum_squared_verifier, 1e-6 * whole.sum_squared_verifier);
    EXPECT_NEAR(merged.ScaleError().value(), whole.ScaleError().value(), 1e-6);
  }
}

TEST(PairStatistics, OneOutlierLeavesSharesAlone) {
  for (const StateType type : kTypes) {
    // 999 elements differ by 1/8 (1.125 against 1: delta .125), one by 32768 - 1.
    std::vector<float> a(1000, 1.125f), b(1000, 1.0f);
    a[500] = 1;
    b[500] = 32768;
    ForBothImplementations(Encoded(a, type), Encoded(b, type), type, [](const PairStatistics& statistics) {
      EXPECT_EQ(statistics.Pe(), 0.001);
      EXPECT_EQ(statistics.Pm(), 0.0);
      EXPECT_EQ(statistics.Pw(), 0.0);
      EXPECT_EQ(statistics.max_abs_error, 32767.0);
      EXPECT_EQ(statistics.sum_error, 32767.0 - 999.0 / 8);
      EXPECT_EQ(statistics.sum_abs_error, 32767.0 + 999.0 / 8);
      EXPECT_EQ(statistics.n_error_above_5, 1u);
    });
  }
}

TEST(PairStatistics, ReferenceKeepsSmallTermsBesideHugeOnes) {
  // 2^60 + 1000 * 1 - 2^60: in plain double the ones vanish, as the spacing at 2^60 is 256.
  std::vector<float> a(1002, 0.0f), b(1002, 1.0f);
  b.front() = std::ldexp(1.0f, 60);
  b.back() = -std::ldexp(1.0f, 60);
  EXPECT_EQ(ComparePairScalar(Encoded(a, StateType::kF32), Encoded(b, StateType::kF32), StateType::kF32).sum_error, 1000.0);
}

TEST(PairStatistics, RowsOfDifferentSizeAreAnInputError) {
  const Row four(4), six(6), eight(8);
  for (const StateType type : kTypes) {
    for (const auto compare : {ComparePair, ComparePairScalar}) {
      ExpectInputError([&] { compare(four, eight, type); }, "states of 4 and 8 bytes");
      ExpectInputError([&] { compare(eight, four, type); }, "states of 8 and 4 bytes");
    }
    ExpectInputError([&] { MeanElementError(four, eight, type); }, "states of 4 and 8 bytes");
  }
  ExpectInputError([&] { ComparePair(six, six, StateType::kF32); }, "f32");
  ExpectInputError([&] { ComparePairScalar(six, six, StateType::kF32); }, "f32");
  ExpectInputError([&] { MeanElementError(six, six, StateType::kF32); }, "f32");
}

TEST(MeanElementError, IsTheMeanOfRelativeErrors) {
  for (const StateType type : kTypes) {
    // 0.5, 0, 0.25 and, in size, 0.5.
    EXPECT_EQ(MeanElementError(Encoded({1.5f, 2, 5, -1}, type), Encoded({1, 2, 4, -2}, type), type), 0.3125);
  }
}

TEST(MeanElementError, NoElementCountsMoreThanOne) {
  for (const StateType type : kTypes) {
    EXPECT_EQ(MeanElementError(Encoded({100, 1}, type), Encoded({1, 1}, type), type), 0.5);
    EXPECT_EQ(MeanElementError(Encoded({2}, type), Encoded({-1}, type), type), 1.0);
  }
}

TEST(MeanElementError, ZeroAgainstZeroIsNoErrorAndAgainstAnythingElseAWholeOne) {
  for (const StateType type : kTypes) {
    EXPECT_EQ(MeanElementError(Encoded({0, -0.0f, 1}, type), Encoded({0, 0, 1}, type), type), 0.0);
    EXPECT_EQ(MeanElementError(Encoded({0, 1, 1, 1}, type), Encoded({0, 0, -0.0f, 1}, type), type), 0.5);
  }
}

TEST(MeanElementError, LeavesNonFiniteElementsOut) {
  for (const StateType type : kTypes) {
    EXPECT_EQ(MeanElementError(Encoded({kNaN, 3, 1, kInfinity}, type), Encoded({1, 2, kNaN, kInfinity}, type), type), 0.5);
    EXPECT_FALSE(MeanElementError(Encoded({kNaN, 1}, type), Encoded({1, kInfinity}, type), type));
    EXPECT_FALSE(MeanElementError({}, {}, type));
  }
}

TEST(PairStatistics, ScaleErrorIsWhatTheProverIsScaledBy) {
  for (const StateType type : kTypes) {
    EXPECT_NEAR(ComparePairScalar(Encoded({1.5f, -3, 6}, type), Encoded({1, -2, 4}, type), type).ScaleError().value(), 0.5,
                1e-12);
    // Noise at right angles to b leaves it alone: a = b + (2, 1) with b = (1, -2).
    EXPECT_NEAR(ComparePairScalar(Encoded({3, -1}, type), Encoded({1, -2}, type), type).ScaleError().value(), 0, 1e-12);
    EXPECT_FALSE(ComparePairScalar(Encoded({1}, type), Encoded({0}, type), type).ScaleError());
  }
}

}  // namespace
}  // namespace verillm
