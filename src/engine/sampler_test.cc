#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::Lt;
using testing::Value;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// 40 logits without structure, between -4 and 4.
std::vector<float> UnevenLogits() {
  std::vector<float> logits;
  for (int i = 0; i < 40; ++i) logits.push_back(4 * std::sin(1.7F * static_cast<float>(i * i)));
  return logits;
}

std::vector<float> RandomLogits(std::size_t n, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = normal(random);
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

// The definition written down plainly, on logits with many ties (whole numbers) and few.
TEST(TopP, AgreesWithSortingAllTokens) {
  for (const std::size_t n : {1, 10, 300, 3000}) {
    for (const bool whole : {false, true}) {
      std::vector<float> logits = RandomLogits(n, 3, static_cast<unsigned>(n));
      if (whole) std::transform(logits.begin(), logits.end(), logits.begin(), [](float logit) { return std::round(logit); });
      const double best = *std::max_element(logits.begin(), logits.end());
      for (const double temperature : {0.1, 0.7, 1.0, 3.0, 100.0}) {
        std::vector<Token> sorted;
        double total = 0;
        const auto weight = [&](Token token) { return std::exp((logits[static_cast<std::size_t>(token)] - best) / temperature); };
        for (std::size_t i = 0; i < n; ++i) {
          if (logits[i] < best - 30 * temperature) continue;
          sorted.push_back(static_cast<Token>(i));
          total += weight(sorted.back());
        }
        std::stable_sort(sorted.begin(), sorted.end(), [&](Token a, Token b) {
          return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
        });
        for (const double top_p : {1e-9, 0.1, 0.5, 0.9, 0.999, 1.0}) {
          std::vector<Token> expected;
          double sum = 0;
          for (const Token token : sorted) {
            expected.push_back(token);
            sum += weight(token);
            if (top_p < 1 && sum >= top_p * total) break;
          }
          EXPECT_EQ(TopP(logits, temperature, top_p), expected) << n << " tokens, " << temperature << ", " << top_p;
        }
      }
    }
  }
}

TEST(Sample, TemperatureZeroTakesTheLargestLogitAndTheLowestIdAmongEquals) {
  const Sampling greedy = {.temperature = 0, .top_p = 0.1, .seed = 5};
  for (int position = 0; position < 100; ++position) {
    EXPECT_EQ(Sample(std::vector<float>{-1, 4, 2, 4}, greedy, position), 1);
    EXPECT_EQ(Sample(std::vector<float>{-kInfinity, -3, -2, -7}, greedy, position), 2);
  }
}

TEST(Sample, NanIsAnErrorThatNamesTokenAndPosition) {
  const std::vector<float> logits = {1, 2, kNan, 3};
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

// What margins are made of, in logits.
double Score(const std::vector<float>& logits, const Sampling& sampling, int position, Token token) {
  return logits[static_cast<std::size_t>(token)] + sampling.temperature * GumbelNoise(sampling.seed, position, token);
}

double LogOdds(double share) { return std::log(share / (1 - share)); }

// Logits for which tokens 0 to 3 have the probabilities 0.5, 0.3, 0.15 and 0.05: top-p 0.85 keeps the first three, which come
// after shares of 0, 0.5 and 0.8. All that is computed by hand from them is in units of the temperature.
std::vector<float> FourLogits(double temperature) {
  std::vector<float> logits;
  for (const double probability : {0.5, 0.3, 0.15, 0.05}) {
    logits.push_back(static_cast<float>(temperature * std::log(probability)));
  }
  return logits;
}

// Calls check(logits, sampling, position, scores) at the positions where the noise is such that wanted(scores), the scores of the
// four tokens in units of the temperature. There must be some at every temperature.
template <typename Wanted, typename Check>
void WhereScores(Wanted wanted, double top_p, Check check) {
  for (const double temperature : {0.5, 1.0, 2.0}) {
    const std::vector<float> logits = FourLogits(temperature);
    const Sampling sampling = {.temperature = temperature, .top_p = top_p, .seed = 9};
    int n_found = 0;
    for (int position = 0; position < 3'000; ++position) {
      std::vector<double> scores;
      for (Token token = 0; token < 4; ++token) scores.push_back(Score(logits, sampling, position, token) / temperature);
      if (!wanted(scores)) continue;
      ++n_found;
      check(logits, sampling, position, scores);
    }
    EXPECT_GT(n_found, 10) << "temperature " << temperature;
  }
}

using Scores = const std::vector<double>&;

TEST(SamplingMargin, IsZeroForTheTokenThatSampleGivesOnly) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<float> logits = RandomLogits(500 + 100 * seed, 0.3F * static_cast<float>(1 + seed), seed);
    for (const double temperature : {0.0, 0.1, 0.7, 1.0, 3.0}) {
      for (const double top_p : {0.01, 0.5, 0.9, 0.99, 1.0}) {
        const Sampling sampling = {.temperature = temperature, .top_p = top_p, .seed = seed};
        for (int position = 0; position < 10; ++position) {
          SCOPED_TRACE(testing::Message() << "logits " << seed << ", " << temperature << ", " << top_p << ", position "
                                          << position);
          const Token token = Sample(logits, sampling, position);
          EXPECT_EQ(SamplingMargin(logits, sampling, position, token), 0);
          EXPECT_GT(SamplingMargin(logits, sampling, position, token > 0 ? token - 1 : 1), 0);
        }
      }
    }
  }
}

