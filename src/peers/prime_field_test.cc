#include "peers/prime_field.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/coding.h"
#include "peers/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Numbers = std::vector<std::uint16_t>;

// The value by the definition, one power after the other, in 64 bits.
std::uint64_t Plainly(const Numbers& coefficients, std::uint64_t x) {
  std::uint64_t sum = 0, power = 1;
  for (const std::uint64_t coefficient : coefficients) {
    sum = (sum + coefficient * power) % kFieldPrime;
    power = power * x % kFieldPrime;
  }
  return sum;
}

// The first k different draws of a seed, and others, below the prime: the rule of codec.json.
Numbers DistinctDraws(std::uint64_t seed, std::size_t k) {
  Numbers numbers;
  std::set<std::uint16_t> seen;
  for (std::uint64_t d = 1; numbers.size() < k; ++d) {
    const auto number = static_cast<std::uint16_t>(SplitMix(seed, d) % kFieldPrime);
    if (seen.insert(number).second) numbers.push_back(number);
  }
  return numbers;
}

Numbers Draws(std::uint64_t seed, std::size_t k) {
  Numbers numbers;
  for (std::uint64_t d = 1; d <= k; ++d) numbers.push_back(static_cast<std::uint16_t>(SplitMix(seed, d) % kFieldPrime));
  return numbers;
}

TEST(Interpolate, OnePointGivesAConstant) { EXPECT_THAT(Interpolate(Numbers{7}, Numbers{42}), ElementsAre(42)); }

// 3 + X takes 4, 5, 6 at 1, 2, 3.
TEST(Interpolate, PointsOnALineGiveTheLineAndZeros) {
  EXPECT_THAT(Interpolate(Numbers{1, 2, 3}, Numbers{4, 5, 6}), ElementsAre(3, 1, 0));
}

// Half of 1 is (65497 + 1) / 2 = 32749: the line through (0, 0) and (2, 1).
TEST(Interpolate, DividesInTheField) { EXPECT_THAT(Interpolate(Numbers{0, 2}, Numbers{0, 1}), ElementsAre(0, 32749)); }

TEST(Interpolate, ValuesOfThePrimeAndMoreCountAsTheirResidues) {
  EXPECT_EQ(Interpolate(Numbers{5, 9}, Numbers{65497, 65535}), Interpolate(Numbers{5, 9}, Numbers{0, 38}));
}

TEST(Interpolate, OrderOfThePointsDoesNotMatter) {
  const Numbers x = DistinctDraws(1, 50), y = Draws(2, 50);
  EXPECT_EQ(Interpolate(x, y), Interpolate(Numbers(x.rbegin(), x.rend()), Numbers(y.rbegin(), y.rend())));
}

TEST(Interpolate, GoesThroughItsPoints) {
  for (const std::size_t k : {1u, 2u, 3u, 7u, 8u, 31u, 128u, 513u}) {
    const Numbers x = DistinctDraws(k, k), y = Draws(k + 1, k);
    EXPECT_EQ(Evaluate(Interpolate(x, y), x), y) << k;
  }
}

TEST(Interpolate, GivesThePeersCoefficients) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  for (const Json& points : vectors["interpolate"]) {
    EXPECT_EQ(Interpolate(points["x"].get<Numbers>(), points["y"].get<Numbers>()), points["coefficients"].get<Numbers>());
  }
}

TEST(Interpolate, GivesThePeersCoefficientsOfManyPoints) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  ASSERT_EQ(vectors["interpolate_generated"].size(), 3u);
  for (const Json& points : vectors["interpolate_generated"]) {
    const auto seed = points["seed"].get<std::uint64_t>();
    const auto k = points["k"].get<std::size_t>();
    const Numbers x = DistinctDraws(seed, k), y = Draws(seed + 1, k);
    ASSERT_EQ(Numbers(x.begin(), x.begin() + 4), points["first_x"].get<Numbers>());
    ASSERT_EQ(Numbers(y.begin(), y.begin() + 4), points["first_y"].get<Numbers>());
    const Numbers coefficients = Interpolate(x, y);
    std::vector<std::byte> bytes(2 * k);
    for (std::size_t i = 0; i < k; ++i) StoreBigEndian(coefficients[i], bytes.data() + 2 * i);
    EXPECT_EQ(Sha256Hex(bytes), points["coefficients_be16_sha256"].get<std::string>());
  }
}

TEST(Evaluate, NoCoefficientsAreTheZeroPolynomial) {
  EXPECT_THAT(Evaluate(Numbers{}, Numbers{0, 5}), ElementsAre(0, 0));
  EXPECT_THAT(Evaluate(Numbers{1}, Numbers{}), IsEmpty());
}

// 1 + 2 X + 3 X^2 at 10 and at -1.
TEST(Evaluate, ValuesAreThoseByHand) { EXPECT_THAT(Evaluate(Numbers{1, 2, 3}, Numbers{10, 65496}), ElementsAre(321, 2)); }

TEST(Evaluate, GivesThePeersValues) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  for (const Json& value : vectors["evaluate"]) {
    const auto x = static_cast<std::uint16_t>(value["x"].get<std::uint64_t>() % kFieldPrime);
    EXPECT_THAT(Evaluate(value["coefficients"].get<Numbers>(), Numbers{x}), ElementsAre(value["y"].get<std::uint16_t>()));
  }
}

TEST(Evaluate, AgreesWithTheDefinitionWhereEveryProductIsLargest) {
  const Numbers coefficients(200, 65496);
  const Numbers x = {65496, 65495, 1, 0, 32748, 32749, 255, 256, 257};
  const Numbers values = Evaluate(coefficients, x);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(values[i], Plainly(coefficients, x[i])) << x[i];
}

TEST(Evaluate, AgreesWithTheDefinitionOnAnyNumbers) {
  const Numbers coefficients = Draws(3, 64), x = Draws(4, 1000);
  const Numbers values = Evaluate(coefficients, x);
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(values[i], Plainly(coefficients, x[i])) << x[i];
}

}  // namespace
}  // namespace verillm
