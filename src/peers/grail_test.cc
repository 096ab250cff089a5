#include "peers/grail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/test_support.h"
#include "peers/test_support.h"
#include "receipt/hash.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr std::string_view kBeacon = "02742f6ac82d0a6b88dc818c6a8d0145fc60da18efd99f0da362634daee717b4";

// Token i is draw i + 1 of the seed modulo a vocabulary of 151,936: the rule of grail.json.
std::vector<Token> Tokens(std::uint64_t seed, std::size_t n) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < n; ++i) tokens.push_back(static_cast<Token>(SplitMix(seed, i + 1) % 151936));
  return tokens;
}

std::uint64_t SeedIn(const std::string& rule) { return std::stoull(rule.substr(rule.find("seed=") + 5)); }

TEST(Grail, ConstantsAreThePeers) {
  const Json constants = ReadPeerVectors("grail/grail.json")["constants"];
  EXPECT_EQ(kGrailPrime, constants["PRIME_Q"].get<std::uint32_t>());
  EXPECT_EQ(kGrailTopk, constants["PROOF_TOPK"].get<std::size_t>());
  EXPECT_EQ(kGrailChallenges, constants["CHALLENGE_K"].get<std::size_t>());
}

TEST(GrailExpand, IsThePeersPrf) {
  const Json vectors = ReadPeerVectors("grail/grail.json");
  for (const Json& example : vectors["prf"]) {
    std::vector<std::vector<std::byte>> parts;
    for (const Json& part : example["parts_hex"]) parts.push_back(BytesFromHex(part.get<std::string>(), "part", 0, 1000));
    const std::vector<std::span<const std::byte>> spans(parts.begin(), parts.end());
    EXPECT_EQ(ToHex(GrailExpand(example["label"].get<std::string>(), spans, example["out_bytes"].get<std::size_t>())),
              example["out_hex"].get<std::string>());
  }
}

TEST(GrailBeacon, IsReadAsThePeerReadsIt) {
  EXPECT_EQ(ToHex(GrailBeacon("0x0123aBc")), "00123abc");
  EXPECT_EQ(ToHex(GrailBeacon("abc")), "0abc");
}

TEST(GrailBeacon, OtherTextsAreRefused) {
  for (const std::string text : {"", "0x", "xyz", "12 4", "-1", "0x0x12"})
    ExpectError([&] { GrailBeacon(text); }, ErrorKind::kInput, HasSubstr("is not 2 to 128 lower-case hexadecimal digits"));
  EXPECT_NO_THROW(GrailBeacon(std::string(128, 'a')));
  ExpectError([] { GrailBeacon(std::string(129, 'a')); }, ErrorKind::kInput, HasSubstr("beacon: "));
}

TEST(GrailCoefficientsOf, AreThePeers) {
  const Json vectors = ReadPeerVectors("grail/grail.json");
  ASSERT_EQ(vectors["coefficients"].size(), 5u);  // the last with -32768
  for (const Json& example : vectors["coefficients"]) {
    const auto coefficients = GrailCoefficientsOf(GrailBeacon(example["randomness_hex"].get<std::string>()));
    EXPECT_EQ(std::vector<int>(coefficients.begin(), coefficients.end()), example["coefficients"].get<std::vector<int>>());
  }
}

TEST(GrailBucket, IsThePeers) {
  const Json buckets = ReadPeerVectors("grail/grail.json")["buckets"];
  for (std::size_t i = 0; i < buckets["values_f32"].size(); ++i) {
    const double value = buckets["values_f32"][i].get<double>();
    EXPECT_EQ(GrailBucket(value), buckets["buckets"][i].get<int>()) << value;
  }
  EXPECT_EQ(GrailBucket(std::nan("")), buckets["special"]["nan"].get<int>());
  EXPECT_EQ(GrailBucket(std::numeric_limits<double>::infinity()), buckets["special"]["inf"].get<int>());
  EXPECT_EQ(GrailBucket(-std::numeric_limits<double>::infinity()), buckets["special"]["minus_inf"].get<int>());
}

// 2^(1.25 b) - 1 for b = 1 to 7.
TEST(GrailBucket, StepsBeginWhereTheLogarithmReachesThem) {
  const float begins[] = {1.3784142f, 4.6568542f, 12.454343f, 31, 75.10926f, 180.01933f, 429.53895f};
  for (int b = 1; b <= 7; ++b) {
    EXPECT_EQ(GrailBucket(begins[b - 1] * 1.00001f), b);
    EXPECT_EQ(GrailBucket(-begins[b - 1] * 1.00001f), -b);
    EXPECT_EQ(GrailBucket(begins[b - 1] * 0.99999f), b - 1);
  }
  EXPECT_EQ(GrailBucket(31), 4);
}

