#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::Lt;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// 40 logits without structure, between -4 and 4.
std::vector<float> UnevenLogits() {
  std::vector<float> logits;
  for (int i = 0; i < 40; ++i) logits.push_back(4 * std::sin(1.7F * static_cast<float>(i * i)));
  return logits;
}

// The known answers of Random123's kat_vectors for "philox4x32 10".
TEST(Philox, GivesTheKnownAnswersOfRandom123) {
  EXPECT_THAT(Philox({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

// From the first known answer above: u = (0xe169c58d6627e8d5 / 2^11 rounded down + 1/2) / 2^53 = 0.880520...
TEST(GumbelNoise, FollowsFromTheFirstTwoWords) { EXPECT_NEAR(GumbelNoise(0, 0, 0), 2.061661254434242, 1e-14); }

TEST(GumbelNoise, DependsOnSeedPositionAndTokenOnly) {
  const double noise = GumbelNoise(7, 11, 13);
  EXPECT_EQ(GumbelNoise(7, 11, 13), noise);
  EXPECT_NE(GumbelNoise(8, 11, 13), noise);
  EXPECT_NE(GumbelNoise(7 + (std::uint64_t{1} << 32), 11, 13), noise);
  EXPECT_NE(GumbelNoise(7, 12, 13), noise);
  EXPECT_NE(GumbelNoise(7, 11, 14), noise);
  EXPECT_NE(GumbelNoise(7, 13, 11), noise);
}

// Mean Euler's constant 0.5772, variance pi^2/6 = 1.6449. Of 200 000 numbers the mean has a standard error of 0.0029 and the
// variance (kurtosis 5.4) one of 0.0077; the ranges are 4 of these to either side.
TEST(GumbelNoise, HasMeanAndVarianceOfTheGumbelDistribution) {
  constexpr int kPositions = 400;
  constexpr int kTokens = 500;
  double sum = 0;
  double sum_of_squares = 0;
  for (int position = 0; position < kPositions; ++position) {
    for (Token token = 0; token < kTokens; ++token) {
      const double noise = GumbelNoise(20260101, position, token);
      sum += noise;
      sum_of_squares += noise * noise;
    }
  }
  const double mean = sum / (kPositions * kTokens);
  EXPECT_THAT(mean, AllOf(Gt(0.5772 - 0.0115), Lt(0.5772 + 0.0115)));
  EXPECT_THAT(sum_of_squares / (kPositions * kTokens) - mean * mean, AllOf(Gt(1.6449 - 0.031), Lt(1.6449 + 0.031)));
}

// Probabilities 0.6, 0.3, 0.1 of tokens 2, 0, 1.
TEST(TopP, KeepsTheMostLikelyUpToTheOneThatReachesTheShare) {
  const std::vector<float> logits = {std::log(3.0F), 0, std::log(6.0F)};
  EXPECT_THAT(TopP(logits, 1, 0.01), ElementsAre(2));
  EXPECT_THAT(TopP(logits, 1, 0.59), ElementsAre(2));
  EXPECT_THAT(TopP(logits, 1, 0.61), ElementsAre(2, 0));
  EXPECT_THAT(TopP(logits, 1, 0.89), ElementsAre(2, 0));
  EXPECT_THAT(TopP(logits, 1, 0.91), ElementsAre(2, 0, 1));
  EXPECT_THAT(TopP(logits, 1, 1), ElementsAre(2, 0, 1));
}

// At temperature 1/2 the probabilities are 36/46, 9/46, 1/46, at temperature 2 they are 0.4727, 0.3343, 0.1930.
TEST(TopP, TemperatureSharpensOrFlattensTheDistribution) {
  const std::vector<float> logits = {std::log(3.0F), 0, std::log(6.0F)};
  EXPECT_THAT(TopP(logits, 0.5, 0.78), ElementsAre(2));
  EXPECT_THAT(TopP(logits, 0.5, 0.79), ElementsAre(2, 0));
  EXPECT_THAT(TopP(logits, 2, 0.48), ElementsAre(2, 0));
  EXPECT_THAT(TopP(logits, 2, 0.81), ElementsAre(2, 0, 1));
}

TEST(TopP, TakesLowerIdsFirstAmongEquals) {
  const std::vector<float> logits = {1, 1, 1, 1};
  EXPECT_THAT(TopP(logits, 1, 0.5), ElementsAre(0, 1));
  EXPECT_THAT(TopP(logits, 1, 0.51), ElementsAre(0, 1, 2));
  EXPECT_THAT(TopP(logits, 1, 1), ElementsAre(0, 1, 2, 3));
}

TEST(TopP, OneTokenIsAlwaysKept) {
  for (const float logit : {-1e30F, 0.0F, 1e30F}) EXPECT_THAT(TopP(std::vector<float>{logit}, 0.7, 0.9), ElementsAre(0));
}

TEST(TopP, NeverKeepsTokensMoreThanThirtyTemperaturesBelowTheBest) {
  EXPECT_THAT(TopP(std::vector<float>{-30.1F, 0, -29.9F, -kInfinity}, 1, 1), ElementsAre(1, 2));
  EXPECT_THAT(TopP(std::vector<float>{-15.1F, 0, -14.9F, -kInfinity}, 0.5, 1), ElementsAre(1, 2));
}

TEST(Sample, TemperatureZeroTakesTheLargestLogitAndTheLowestIdAmongEquals) {
  const Sampling greedy = {.temperature = 0, .top_p = 0.1, .seed = 5};
  for (int position = 0; position < 100; ++position) {
    EXPECT_EQ(Sample(std::vector<float>{-1, 4, 2, 4}, greedy, position), 1);
    EXPECT_EQ(Sample(std::vector<float>{-kInfinity, -3, -2, -7}, greedy, position), 2);
  }
}

TEST(Sample, NanIsAnErrorThatNamesTokenAndPosition) {
  const std::vector<float> logits = {1, 2, std::numeric_limits<float>::quiet_NaN(), 3};
  for (const double temperature : {0.0, 0.7}) {
    ExpectError([&] { Sample(logits, {.temperature = temperature}, 7); }, ErrorKind::kWorker, HasSubstr("token 2 at position 7"));
  }
}

TEST(Sample, RepeatsItselfAndChangesWithSeedAndPosition) {
  const std::vector<float> logits = UnevenLogits();
  std::vector<Token> first;
  std::vector<Token> again;
  std::vector<Token> other_seed;
  std::vector<Token> later;
  for (int position = 0; position < 64; ++position) {
    first.push_back(Sample(logits, {.temperature = 1, .top_p = 1, .seed = 3}, position));
    again.push_back(Sample(logits, {.temperature = 1, .top_p = 1, .seed = 3}, position));
    other_seed.push_back(Sample(logits, {.temperature = 1, .top_p = 1, .seed = 4}, position));
    later.push_back(Sample(logits, {.temperature = 1, .top_p = 1, .seed = 3}, position + 64));
  }
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other_seed);
  EXPECT_NE(first, later);
}

// Chi-square of the counts against softmax of the kept tokens: outside its 0.01 % and 99.99 % quantiles the noise would be
// dependent (too good) or wrong (too bad). Wilson and Hilferty's approximation of the quantiles, z = 3.719.
TEST(Sample, FrequenciesMatchSoftmaxOfTheKeptTokens) {
  constexpr int kPositions = 20'000;
  const std::vector<float> logits = UnevenLogits();
  for (const Sampling& sampling :
       {Sampling{.temperature = 1, .top_p = 1, .seed = 1}, Sampling{.temperature = 2, .top_p = 0.9, .seed = 2},
        Sampling{.temperature = 1.5, .top_p = 0.8, .seed = std::uint64_t{3} << 40}}) {
    std::map<Token, int> counts;
    for (int position = 0; position < kPositions; ++position) ++counts[Sample(logits, sampling, position)];

    const std::vector<Token> kept = TopP(logits, sampling.temperature, sampling.top_p);
    const auto weight = [&](Token token) { return std::exp(logits[static_cast<std::size_t>(token)] / sampling.temperature); };
    double total = 0;
    for (const Token token : kept) total += weight(token);
    double chi_square = 0;
    int n_drawn = 0;
    for (const Token token : kept) {
      const double expected = kPositions * weight(token) / total;
      chi_square += (counts[token] - expected) * (counts[token] - expected) / expected;
      n_drawn += counts[token];
    }
    EXPECT_EQ(n_drawn, kPositions) << "a token outside the kept ones was drawn";

    ASSERT_GT(kept.size(), 10U);
    const double freedom = static_cast<double>(kept.size()) - 1;
    const auto quantile = [&](double z) {
      return freedom * std::pow(1 - 2 / (9 * freedom) + z * std::sqrt(2 / (9 * freedom)), 3);
    };
    EXPECT_THAT(chi_square, AllOf(Gt(quantile(-3.719)), Lt(quantile(3.719)))) << kept.size() << " tokens kept";
  }
}

// The reason for noise that belongs to a token: logits that differ by rounding noise nearly always give the same token. Logits
// off by 0.01 each way change about one choice in 200; never would mean that the noise decides alone.
TEST(Sample, SmallChangesOfTheLogitsSeldomChangeTheToken) {
  constexpr int kPositions = 5'000;
  const std::vector<float> logits = UnevenLogits();
  std::vector<float> noisy = logits;
  for (std::size_t i = 0; i < noisy.size(); ++i) noisy[i] += i % 2 == 0 ? 0.01F : -0.01F;
  int n_changed = 0;
  for (int position = 0; position < kPositions; ++position) {
    n_changed +=
        Sample(logits, {.temperature = 1, .top_p = 1}, position) != Sample(noisy, {.temperature = 1, .top_p = 1}, position);
  }
  EXPECT_THAT(n_changed, AllOf(Gt(kPositions / 1000), Lt(kPositions / 50)));
}

}  // namespace
}  // namespace verillm
