#include "peers/difr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/test_support.h"
#include "peers/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Floats = std::vector<float>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Noise that says nothing: ln 1 = 0.
Floats NoNoise(std::size_t n) { return Floats(n, 1.0f); }

TEST(ScoreTokenDifr, GivesThePeersScores) {
  const Json vectors = ReadPeerVectors("difr/token-difr.json");
  ASSERT_EQ(vectors["cases"].size(), 6u);
  for (const Json& example : vectors["cases"]) {
    const auto logits = NumbersFromBase64<float>(example["logits_le_f32_base64"].get<std::string>());
    const auto exponentials = NumbersFromBase64<float>(example["exponentials_le_f32_base64"].get<std::string>());
    const auto vocab = example["vocab"].get<std::size_t>();
    const TokenDifrSampling sampling{.temperature = example["temperature"].get<double>(),
                                     .top_k = example["top_k"].get<int>(),
                                     .top_p = example["top_p"].get<double>()};
    const Json& expected = example["expected"];
    for (std::size_t i = 0; i < example["positions"].get<std::size_t>(); ++i) {
      SCOPED_TRACE(example["name"].get<std::string>() + " " + std::to_string(i));
      const TokenDifr score =
          ScoreTokenDifr(std::span(logits).subspan(i * vocab, vocab), std::span(exponentials).subspan(i * vocab, vocab), sampling,
                         example["claimed_tokens"][i].get<Token>());
      EXPECT_EQ(score.predicted, expected["predicted_tokens"][i].get<Token>());
      EXPECT_EQ(score.predicted == example["claimed_tokens"][i].get<Token>(), expected["exact_match"][i].get<bool>());
      EXPECT_NEAR(score.probability, expected["prob"][i].get<double>(), 1e-6);
      EXPECT_EQ(std::isinf(score.margin), expected["margin_is_infinite"][i].get<bool>());
      if (!expected["margin"][i].is_null()) {
        EXPECT_NEAR(score.margin, expected["margin"][i].get<double>(), 1e-5);
      }
      EXPECT_EQ(score.logit_rank, expected["logit_rank"][i].get<std::size_t>());
      EXPECT_EQ(score.gumbel_rank.has_value(), !expected["gumbel_rank"][i].is_null());
      if (score.gumbel_rank) {
        EXPECT_EQ(static_cast<double>(*score.gumbel_rank), expected["gumbel_rank"][i].get<double>());
      }
      EXPECT_EQ(score.n_kept, expected["kept_tokens"][i].get<std::size_t>());
    }
  }
}

// At temperature 2 the scores are 1 - 2 ln 0.5 = 2.386 and 2 - 2 ln 1 = 2: the noise makes the less likely token win.
TEST(ScoreTokenDifr, MarginIsThatByHand) {
  const Floats logits = {1, 2}, exponentials = {0.5f, 1};
  const TokenDifrSampling sampling{.temperature = 2, .top_k = 0, .top_p = 1};
  const TokenDifr chosen = ScoreTokenDifr(logits, exponentials, sampling, 0);
  EXPECT_EQ(chosen.predicted, 0);
  EXPECT_EQ(chosen.margin, 0);
  EXPECT_EQ(chosen.logit_rank, 1u);
  EXPECT_EQ(chosen.gumbel_rank, 0u);
  EXPECT_NEAR(chosen.probability, 1 / (1 + std::exp(0.5)), 1e-7);
  const TokenDifr other = ScoreTokenDifr(logits, exponentials, sampling, 1);
  EXPECT_NEAR(other.margin, 2 * std::log(2) - 1, 1e-12);
  EXPECT_EQ(other.gumbel_rank, 1u);
}

TEST(ScoreTokenDifr, TopKKeepsWhatIsEqualToTheLast) {
  const TokenDifr score = ScoreTokenDifr(Floats{3, 1, 2, 2}, NoNoise(4), {.temperature = 1, .top_k = 2, .top_p = 1}, 3);
  EXPECT_EQ(score.n_kept, 3u);
  EXPECT_EQ(score.margin, 1);
}