TEST(GrailSketch, AndItsChecksAreThePeers) {
  const Json vectors = ReadPeerVectors("grail/grail.json");
  for (const Json& example : vectors["sketches"]) {
    const Json& source = example["activations"];
    const auto hidden = source["hidden"].get<std::size_t>();
    const auto n_rows = source["rows"].get<std::size_t>();
    const Activations activations = GenerateActivations(source["dist"].get<std::string>(), source["seed"].get<std::uint64_t>(),
                                                        n_rows, hidden, StateType::kBF16);
    const auto coefficients = GrailCoefficientsOf(GrailBeacon(example["randomness_hex"].get<std::string>()));
    std::vector<std::uint32_t> sketches;
    for (std::size_t row = 0; row < n_rows; ++row)
      sketches.push_back(GrailSketch(activations.bytes().subspan(2 * hidden * row, 2 * hidden), StateType::kBF16, coefficients));
    EXPECT_EQ(sketches, example["sketches"].get<std::vector<std::uint32_t>>());

    for (const Json& row : example["checks_position_claim_diff_tolerance_valid"]) {
      const int position = row[0].get<int>();
      const auto claim = row[1].get<std::uint32_t>();
      const std::uint32_t own = sketches[static_cast<std::size_t>(position)];
      const GrailCheck check = {position, claim, own, GrailDifference(claim, own), GrailTolerance(position)};
      EXPECT_EQ(check.difference, row[2].get<std::uint32_t>());
      EXPECT_EQ(check.tolerance, row[3].get<std::uint32_t>());
      EXPECT_EQ(check.passes(), row[4].get<bool>());
    }
  }
}

TEST(GrailSketch, TypesOfTheSameValuesGiveTheSame) {
  const Activations states = GenerateActivations("heavy", 5, 1, 256, StateType::kBF16);
  std::vector<float> values;
  for (std::size_t i = 0; i < 256; ++i) values.push_back(DecodeState(states.bytes(), StateType::kBF16, i));
  const auto coefficients = GrailCoefficientsOf(GrailBeacon(kBeacon));
  EXPECT_EQ(GrailSketch(std::as_bytes(std::span(values)), StateType::kF32, coefficients),
            GrailSketch(states.bytes(), StateType::kBF16, coefficients));
}

// One element of step 2 among zeros, at place 3: with equal zeros the lowest indices fill up, so that it comes fourth.
TEST(GrailSketch, OrderIsThatOfTheIndices) {
  std::vector<float> values(100, 0.0f);
  values[3] = -5;
  const GrailCoefficients coefficients = {1, 2, 3, 7};
  EXPECT_EQ(GrailSketch(std::as_bytes(std::span(values)), StateType::kF32, coefficients), kGrailPrime - 14);
  values[3] = 5;
  EXPECT_EQ(GrailSketch(std::as_bytes(std::span(values)), StateType::kF32, coefficients), 14u);
}

TEST(GrailSketch, TooNarrowStatesAreRefused) {
  ExpectError([] { GrailSketch(std::vector<std::byte>(30), StateType::kBF16, {}); }, ErrorKind::kInput,
              "a state of 15 elements has not the 16 of a sketch");
}

TEST(GrailTolerance, IsThePeers) {
  const Json vectors = ReadPeerVectors("grail/grail.json");
  for (const Json& example : vectors["tolerance"])
    EXPECT_EQ(GrailTolerance(example[0].get<int>()), example[1].get<std::uint32_t>());
}

TEST(GrailDifference, GoesRoundTheCircle) {
  EXPECT_EQ(GrailDifference(5, 3), 2u);
  EXPECT_EQ(GrailDifference(3, 5), 2u);
  EXPECT_EQ(GrailDifference(1, kGrailPrime - 1), 2u);
  EXPECT_EQ(GrailDifference(0, kGrailPrime / 2), kGrailPrime / 2);
}

TEST(GrailChallenge, IsThePeers) {
  const Json vectors = ReadPeerVectors("grail/grail.json");
  ASSERT_EQ(vectors["challenges"].size(), 7u);
  for (const Json& example : vectors["challenges"]) {
    const std::vector<Token> tokens =
        Tokens(SeedIn(example["tokens_rule"].get<std::string>()), example["count"].get<std::size_t>());
    EXPECT_EQ(ToHex(GrailTokensDigest(tokens)), example["tokens_sha256"].get<std::string>());
    EXPECT_EQ(GrailChallenge(tokens, GrailBeacon(example["randomness_hex"].get<std::string>()), example["start"].get<int>(),
                             example["end"].get<int>(), example["k"].get<std::size_t>()),
              example["indices"].get<std::vector<int>>());
  }
}

TEST(GrailChallenge, WrongRangesAreRefused) {
  ExpectError([] { GrailChallenge({}, {}, 3, 2); }, ErrorKind::kUsage, "3 to 2 are no positions");
  ExpectError([] { GrailChallenge({}, {}, -1, 2); }, ErrorKind::kUsage, "-1 to 2 are no positions");
}