TEST(SamplingMargin, AtTemperatureZeroIsTheGapToTheLargestLogit) {
  const std::vector<float> logits = {-1, 4, 2, 4};
  const Sampling greedy = {.temperature = 0, .top_p = 0.1};
  EXPECT_EQ(SamplingMargin(logits, greedy, 0, 0), 5);
  EXPECT_EQ(SamplingMargin(logits, greedy, 0, 1), 0);
  EXPECT_EQ(SamplingMargin(logits, greedy, 0, 2), 2);
  EXPECT_EQ(SamplingMargin(logits, greedy, 0, 3), 0);
}

// Token-DiFR's margin where nothing is filtered.
TEST(SamplingMargin, WithoutTopPIsTheLargestScoreMinusTheTokens) {
  const std::vector<float> logits = RandomLogits(300, 2, 1);
  for (const double temperature : {0.5, 1.0, 2.0}) {
    const Sampling sampling = {.temperature = temperature, .top_p = 1, .seed = 4};
    for (int position = 0; position < 20; ++position) {
      double largest = -kInfinity;
      for (Token token = 0; token < 300; ++token) largest = std::max(largest, Score(logits, sampling, position, token));
      for (Token token = 0; token < 300; ++token) {
        EXPECT_NEAR(SamplingMargin(logits, sampling, position, token), largest - Score(logits, sampling, position, token), 1e-12);
      }
    }
  }
}

// Token 2 is log(0.85 / 0.15) - log(0.8 / 0.2) = 0.3483 from the edge, token 1 is 1.7346 from it.
TEST(SamplingMargin, ARivalNearTheEdgeCountsAsItsDistanceFromIt) {
  WhereScores([](Scores scores) { return scores[1] < scores[0] && scores[2] > scores[0] + 0.35; }, 0.85,
              [](const auto& logits, const Sampling& sampling, int position, Scores) {
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 0), 0.348307 * sampling.temperature, 1e-6);
              });
  WhereScores([](Scores scores) { return scores[1] > scores[0] + 1.74; }, 0.85,
              [](const auto& logits, const Sampling& sampling, int position, Scores) {
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 0), 1.734601 * sampling.temperature, 1e-6);
              });
}

TEST(SamplingMargin, ARivalFarFromTheEdgeCountsByItsScore) {
  WhereScores([](Scores scores) { return scores[2] < scores[0] && scores[1] > scores[0] && scores[1] < scores[0] + 1.7; }, 0.85,
              [](const auto& logits, const Sampling& sampling, int position, Scores scores) {
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 0), (scores[1] - scores[0]) * sampling.temperature, 1e-6);
              });
  // Nothing comes before the most likely token, so it is in every top-p set.
  WhereScores([](Scores scores) { return scores[0] > scores[1] + 3; }, 0.85,
              [](const auto& logits, const Sampling& sampling, int position, Scores scores) {
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 1), (scores[0] - scores[1]) * sampling.temperature, 1e-6);
              });
}

// Tokens 1 and 2 both score higher than token 0; the margin is the larger of what each takes.
TEST(SamplingMargin, TheWorstRivalCounts) {
  WhereScores([](Scores scores) { return scores[1] > scores[0] && scores[2] > scores[0]; }, 0.85,
              [](const auto& logits, const Sampling& sampling, int position, Scores scores) {
                const double of_1 = std::min(scores[1] - scores[0], 1.734601);
                const double of_2 = std::min(scores[2] - scores[0], 0.348307);
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 0), std::max(of_1, of_2) * sampling.temperature, 1e-6);
              });
}

