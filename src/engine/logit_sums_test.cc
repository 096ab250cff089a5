#include "engine/logit_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

namespace verillm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(std::size_t n) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 5);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST(LargestLogit, IsFoundWhereverItStands) {
  for (std::size_t n = 1; n <= 70; ++n) {
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<float> logits(n, -3);
      logits[i] = -2;
      EXPECT_EQ(LargestLogit(logits), -2) << i << " of " << n;
    }
  }
}

TEST(LargestLogit, IsNanWhereverOneStands) {
  for (std::size_t n = 1; n <= 70; ++n) {
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<float> logits(n, kInfinity);
      logits[i] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(std::isnan(LargestLogit(logits))) << i << " of " << n;
    }
  }
}

TEST(LargestLogit, MayBeInfinite) {
  EXPECT_EQ(LargestLogit(std::vector<float>(40, -kInfinity)), -kInfinity);
  EXPECT_EQ(LargestLogit(std::vector<float>{1, kInfinity, 2}), kInfinity);
}

TEST(SumOfWeights, IsTheSumOfTheExponentialsFromTheLeastLogitOn) {
  for (const std::size_t n : {1, 2, 3, 7, 8, 15, 16, 17, 33, 1000, 49152}) {
    const std::vector<float> logits = RandomLogits(n);
    const double best = LargestLogit(logits);
    for (const double temperature : {0.1, 0.7, 1.0, 30.0}) {
      for (const double least : {-4.0, -kInfinity * 1.0}) {
        long double sum = 0;
        for (const float logit : logits) {
          if (logit >= least) sum += std::exp((static_cast<long double>(logit) - best) / temperature);
        }
        EXPECT_NEAR(SumOfWeights(logits, best, temperature, least), static_cast<double>(sum), 1e-6 * static_cast<double>(sum));
      }
    }
  }
}

TEST(TokensFrom, AreThoseThatAreNotBelow) {
  for (const std::size_t n : {1, 2, 15, 16, 17, 33, 1000}) {
    const std::vector<float> logits = RandomLogits(n);
    for (const double least :
         {-4.0, 0.1, static_cast<double>(logits[n / 2]), std::nextafter(static_cast<double>(logits[n / 2]), 1e9), 1e9}) {
      std::vector<Token> expected;
      for (std::size_t i = 0; i < n; ++i) {
        if (logits[i] >= least) expected.push_back(static_cast<Token>(i));
      }
      EXPECT_EQ(TokensFrom(logits, least), expected) << n << " from " << least;
    }
  }
}

TEST(TokensFrom, TakesInfiniteLogitsForTheLargestFloats) {
  const double largest = std::numeric_limits<float>::max();
  EXPECT_EQ(TokensFrom(std::vector<float>{kInfinity, 0, -kInfinity}, largest), std::vector<Token>{0});
  EXPECT_EQ(TokensFrom(std::vector<float>{kInfinity, 0, -kInfinity}, -largest), (std::vector<Token>{0, 1, 2}));
}

TEST(SumOfWeights, TakesInfiniteLogitsForTheLargestFloats) {
  const double largest = std::numeric_limits<float>::max();
  EXPECT_EQ(SumOfWeights(std::vector<float>{kInfinity, 0, -kInfinity, kInfinity}, largest, 1, -largest), 2);
  EXPECT_EQ(SumOfWeights(std::vector<float>(5, -kInfinity), -largest, 1, -largest), 5);
}

}  // namespace
}  // namespace verillm