// Probabilities 0.5, 0.3, 0.2: the sum of the least ones reaches 1 - top_p = 0.2 with the last, which is dropped, or not.
TEST(ScoreTokenDifr, TopPDropsWhatTheRestDoesWithout) {
  const Floats logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const TokenDifr kept = ScoreTokenDifr(logits, NoNoise(3), {.temperature = 1, .top_k = 0, .top_p = 0.81}, 2);
  EXPECT_EQ(kept.n_kept, 3u);
  EXPECT_NEAR(kept.margin, std::log(2.5), 1e-6);
  const TokenDifr dropped = ScoreTokenDifr(logits, NoNoise(3), {.temperature = 1, .top_k = 0, .top_p = 0.79}, 2);
  EXPECT_EQ(dropped.n_kept, 2u);
  EXPECT_EQ(dropped.margin, kInfinity);
  EXPECT_EQ(dropped.gumbel_rank, std::nullopt);
  EXPECT_EQ(dropped.probability, 0);
}

TEST(ScoreTokenDifr, TheMostLikelyTokenIsNeverDropped) {
  const TokenDifr score = ScoreTokenDifr(Floats{1, 1.5f}, NoNoise(2), {.temperature = 1, .top_k = 0, .top_p = 1e-9}, 1);
  EXPECT_EQ(score.n_kept, 1u);
  EXPECT_EQ(score.margin, 0);
}

TEST(ScoreTokenDifr, NoiseHasNoSayAtTemperatureZero) {
  const TokenDifrSampling greedy{.temperature = 0, .top_k = 0, .top_p = 1};
  const TokenDifr score = ScoreTokenDifr(Floats{1, 1.25f, 0}, Floats{1e-6f, 1, 1}, greedy, 0);
  EXPECT_EQ(score.predicted, 1);
  EXPECT_EQ(score.margin, 0.25);
  EXPECT_EQ(score.probability, 0);
  EXPECT_EQ(score.n_kept, 1u);
  EXPECT_EQ(score.gumbel_rank, 1u);
}

TEST(ScoreTokenDifr, LogitsThatWereNotFetchedCountAsDropped) {
  const float nothing = -std::numeric_limits<float>::infinity();
  const TokenDifr score = ScoreTokenDifr(Floats{1, nothing, 2}, NoNoise(3), {.temperature = 1, .top_k = 0, .top_p = 1}, 1);
  EXPECT_EQ(score.margin, kInfinity);
  EXPECT_EQ(score.n_kept, 2u);
}

TEST(ScoreTokenDifr, RefusesWhatMakesNoSense) {
  const TokenDifrSampling sampling;
  const auto score = [](const Floats& logits, const Floats& noise, const TokenDifrSampling& s, Token token) {
    ScoreTokenDifr(logits, noise, s, token);
  };
  ExpectError([&] { score({1, 2}, {1}, sampling, 0); }, ErrorKind::kInput, "there is noise for 1 tokens of 2");
  ExpectError([&] { score({1, 2}, {1, 1}, sampling, 2); }, ErrorKind::kInput, "token 2 is outside the vocabulary of 2");
  ExpectError([&] { score({1, 2}, {1, 1}, sampling, -1); }, ErrorKind::kInput, "token -1 is outside the vocabulary of 2");
  ExpectError([&] { score({1, std::nanf("")}, {1, 1}, sampling, 0); }, ErrorKind::kInput, "the logit of token 1 is not a number");
  ExpectError([&] { score({1, 2}, {1, 1}, {.temperature = -1}, 0); }, ErrorKind::kUsage, HasSubstr("temperature -1"));
  ExpectError([&] { score({1, 2}, {1, 1}, {.temperature = std::nan("")}, 0); }, ErrorKind::kUsage, HasSubstr("temperature nan"));
  ExpectError([&] { score({1, 2}, {1, 1}, {.top_p = 0}, 0); }, ErrorKind::kUsage, HasSubstr("top_p 0"));
  ExpectError([&] { score({1, 2}, {1, 1}, {.top_p = 1.5}, 0); }, ErrorKind::kUsage, HasSubstr("top_p 1.5"));
  ExpectError([&] { score({}, {}, sampling, 0); }, ErrorKind::kInput, "token 0 is outside the vocabulary of 0");
}

TEST(ScoreTokenDifr, NoiseThatIsNoneIsRefused) {
  for (const float noise : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    ExpectError(
        [&] {
          ScoreTokenDifr(Floats{1, 2}, Floats{1, noise}, {}, 0);
        },
        ErrorKind::kInput, HasSubstr("the noise of token 1 is "));
  }
}