// Token 3 comes after a share of 0.95, so it is log(0.95 / 0.05) - log(0.85 / 0.15) = 1.2098 outside.
TEST(SamplingMargin, ATokenOutsideTheTopPSetCountsItsDistanceFromTheEdge) {
  WhereScores(
      [](Scores scores) {
        return scores[3] > std::max({scores[0], scores[1], scores[2]});
      },
      0.85,
      [](const auto& logits, const Sampling& sampling, int position, Scores) {
        EXPECT_NEAR(SamplingMargin(logits, sampling, position, 3), 1.209838 * sampling.temperature, 1e-6);
      });
  WhereScores([](Scores scores) { return scores[0] > scores[3] && scores[3] > std::max(scores[1], scores[2]); }, 0.85,
              [](const auto& logits, const Sampling& sampling, int position, Scores scores) {
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 3),
                            (1.209838 + scores[0] - scores[3]) * sampling.temperature, 1e-6);
              });
  // Top-p 0.45 keeps token 0 alone. Of those outside, token 1 comes before token 2: log(0.8 / 0.2) - log(0.45 / 0.55).
  WhereScores([](Scores scores) { return scores[2] > scores[0]; }, 0.45,
              [](const auto& logits, const Sampling& sampling, int position, Scores) {
                EXPECT_NEAR(SamplingMargin(logits, sampling, position, 2), 1.586965 * sampling.temperature, 1e-6);
              });
}

// Of four equal tokens top-p 0.5 keeps two. The third comes after a share of just 0.5, so the least disturbance lets it in.
TEST(SamplingMargin, ATokenOnTheEdgeIsNotOutside) {
  const std::vector<float> logits = {1, 1, 1, 1};
  const Sampling sampling = {.temperature = 1, .top_p = 0.5};
  int n_best = 0;
  for (int position = 0; position < 100; ++position) {
    const auto above_2 = [&](Token token) {
      return Score(logits, sampling, position, token) - Score(logits, sampling, position, 2);
    };
    const double rival = std::max(above_2(0), std::min(above_2(1), LogOdds(0.5) - LogOdds(0.25)));
    EXPECT_NEAR(SamplingMargin(logits, sampling, position, 2), std::max(rival, 0.0), 1e-12);
    n_best += rival < 0;
  }
  EXPECT_THAT(n_best, AllOf(Gt(15), Lt(60)));
}

// Weights 1 and exp(-1); the end of the reach is at -30, ten logits above token 2.
TEST(SamplingMargin, ATokenOutOfReachCountsAsOneOnItsEndAndItsDistanceFromThere) {
  const std::vector<float> logits = {0, -1, -40};
  for (int position = 0; position < 20; ++position) {
    const auto above_2 = [&](Token token) {
      return Score(logits, {.temperature = 1}, position, token) - Score(logits, {.temperature = 1}, position, 2);
    };
    EXPECT_NEAR(SamplingMargin(logits, {.temperature = 1, .top_p = 1}, position, 2), 10 + std::max(above_2(0), above_2(1)),
                1e-12);
    // Token 1 is less than two logits from the edge.
    EXPECT_NEAR(SamplingMargin(logits, {.temperature = 1, .top_p = 0.9}, position, 2),
                10 + 30 + std::log(1 + std::exp(-1)) - LogOdds(0.9) + above_2(0), 1e-12);
  }
}

// With top-p from where the token has left the set: while it is in the set, its fall also brings its rivals nearer to the edge.
TEST(SamplingMargin, GrowsAsTheLogitOfTheTokenFalls) {
  const Token token = 17;
  for (const double temperature : {0.0, 0.3, 1.0, 2.0}) {
    for (const double top_p : {0.5, 0.95, 1.0}) {
      const Sampling sampling = {.temperature = temperature, .top_p = top_p};
      for (int position = 0; position < 10; ++position) {
        std::vector<float> logits = UnevenLogits();
        double last = 0;
        for (float logit = 10; logit > -100; logit -= 0.5F) {
          logits[token] = logit;
          const bool has_edge = temperature > 0 && top_p < 1;
          if (has_edge && Value(TopP(logits, temperature, top_p), Contains(token))) continue;
          const double margin = SamplingMargin(logits, sampling, position, token);
          EXPECT_GE(margin, last) << "logit " << logit << ", " << temperature << ", " << top_p << ", position " << position;
          last = margin;
        }
        EXPECT_GT(last, 50);
      }
    }
  }
}