TEST(GrailBinding, IsThePeers) {
  const Json example = ReadPeerVectors("grail/grail.json")["commit_binding"];
  EXPECT_EQ(
      ToHex(GrailBinding(example["tokens"].get<std::vector<Token>>(), GrailBeacon(example["randomness_hex"].get<std::string>()),
                         example["model_name"].get<std::string>(), example["layer_index"].get<int>(),
                         example["sketches"].get<std::vector<std::uint32_t>>())),
      example["binding_sha256"].get<std::string>());
}

// Verifying: 20 + 60 tokens and states of 256 elements.

class VerifyGrailTest : public testing::Test {
 protected:
  static constexpr std::size_t kWidth = 256;

  VerifyGrailTest()
      : tokens_(Tokens(3, 80)),
        rows_(GenerateActivations("heavy", 9, 60, kWidth, StateType::kBF16)),
        coefficients_(GrailCoefficientsOf(GrailBeacon(kBeacon))),
        sketches_(20, 0) {
    for (std::size_t i = 0; i < 60; ++i)
      sketches_.push_back(GrailSketch(rows_.bytes().subspan(2 * kWidth * i, 2 * kWidth), StateType::kBF16, coefficients_));
  }

  GrailResult Verify(std::span<const std::uint32_t> sketches) const {
    return VerifyGrail(sketches, {tokens_, 20, rows_.bytes(), StateType::kBF16, kWidth}, coefficients_, BytesOf("later"));
  }

  std::vector<Token> tokens_;
  Activations rows_;
  GrailCoefficients coefficients_;
  std::vector<std::uint32_t> sketches_;
};

TEST_F(VerifyGrailTest, AcceptsItsOwnSketches) {
  const GrailResult result = Verify(sketches_);
  EXPECT_TRUE(result.accepted);
  EXPECT_EQ(result.reason, "all 32 positions drawn pass");
  ASSERT_THAT(result.checks, SizeIs(32));
  for (const GrailCheck& check : result.checks) {
    EXPECT_GE(check.position, 20);
    EXPECT_LT(check.position, 80);
    EXPECT_EQ(check.difference, 0u);
  }
}

TEST_F(VerifyGrailTest, OnePositionThatFailsIsEnough) {
  const int position = Verify(sketches_).checks[7].position;
  sketches_[static_cast<std::size_t>(position)] = (sketches_[static_cast<std::size_t>(position)] + 100000) % kGrailPrime;
  const GrailResult result = Verify(sketches_);
  EXPECT_FALSE(result.accepted);
  EXPECT_THAT(result.reason, HasSubstr("1 of 32 positions drawn fail: the sketch of position " + std::to_string(position) +
                                       " is off by 100000 (> 60"));
}

TEST_F(VerifyGrailTest, PositionsThatAreNotDrawnMayHoldAnything) {
  std::vector<std::uint32_t> only_drawn(80, kGrailPrime / 2);
  for (const GrailCheck& check : Verify(sketches_).checks) only_drawn[static_cast<std::size_t>(check.position)] = check.own;
  EXPECT_TRUE(Verify(only_drawn).accepted);
}

// The weakness of version 5, kept because agreeing with it is the point.
TEST_F(VerifyGrailTest, TheNumberZeroPassesWithoutAnyModel) { EXPECT_TRUE(Verify(std::vector<std::uint32_t>(80, 0)).accepted); }

TEST_F(VerifyGrailTest, MalformedClaimsAreRejected) {
  EXPECT_EQ(Verify(std::span(sketches_).first(79)).reason, "there are 79 sketches for 80 tokens");
  EXPECT_FALSE(Verify(std::span(sketches_).first(79)).accepted);
  sketches_[5] = kGrailPrime;
  EXPECT_EQ(Verify(sketches_).reason, "the sketch of position 5 is 2147483647, no residue modulo 2147483647");
  const GrailResult few = VerifyGrail(std::span(sketches_).first(51),
                                      {std::span(tokens_).first(51), 20, rows_.bytes().first(31 * 512), StateType::kBF16, kWidth},
                                      coefficients_, BytesOf("later"));
  EXPECT_FALSE(few.accepted);
  EXPECT_EQ(few.reason, "31 output tokens are fewer than the 32 positions to be checked");
}

TEST_F(VerifyGrailTest, StatesOfOtherPositionsAreRefused) {
  ExpectError(
      [&] {
        VerifyGrail(sketches_, {tokens_, 19, rows_.bytes(), StateType::kBF16, kWidth}, coefficients_, BytesOf("later"));
      },
      ErrorKind::kInput, HasSubstr("are not the states of 80 tokens less a prompt of 19"));
}

}  // namespace
}  // namespace verillm