// Probabilities would be NaN, and the margin whatever.
TEST(ScoreTokenDifr, LogitsThatGiveNoProbabilitiesAreRefused) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto score = [](const Floats& logits, double temperature) {
    ScoreTokenDifr(logits, NoNoise(logits.size()), {.temperature = temperature, .top_k = 0, .top_p = 1}, 0);
  };
  ExpectError([&] { score({-infinity, -infinity}, 1); }, ErrorKind::kInput, HasSubstr("temperature 1 is -inf"));
  ExpectError([&] { score({1, infinity}, 0); }, ErrorKind::kInput, HasSubstr("temperature 0 is inf"));
  ExpectError([&] { score({1, 2}, 1e-39); }, ErrorKind::kInput, HasSubstr("is inf, which gives no probabilities"));
}

TEST(MeanClippedMargin, InfiniteMarginsCountAsTheClip) {
  const std::vector<double> margins = {0, 0.25, 2, kInfinity};
  EXPECT_DOUBLE_EQ(MeanClippedMargin(margins), 1.25 / 4);
  EXPECT_DOUBLE_EQ(MeanClippedMargin(margins, 1), 2.25 / 4);
  ExpectError([] { MeanClippedMargin({}); }, ErrorKind::kInput, "there are no margins to average");
}

// Activation-DiFR

std::vector<std::byte> Encoded(const Floats& values, StateType type) {
  std::vector<std::byte> bytes(values.size() * static_cast<std::size_t>(FormatOf(type).bytes));
  EncodeStates(values, type, bytes);
  return bytes;
}

// (1, 2, 3) times a matrix of 3 x 2.
TEST(ActivationProjection, FingerprintIsTheProductByHand) {
  const ActivationProjection projection({1, 0, 0.5f, -1, 2, 4}, 3, 2);
  for (const StateType type : {StateType::kF16, StateType::kBF16, StateType::kF32}) {
    EXPECT_THAT(projection.Fingerprint(Encoded({1, 2, 3}, type), type), ElementsAre(8, 10));
  }
}

TEST(ActivationProjection, WrongSizesAreRefused) {
  ExpectError([] { ActivationProjection({1, 2, 3}, 2, 2); }, ErrorKind::kInput, "3 entries make no matrix of 2 x 2");
  ExpectError([] { ActivationProjection::Gaussian(1, 3, 0); }, ErrorKind::kInput, "0 entries make no matrix of 3 x 0");
  ExpectError([] { ActivationProjection::Orthonormal(1, 0, 0); }, ErrorKind::kInput, "0 entries make no matrix of 0 x 0");
  ExpectError([] { ActivationProjection::Orthonormal(1, 2, 3); }, ErrorKind::kUsage, HasSubstr("3 orthonormal columns"));
  const ActivationProjection projection({1, 2}, 2, 1);
  std::vector<std::byte> state(6);
  ExpectError([&] { projection.Fingerprint(state, StateType::kBF16); }, ErrorKind::kInput,
              "6 bytes are no state of 2 elements of type bf16");
}

// Of 1000 x 16 entries of variance 1/16: the mean is within 5 deviations, sqrt(1/16/16000) = 0.002 each.
TEST(ActivationProjection, GaussianEntriesHaveTheirMeanAndVariance) {
  const ActivationProjection projection = ActivationProjection::Gaussian(42, 1000, 16);
  double sum = 0, squares = 0, fourth = 0;
  for (std::size_t d = 0; d < 1000; ++d) {
    for (std::size_t j = 0; j < 16; ++j) {
      const double entry = projection.entry(d, j);
      sum += entry;
      squares += entry * entry;
      fourth += entry * entry * entry * entry;
    }
  }
  EXPECT_NEAR(sum / 16000, 0, 0.01);
  EXPECT_NEAR(squares / 16000, 1.0 / 16, 0.004);
  EXPECT_NEAR(fourth / 16000, 3.0 / 256, 0.0015);
}