// The mean margin at a verifier whose logits differ from the prover's by noise of that deviation, of the tokens that the prover
// sampled or of any.
double MeanMargin(const Sampling& sampling, float noise, bool sampled) {
  constexpr int kPositions = 4'000;
  constexpr int kTokens = 200;
  double sum = 0;
  for (int position = 0; position < kPositions; ++position) {
    const std::vector<float> logits = RandomLogits(kTokens, 3, static_cast<unsigned>(position));
    const std::vector<float> difference = RandomLogits(kTokens, noise, static_cast<unsigned>(kPositions + position));
    std::vector<float> verifiers = logits;
    for (std::size_t i = 0; i < kTokens; ++i) verifiers[i] += difference[i];
    const Token token = sampled ? Sample(logits, sampling, position) : position % kTokens;
    sum += SamplingMargin(verifiers, sampling, position, token);
  }
  return sum / kPositions;
}

// Noise changes a share of the choices that is proportional to it, and each costs about as much as the noise, so the mean is
// quadratic in the noise, about half its square: at 0.01 few of the 4000 choices contribute. The largest of 200 logits is
// about 8.
TEST(SamplingMargin, IsSmallForNoiseAndLargeForOtherTokens) {
  for (const double temperature : {0.0, 0.7, 1.0}) {
    for (const double top_p : {0.9, 1.0}) {
      const Sampling sampling = {.temperature = temperature, .top_p = top_p, .seed = 2};
      SCOPED_TRACE(testing::Message() << "temperature " << temperature << ", top-p " << top_p);
      EXPECT_THAT(MeanMargin(sampling, 0.01F, true), AllOf(Gt(2e-6), Lt(5e-4)));
      EXPECT_THAT(MeanMargin(sampling, 0.1F, true), AllOf(Gt(0.002), Lt(0.01)));
      EXPECT_THAT(MeanMargin(sampling, 0.01F, false), AllOf(Gt(6), Lt(20)));
    }
  }
}

TEST(SamplingMargin, IsFiniteWhateverTheLogits) {
  const float largest = std::numeric_limits<float>::max();
  for (const std::vector<float>& logits :
       {std::vector<float>{0, -kInfinity, 5}, std::vector<float>{-kInfinity, -kInfinity, -kInfinity},
        std::vector<float>{kInfinity, 1, kInfinity}, std::vector<float>{largest, -largest, 0},
        std::vector<float>{0, -1e6F, -1e-6F}, std::vector<float>{7}}) {
    for (const double temperature : {0.0, 1e-310, 1e-3, 1.0, 100.0}) {
      for (const double top_p : {1e-310, 0.5, 1 - 1e-16, 1.0}) {
        const Sampling sampling = {.temperature = temperature, .top_p = top_p};
        for (int position = 0; position < 5; ++position) {
          EXPECT_EQ(SamplingMargin(logits, sampling, position, Sample(logits, sampling, position)), 0);
          for (std::size_t token = 0; token < logits.size(); ++token) {
            const double margin = SamplingMargin(logits, sampling, position, static_cast<Token>(token));
            EXPECT_TRUE(std::isfinite(margin) && margin >= 0) << margin << " for " << testing::PrintToString(logits) << " token "
                                                              << token << ", " << temperature << ", " << top_p;
          }
        }
      }
    }
  }
}

TEST(SamplingMargin, NanIsAnErrorThatNamesTokenAndPosition) {
  for (std::size_t place = 0; place < 4; ++place) {
    std::vector<float> logits = {1, 2, 4, 3};
    logits[place] = kNan;
    for (const double temperature : {0.0, 0.7}) {
      ExpectError([&] { SamplingMargin(logits, {.temperature = temperature}, 7, 1); }, ErrorKind::kWorker,
                  HasSubstr("token " + std::to_string(place) + " at position 7"));
    }
  }
}

TEST(SamplingMargin, ATokenOutsideTheVocabularyIsRefused) {
  const std::vector<float> logits = {1, 2, 3};
  for (const Token token : {-1, 3, std::numeric_limits<Token>::max()}) {
    for (const double temperature : {0.0, 0.7}) {
      ExpectError([&] { SamplingMargin(logits, {.temperature = temperature}, 7, token); }, ErrorKind::kInput,
                  "token " + std::to_string(token) + " at position 7 is outside the vocabulary of 3");
    }
  }
}

}  // namespace
}  // namespace verillm
