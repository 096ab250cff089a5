#include "residue/residues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Lt;

constexpr int kWidth = 96;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<float> States(int n_positions, std::uint64_t seed = 7) {
  std::vector<float> states = NearlyNormal(static_cast<std::size_t>(n_positions * kWidth), seed);
  for (float& state : states) state *= 3;
  return states;
}

std::vector<float> WithNoise(std::vector<float> states, double relative) {
  const std::vector<float> noise = NearlyNormal(states.size(), 11);
  for (std::size_t i = 0; i < states.size(); ++i) states[i] += static_cast<float>(3 * relative * noise[i]);
  return states;
}

std::vector<std::byte> Rows(const std::vector<float>& states) {
  std::vector<std::byte> rows(states.size() * 4);
  EncodeStates(states, StateType::kF32, rows);
  return rows;
}

double Distance(const ResidueScheme& scheme, const std::vector<float>& prover, const std::vector<float>& verifier) {
  return ResidueDistance(scheme, ResiduesOf(scheme, Rows(prover), StateType::kF32, kWidth), Rows(verifier), StateType::kF32,
                         kWidth);
}

TEST(Residues, TakeTheirBitsAndAByte) {
  EXPECT_EQ(ResidueBytes({}, 1), 5u);
  EXPECT_EQ(ResidueBytes({}, 1000), 4001u);
  EXPECT_EQ(ResidueBytes({.numbers = 3, .bits = 1}, 3), 3u);
}

TEST(Residues, AreAsManyAsAskedForAndFitTheirBits) {
  const Residues residues = ResiduesOf({.numbers = 5, .bits = 3}, Rows(States(4)), StateType::kF32, kWidth);
  EXPECT_EQ(residues.codes.size(), 20u);
  EXPECT_THAT(residues.codes, Each(Lt(8)));
  EXPECT_EQ(residues, ResiduesOf({.numbers = 5, .bits = 3}, Rows(States(4)), StateType::kF32, kWidth));
  EXPECT_NE(residues, ResiduesOf({.numbers = 5, .bits = 3, .seed = 2}, Rows(States(4)), StateType::kF32, kWidth));
}

TEST(Residues, SizeFollowsTheStates) {
  std::vector<float> states = States(4);
  const int size = ResiduesOf({}, Rows(states), StateType::kF32, kWidth).size;
  EXPECT_NEAR(size, 8 * std::log2(3 * 0.6745), 2);
  for (float& state : states) state *= 4;
  EXPECT_EQ(ResiduesOf({}, Rows(states), StateType::kF32, kWidth).size, size + 16);
}

TEST(ResidueDistance, OfTheSameStatesIsThatOfRounding) {
  const double distance = Distance({}, States(200), States(200));
  EXPECT_GT(distance, 0.08);
  EXPECT_LT(distance, 0.087);
}

TEST(ResidueDistance, GrowsWithNoiseUntilResiduesAreRandom) {
  const std::vector<float> states = States(200);
  // Half a step of noise: 1/12 + 1/4 of 1 / 0.6745^2, since the size is the median.
  const double small = Distance({.bits = 4}, states, WithNoise(states, 0.005 * 0.6745));
  EXPECT_GT(small, 0.31);
  EXPECT_LT(small, 0.36);
  EXPECT_LT(Distance({}, states, WithNoise(states, 0.002)), Distance({}, states, WithNoise(states, 0.004)));
  for (const int bits : {1, 2, 3}) {
    const double random = Distance({.bits = bits}, states, WithNoise(states, 0.1));
    EXPECT_GT(random, std::exp2(2 * bits) / 12 * 0.95) << bits;
    EXPECT_LT(random, std::exp2(2 * bits) / 12 * 1.05) << bits;
  }
}

TEST(ResidueDistance, OfStatesOfAnotherSizeIsInfinite) {
  std::vector<float> states = States(4);
  const std::vector<float> original = states;
  for (float& state : states) state *= 1.3f;
  EXPECT_EQ(Distance({}, states, original), kInfinity);
}

TEST(ResidueDistance, IsInfiniteWhereTheVerifierHasNoNumber) {
  std::vector<float> states = States(2);
  const std::vector<float> original = states;
  states[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Distance({}, original, states), kInfinity);
  const double sent = Distance({}, states, original);
  EXPECT_GT(sent, 2) << "a prover's NaN is no residue of his";
  EXPECT_LT(sent, 30);
}

TEST(Residues, OfNoStatesAreRefusedAndOfZerosPassForNothing) {
  ExpectError([] { ResiduesOf({}, {}, StateType::kF32, kWidth); }, ErrorKind::kInput,
              HasSubstr("0 bytes are not rows of 96 elements"));
  const Residues residues = ResiduesOf({}, Rows(States(2)), StateType::kF32, kWidth);
  ExpectError([&] { ResidueDistance({}, residues, Rows(States(3)), StateType::kF32, kWidth); }, ErrorKind::kInput,
              HasSubstr("16 residues are not 8 of each of 3 positions"));
  const std::vector<float> zeros(2 * kWidth);
  EXPECT_EQ(ResiduesOf({}, Rows(zeros), StateType::kF32, kWidth).size, kNoSize);
  EXPECT_EQ(Distance({}, zeros, States(2)), kInfinity);
  EXPECT_EQ(Distance({}, States(2), zeros), kInfinity);
  EXPECT_EQ(Distance({}, zeros, zeros), kInfinity);
}

TEST(ChanceOfRandomResidues, BoundsWhatRandomOnesDo) {
  const ResidueScheme scheme{.numbers = 16, .bits = 2};
  EXPECT_EQ(ChanceOfRandomResidues(scheme, 10, 1.4), 1);
  // 64 positions of 16 numbers, a threshold of .5 where 4/3 is expected of values up to 4.
  EXPECT_NEAR(std::log(ChanceOfRandomResidues(scheme, 64, 0.5)), -2 * 1024 * std::pow((4.0 / 3 - 0.5) / 4, 2), 1e-9);
  // Of 500 positions with residues of other states, no more have so small a distance than the bound says.
  const double threshold = 0.9;
  int n_below = 0;
  for (std::uint64_t i = 0; i < 500; ++i) n_below += Distance(scheme, States(1, 100 + i), States(1, 900 + i)) <= threshold;
  EXPECT_LT(n_below, 500 * ChanceOfRandomResidues(scheme, 1, threshold));
}

}  // namespace
}  // namespace verillm