TEST(ActivationProjection, ColumnsOfASmallerProjectionAreTheFirstOfALarger) {
  const ActivationProjection small = ActivationProjection::Gaussian(7, 50, 4);
  const ActivationProjection large = ActivationProjection::Gaussian(7, 50, 16);
  const ActivationProjection small_orthonormal = ActivationProjection::Orthonormal(7, 50, 4);
  const ActivationProjection large_orthonormal = ActivationProjection::Orthonormal(7, 50, 16);
  for (std::size_t d = 0; d < 50; ++d) {
    for (std::size_t j = 0; j < 4; ++j) {
      EXPECT_EQ(small.entry(d, j), 2 * large.entry(d, j));
      EXPECT_EQ(small_orthonormal.entry(d, j), large_orthonormal.entry(d, j));
    }
  }
}

TEST(ActivationProjection, OrthonormalColumnsAreThat) {
  const ActivationProjection projection = ActivationProjection::Orthonormal(42, 300, 32);
  for (std::size_t i = 0; i < 32; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double product = 0;
      for (std::size_t d = 0; d < 300; ++d) product += double{projection.entry(d, i)} * projection.entry(d, j);
      EXPECT_NEAR(product, i == j ? 1 : 0, 1e-6);
    }
  }
}

TEST(ActivationProjection, OrthonormalColumnsAreNotTurnedRound) {
  const ActivationProjection gaussian = ActivationProjection::Gaussian(9, 200, 8);
  const ActivationProjection orthonormal = ActivationProjection::Orthonormal(9, 200, 8);
  for (std::size_t j = 0; j < 8; ++j) {
    double product = 0;
    for (std::size_t d = 0; d < 200; ++d) product += double{gaussian.entry(d, j)} * orthonormal.entry(d, j);
    EXPECT_GT(product, 0);
  }
}

// Computed apart from this code (splitmix64, Box and Muller in Python); both sides of an audit must get these.
TEST(ActivationProjection, EntriesOfASeedStayWhatTheyAre) {
  const ActivationProjection projection = ActivationProjection::Gaussian(42, 3, 2);
  const double factor = std::sqrt(0.5);
  EXPECT_THAT((Floats{projection.entry(0, 0), projection.entry(1, 0), projection.entry(2, 0), projection.entry(0, 1)}),
              ElementsAre(testing::FloatNear(static_cast<float>(factor * 0.414719750), 1e-6f),
                          testing::FloatNear(static_cast<float>(factor * -0.891886214), 1e-6f),
                          testing::FloatNear(static_cast<float>(factor * 1.729593088), 1e-6f),
                          testing::FloatNear(static_cast<float>(factor * 0.545620436), 1e-6f)));
}

// Johnson and Lindenstrauss: with k = 128 the distance of two states is kept within 1 / sqrt(2 k) = 6 %, here within four times
// that.
TEST(ActivationProjection, DistancesAreKeptOnAverage) {
  const ActivationProjection projection = ActivationProjection::Gaussian(3, 512, 128);
  const Activations states = GenerateActivations("normal", 17, 20, 512, StateType::kBF16);
  for (std::size_t i = 0; i + 1 < 20; ++i) {
    const auto a = states.bytes().subspan(1024 * i, 1024), b = states.bytes().subspan(1024 * (i + 1), 1024);
    double squares = 0;
    for (std::size_t d = 0; d < 512; ++d) {
      const double difference = DecodeState(a, StateType::kBF16, d) - DecodeState(b, StateType::kBF16, d);
      squares += difference * difference;
    }
    const double distance =
        FingerprintDistance(projection.Fingerprint(a, StateType::kBF16), projection.Fingerprint(b, StateType::kBF16));
    EXPECT_NEAR(distance / std::sqrt(squares), 1, 0.25);
    EXPECT_GT(distance, 0);
  }
}

TEST(FingerprintDistance, IsEuclidean) {
  EXPECT_EQ(FingerprintDistance(Floats{1, 2}, Floats{4, 6}), 5);
  EXPECT_EQ(FingerprintDistance(Floats{}, Floats{}), 0);
}

TEST(FingerprintDistance, NothingIsNearToNaN) {
  EXPECT_EQ(FingerprintDistance(Floats{1, std::nanf("")}, Floats{1, 2}), kInfinity);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FingerprintDistance(Floats{infinity}, Floats{infinity}), kInfinity);
}

TEST(FingerprintDistance, OtherLengthsAreRefused) {
  ExpectError(
      [] {
        FingerprintDistance(Floats{1}, Floats{1, 2});
      },
      ErrorKind::kInput, "fingerprints of 1 and 2 numbers cannot be compared");
}

}  // namespace
}  // namespace verillm
