#include "peers/toploc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>

#include "base/test_support.h"
#include "peers/prime_field.h"
#include "peers/test_support.h"
#include "receipt/hash.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// 32 x 512 Gaussian states make a chunk; noise of one unit in the last place in some elements makes another device.
constexpr std::size_t kWidth = 512;

Activations Gaussian(std::size_t n_rows, std::uint64_t seed = 7) {
  return GenerateActivations("normal", seed, n_rows, kWidth, StateType::kBF16);
}

ToplocStates StatesOf(const Activations& activations, std::size_t width = kWidth, std::size_t n_prefill = 0) {
  return {.rows = activations.bytes(), .type = activations.type, .width = static_cast<int>(width), .n_prefill = n_prefill};
}

// The reference vectors

class ToplocVectors : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    vectors_ = ReadPeerVectors("toploc/" + std::string(GetParam()) + ".json")["case"];
    type_ = vectors_["dtype"] == "bf16" ? StateType::kBF16 : StateType::kF16;
    hidden_ = vectors_["hidden"].get<std::size_t>();
    topk_ = vectors_["topk"].get<int>();
    n_prefill_ = vectors_["prefill_tokens"].get<std::size_t>();
    n_rows_ = n_prefill_ + vectors_["decode_steps"].get<std::size_t>();
    activations_ = Generate(vectors_["seed"].get<std::uint64_t>());
    if (vectors_.contains("patch")) {
      for (const Json& patch : vectors_["patch"]) activations_.bits[patch[0].get<std::size_t>()] = patch[1].get<std::uint16_t>();
    }
    ASSERT_EQ(activations_.Sha256(), vectors_["activations_sha256"].get<std::string>());
    chunks_ = ToplocChunks(n_rows_, n_prefill_, vectors_["decode_batching_size"].get<int>());
    ASSERT_EQ(chunks_.size(), vectors_["chunks"].size());
  }

  Activations Generate(std::uint64_t seed) const {
    return GenerateActivations(vectors_["dist"].get<std::string>(), seed, n_rows_, hidden_, type_);
  }

  std::span<const std::byte> Chunk(const Activations& activations, std::size_t i) const {
    return activations.bytes().subspan(2 * hidden_ * chunks_[i].first_row, 2 * hidden_ * chunks_[i].n_rows);
  }

  ToplocProof Build(std::size_t i, TieRule ties) const { return BuildToplocProof(Chunk(activations_, i), type_, topk_, ties); }

  std::uint16_t Perturbed(const Json& rule, std::size_t i, std::uint16_t bits) const {
    const int magnitude = bits & 0x7FFF;
    const int sign = bits & 0x8000;
    const std::string kind = rule["kind"];
    if (kind == "negate") return bits ^ 0x8000;
    if (magnitude > 0x7F80 || kind == "identity") return bits;
    if (kind == "mant3") return static_cast<std::uint16_t>(sign | ((magnitude + 7 + ((magnitude >> 4) & 1)) & ~15));
    if (kind == "scale") return Times(bits, static_cast<float>(rule["factor"].get<double>()));
    const std::uint64_t z = SplitMix(rule["seed"].get<std::uint64_t>(), i + 1);
    if (kind == "ulp") {
      if ((z & 0xFF) >= rule["p256"].get<std::uint64_t>()) return bits;
      return static_cast<std::uint16_t>(sign | ((z & 0x100) != 0 ? magnitude + 1 : std::max(0, magnitude - 1)));
    }
    EXPECT_EQ(kind, "rel");
    return Times(bits, 1 + std::ldexp(static_cast<float>(static_cast<int>(z & 0xFFFF) - 32768), -15 - rule["shift"].get<int>()));
  }

  // Rounds to nearest even; what is too large becomes infinite.
  static std::uint16_t Times(std::uint16_t bits, float factor) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16) * factor;
    std::uint32_t u = std::bit_cast<std::uint32_t>(value);
    u += 0x7FFF + ((u >> 16) & 1);
    return static_cast<std::uint16_t>(u >> 16);
  }

  Activations Perturb(const Json& rule) const {
    if (rule["kind"] == "other") return Generate(rule["seed"].get<std::uint64_t>());
    Activations perturbed = activations_;
    for (std::size_t i = 0; i < perturbed.bits.size(); ++i) perturbed.bits[i] = Perturbed(rule, i, perturbed.bits[i]);
    return perturbed;
  }

  Json vectors_;
  StateType type_;
  std::size_t hidden_, n_prefill_, n_rows_;
  int topk_;
  Activations activations_;
  std::vector<ToplocChunk> chunks_;
};

TEST_P(ToplocVectors, ChunksAreThePeers) {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const Json& expected = vectors_["chunks"][i];
    EXPECT_EQ(chunks_[i].first_row, expected["first_row"].get<std::size_t>());
    EXPECT_EQ(chunks_[i].n_rows, expected["rows"].get<std::size_t>());
  }
}

TEST_P(ToplocVectors, ProofsAreThePeersByteForByte) {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const Json& expected = vectors_["chunks"][i];
    const ToplocProof proof = Build(i, TieRule::kTorchCpu);
    EXPECT_EQ(proof.modulus, expected["modulus"].get<int>());
    EXPECT_EQ(ToplocProofBase64(proof), expected["proof_base64"].get<std::string>()) << i;
    EXPECT_EQ(Sha256Hex(ToplocProofBytes(proof)), expected["proof_sha256"].get<std::string>()) << i;
    EXPECT_EQ(ToplocProofFromBase64(expected["proof_base64"].get<std::string>(), "proof"), proof);
  }
}

TEST_P(ToplocVectors, ProofsByLowestIndexAreAsDocumented) {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const Json& expected = vectors_["chunks"][i];
    EXPECT_EQ(Sha256Hex(ToplocProofBytes(Build(i, TieRule::kLowestIndex))),
              expected["proof_sha256_lowest_index_ties"].get<std::string>());
    if (expected.contains("lowest_index_rule_same") && expected["lowest_index_rule_same"].get<bool>()) {
      EXPECT_EQ(Build(i, TieRule::kLowestIndex), Build(i, TieRule::kTorchCpu));
    }
  }
}

TEST_P(ToplocVectors, EqualValuesAreTakenAsThePeerTakesThem) {
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const Json& expected = vectors_["chunks"][i];
    const int kth = std::stoi(expected["kth_magnitude_hex"].get<std::string>(), nullptr, 16);
    const std::size_t first = chunks_[i].first_row * hidden_;
    std::vector<std::uint32_t> tied;
    std::size_t n_above = 0;
    for (const std::uint32_t index :
         LargestElements(Chunk(activations_, i), type_, static_cast<std::size_t>(topk_), TieRule::kTorchCpu)) {
      const int magnitude = activations_.bits[first + index] & 0x7FFF;
      n_above += magnitude > kth;
      if (magnitude == kth) tied.push_back(index);
    }
    EXPECT_EQ(n_above, expected["above"].get<std::size_t>());
    EXPECT_EQ(tied.size(), expected["tied_taken"].get<std::size_t>());
    if (expected.contains("tied_selected")) {
      EXPECT_EQ(tied, expected["tied_selected"].get<std::vector<std::uint32_t>>());
    }
  }
}

TEST_P(ToplocVectors, DistancesAreThoseOfThePeersCompiledVerifier) {
  for (const Json& verification : vectors_["verifications"]) {
    const Activations perturbed = Perturb(verification["perturbation"]);
    ASSERT_EQ(perturbed.Sha256(), verification["activations_sha256"].get<std::string>()) << verification["perturbation"];
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      const ToplocDistance distance =
          MeasureToplocProof(Build(i, TieRule::kTorchCpu), Chunk(perturbed, i), type_, topk_, TieRule::kTorchCpu);
      const Json& expected = verification["native"][i];
      EXPECT_EQ(distance.exponent_mismatches, expected[0].get<std::size_t>()) << verification["perturbation"];
      EXPECT_DOUBLE_EQ(distance.mantissa_mean, expected[2].get<double>());
      EXPECT_EQ(distance.mantissa_median, expected[3].get<double>());
    }
  }
}

// The verifier for lists has medians of another kind, and reduces no indices: it goes wrong where the modulus is below 65497.
TEST_P(ToplocVectors, DistancesAreThoseOfThePeersVerifierForListsWhereThatIsRight) {
  for (const Json& verification : vectors_["verifications"]) {
    const Activations perturbed = Perturb(verification["perturbation"]);
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      const ToplocProof proof = Build(i, TieRule::kTorchCpu);
      const ToplocDistance distance = MeasureToplocProof(proof, Chunk(perturbed, i), type_, topk_, TieRule::kTorchCpu);
      const Json& expected = verification["python_list"][i];
      if (proof.modulus == kFieldPrime) {
        EXPECT_EQ(distance.exponent_mismatches, expected[0].get<std::size_t>()) << verification["perturbation"];
        EXPECT_DOUBLE_EQ(distance.mantissa_mean, expected[1].get<double>());
      } else if (verification["perturbation"]["kind"] == "identity") {
        EXPECT_EQ(distance.exponent_mismatches, 0u);
        EXPECT_GT(expected[0].get<int>(), 0);
      }
    }
  }
}

TEST_P(ToplocVectors, AnotherTieRuleCostsWhatThePeerMeasures) {
  if (!vectors_.contains("exp_mismatches_of_lowest_index_proof_on_identical_activations")) return;
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const ToplocDistance distance =
        MeasureToplocProof(Build(i, TieRule::kLowestIndex), Chunk(activations_, i), type_, topk_, TieRule::kTorchCpu);
    EXPECT_EQ(distance.exponent_mismatches,
              vectors_["exp_mismatches_of_lowest_index_proof_on_identical_activations"][i].get<std::size_t>());
  }
}

INSTANTIATE_TEST_SUITE_P(Peer, ToplocVectors,
                         testing::Values("coarse-256-many-ties", "heavy-1536-topk-512", "heavy-1536-topk-8", "heavy-2048",
                                         "heavy-3584-prefill-300", "heavy-896-short-tail", "normal-3584-modulus-65496",
                                         "normal-512-fp16", "normal-512", "normal-5120-skip-prefill", "small-64", "special-256"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Toploc, ExamplesOfThePeerComeOutAsTheyDoThere) {
  const Json vectors = ReadPeerVectors("toploc/peer-examples.json");
  ASSERT_EQ(vectors["cases"].size(), 6u);
  for (const Json& example : vectors["cases"]) {
    const Activations activations{
        .bits = NumbersFromBase64<std::uint16_t>(example["activations_le_bf16_base64"].get<std::string>()),
        .type = StateType::kBF16};
    const auto hidden = example["hidden"].get<std::size_t>();
    const ToplocParameters parameters{.decode_batching_size = example["decode_batching_size"].get<int>(),
                                      .topk = example["topk"].get<int>(),
                                      .ties = TieRule::kTorchCpu};
    const auto n_prefill = example["prefill_tokens"].get<std::size_t>();
    const std::vector<ToplocProof> proofs = BuildToplocProofs(StatesOf(activations, hidden, n_prefill), parameters);
    std::vector<std::string> encoded;
    for (const ToplocProof& proof : proofs) encoded.push_back(ToplocProofBase64(proof));
    EXPECT_EQ(encoded, example["proofs_base64"].get<std::vector<std::string>>()) << example["name"];

    for (const Json& verification : example["verify"]) {
      // torch multiplies by a number in binary32 and rounds once.
      Activations scaled = activations;
      for (std::uint16_t& bits : scaled.bits) {
        const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
        bits = RoundTo(value * static_cast<float>(verification["activations_times"].get<double>()), StateType::kBF16);
      }
      ASSERT_EQ(scaled.Sha256(), verification["perturbed_le_bf16_sha256"].get<std::string>());
      const std::vector<ToplocChunk> chunks =
          ToplocChunks(scaled.bits.size() / hidden, n_prefill, parameters.decode_batching_size);
      for (std::size_t i = 0; i < chunks.size(); ++i) {
        const ToplocDistance distance =
            MeasureToplocProof(proofs[i], scaled.bytes().subspan(2 * hidden * chunks[i].first_row, 2 * hidden * chunks[i].n_rows),
                               StateType::kBF16, parameters.topk, TieRule::kTorchCpu);
        const Json& expected = verification["python_list"][i];
        ASSERT_EQ(proofs[i].modulus, kFieldPrime);  // else that verifier goes wrong
        EXPECT_EQ(distance.exponent_mismatches, expected[0].get<std::size_t>()) << example["name"];
        EXPECT_DOUBLE_EQ(distance.mantissa_mean, expected[1].get<double>());
      }
    }
  }
}

TEST(InjectiveModulus, IsThePeers) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  for (const Json& search : vectors["modulus_search"])
    EXPECT_EQ(InjectiveModulus(search["x"].get<std::vector<std::uint32_t>>()), search["modulus"].get<int>());
}

// 65498 numbers have at most 65497 residues.
TEST(InjectiveModulus, ThereMayBeNone) {
  std::vector<std::uint32_t> indices(65498);
  std::iota(indices.begin(), indices.end(), 0u);
  ExpectError([&] { InjectiveModulus(indices); }, ErrorKind::kInput,
              "no modulus tells the indices of 65498 values apart: choose a smaller topk");
  indices.pop_back();
  EXPECT_EQ(InjectiveModulus(indices), 65497);
}

TEST(ToplocProof, PointsBecomeThePeersProofs) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  for (const Json& points : vectors["from_points"]) {
    const auto indices = points["x"].get<std::vector<std::uint32_t>>();
    const auto values = points["y"].get<std::vector<std::uint16_t>>();
    ToplocProof proof{.modulus = InjectiveModulus(indices), .coefficients = {}};
    std::vector<std::uint16_t> residues;
    for (const std::uint32_t index : indices) residues.push_back(static_cast<std::uint16_t>(index % proof.modulus));
    proof.coefficients = Interpolate(residues, values);
    EXPECT_EQ(proof.modulus, points["modulus"].get<int>());
    EXPECT_EQ(proof.coefficients, points["coefficients"].get<std::vector<std::uint16_t>>());
    EXPECT_EQ(ToplocProofBase64(proof), points["base64"].get<std::string>());
    EXPECT_EQ(Evaluate(proof.coefficients, residues), points["evaluated_at_x_mod_modulus"].get<std::vector<std::uint16_t>>());
  }
}

// Chunks

TEST(ToplocChunks, PrefillIsOneChunkAndTheLastGroupMayBeShort) {
  EXPECT_THAT(ToplocChunks(75, 5, 32),
              ElementsAre(ToplocChunk{0, 5}, ToplocChunk{5, 32}, ToplocChunk{37, 32}, ToplocChunk{69, 6}));
}

TEST(ToplocChunks, WithoutPrefillGroupsBeginWithTheFirstRow) {
  EXPECT_THAT(ToplocChunks(64, 0, 32), ElementsAre(ToplocChunk{0, 32}, ToplocChunk{32, 32}));
  EXPECT_THAT(ToplocChunks(3, 0, 1), SizeIs(3));
}

TEST(ToplocChunks, PrefillAloneIsOneChunkAndNothingIsNone) {
  EXPECT_THAT(ToplocChunks(5, 5, 2), ElementsAre(ToplocChunk{0, 5}));
  EXPECT_THAT(ToplocChunks(0, 0, 2), IsEmpty());
}

// Encoding

TEST(ToplocProofBytes, AreThePeers) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  for (const Json& encoded : vectors["encode"]) {
    const ToplocProof proof{.modulus = encoded["modulus"].get<std::uint16_t>(),
                            .coefficients = encoded["coefficients"].get<std::vector<std::uint16_t>>()};
    EXPECT_EQ(ToHex(ToplocProofBytes(proof)), encoded["bytes_hex"].get<std::string>());
    EXPECT_EQ(ToplocProofBase64(proof), encoded["base64"].get<std::string>());
    if (!proof.coefficients.empty()) {
      EXPECT_EQ(ToplocProofFromBase64(encoded["base64"].get<std::string>(), "proof"), proof);
    }
  }
}

TEST(ToplocProofBytes, NullProofsOfThePeerAreRead) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  for (const Json& null : vectors["null_proof"]) {
    const ToplocProof proof = ToplocProofFromBase64(null["base64"].get<std::string>(), "proof");
    EXPECT_EQ(proof.modulus, 0);
    EXPECT_EQ(proof.coefficients, std::vector<std::uint16_t>(null["topk"].get<std::size_t>()));
  }
}

// The peer also reads a modulus that is none and a proof without coefficients.
TEST(ToplocProofFromBase64, ReadsWhatThePeerReadsIfItIsAProof) {
  const Json vectors = ReadPeerVectors("toploc/codec.json");
  int n_read = 0;
  for (const Json& decoded : vectors["decode"]) {
    const auto base64 = decoded["base64"].get<std::string>();
    const ToplocProof expected{.modulus = decoded["modulus"].get<std::uint16_t>(),
                               .coefficients = decoded["coefficients"].get<std::vector<std::uint16_t>>()};
    if (expected.modulus <= kFieldPrime && !expected.coefficients.empty()) {
      EXPECT_EQ(ToplocProofFromBase64(base64, "p"), expected);
      ++n_read;
    } else {
      ExpectError([&] { ToplocProofFromBase64(base64, "p"); }, ErrorKind::kInput, HasSubstr("p: "));
    }
  }
  EXPECT_EQ(n_read, 2);
}

TEST(ToplocProofFromBytes, RefusesWhatThePeerReadsTwoWays) {
  const auto read = [](std::string_view bytes) { ToplocProofFromBytes(BytesOf(bytes), "p"); };
  ExpectError([&] { read({"\xff\xd9\0\1\0", 5}); }, ErrorKind::kInput, HasSubstr("p: 5 bytes make no proof"));
  ExpectError([&] { read("\xff\xd9"); }, ErrorKind::kInput, HasSubstr("p: 2 bytes make no proof"));
  ExpectError([&] { read(""); }, ErrorKind::kInput, HasSubstr("p: 0 bytes make no proof"));
  ExpectError([&] { read("\xff\xda\1\1"); }, ErrorKind::kInput, "p: modulus 65498 is above 65497");
  ExpectError([&] { read("\xff\xd9\1\1\xff\xd9"); }, ErrorKind::kInput, "p: coefficient 1 is 65497; residues end at 65496");
}

TEST(ToplocProofFromBytes, TakesAsManyCoefficientsAsThereAreResidues) {
  std::vector<std::byte> bytes(2 + 2 * 65497);
  EXPECT_THAT(ToplocProofFromBytes(bytes, "p").coefficients, SizeIs(65497));
  bytes.resize(bytes.size() + 2);
  ExpectError([&] { ToplocProofFromBytes(bytes, "p"); }, ErrorKind::kInput, HasSubstr("p: 130998 bytes make no proof"));
}

TEST(ToplocProofFromBase64, RefusesEveryOtherSpellingOfAProof) {
  EXPECT_THAT(ToplocProofFromBase64("/9kAAQACAAMABA==", "p").coefficients, ElementsAre(1, 2, 3, 4));
  for (const std::string text :
       {"/9kAAQACAAMABA", "/9kAAQACAAMABA=", "/9kAAQACAAMABB==", " /9kAAQACAAMABA==", "/9kAAQACAAMABA==\r", "/9kAAQACAAMABA==\n",
        "_9kAAQACAAMABA==", "/9kAAQ*CAAMABA==", "/9kA\nAQACAAMABA==", "/9kAAQACAAMABA====", "====", "=",
        "/9kAAQ==AAMABA==", "\xff\xfe\xfd\xfc"}) {
    ExpectError([&] { ToplocProofFromBase64(text, "p"); }, ErrorKind::kInput, HasSubstr("p: "));
  }
  ExpectError([] { ToplocProofFromBase64("", "p"); }, ErrorKind::kInput, HasSubstr("p: 0 bytes make no proof"));
}

TEST(ToplocProofText, LinesAndJsonAreReadBack) {
  const std::vector<ToplocProof> proofs = {{65497, {1, 2}}, {65496, {65496}}};
  EXPECT_EQ(ToplocProofLines(proofs), "/9kAAQAC\n/9j/2A==\n");
  EXPECT_EQ(ToplocProofJson(proofs), R"(["/9kAAQAC","/9j/2A=="])");
  EXPECT_EQ(ParseToplocProofs(ToplocProofLines(proofs), "x"), proofs);
  EXPECT_EQ(ParseToplocProofs(ToplocProofJson(proofs), "x"), proofs);
  EXPECT_EQ(ParseToplocProofs("/9kAAQAC\n/9j/2A==", "x"), proofs);
  EXPECT_THAT(ParseToplocProofs("", "x"), IsEmpty());
  EXPECT_THAT(ParseToplocProofs("[]", "x"), IsEmpty());
}

TEST(ToplocProofText, ErrorsNameTheLineOrElement) {
  ExpectError([] { ParseToplocProofs("/9kAAQAC\nnothing\n", "p"); }, ErrorKind::kInput, HasSubstr("p: line 2: "));
  ExpectError([] { ParseToplocProofs("/9kAAQAC\n\n/9kAAQAC\n", "p"); }, ErrorKind::kInput,
              HasSubstr("p: line 2: 0 bytes make no proof"));
  ExpectError([] { ParseToplocProofs("/9kAAQAC\r\n", "p"); }, ErrorKind::kInput, HasSubstr("p: line 1: "));
  ExpectError([] { ParseToplocProofs(R"(["/9kAAQAC", 7])", "p"); }, ErrorKind::kInput, "p: element 1 is no string");
  ExpectError([] { ParseToplocProofs(R"(["/9kAAQA"])", "p"); }, ErrorKind::kInput, HasSubstr("p: element 0: "));
  ExpectError([] { ParseToplocProofs(R"(["/9kAAQAC")", "p"); }, ErrorKind::kInput, HasSubstr("p: is not JSON"));
  ExpectError([] { ParseToplocProofs(R"({"a": 1})", "p"); }, ErrorKind::kInput, HasSubstr("p: line 1: "));
}

// Measuring

// Exponents of 1.0 and 2.0; mantissas off by 1, 2, 3 and 100.
TEST(MeasureToplocProof, DistanceIsThatByHand) {
  const std::vector<std::uint16_t> own = {0x3F80, 0x3F81, 0x3F82, 0x3F83, 0x4000};
  const std::vector<std::uint16_t> claimed = {0xBF81, 0x3F83, 0x3FE6, 0x3F80, 0x3F80};
  const ToplocProof proof{.modulus = 65497, .coefficients = Interpolate(std::vector<std::uint16_t>{0, 1, 2, 3, 4}, claimed)};
  const ToplocDistance distance =
      MeasureToplocProof(proof, std::as_bytes(std::span(own)), StateType::kBF16, 5, TieRule::kLowestIndex);
  EXPECT_EQ(distance.exponent_mismatches, 1u);
  EXPECT_EQ(distance.mantissa_mean, 26.5);
  EXPECT_EQ(distance.mantissa_median, 3);
}

// 1 + 5/1024 against 1 + 1/1024: four units of 2^-10 are half a unit of 2^-7. 1 against 2 differs in the exponent.
TEST(MeasureToplocProof, MantissasOfF16CountInTheSameUnits) {
  const std::vector<std::uint16_t> own = {0x3C01, 0x4000};
  const ToplocProof proof{
      .modulus = 65497,
      .coefficients = Interpolate(std::vector<std::uint16_t>{0, 1}, std::vector<std::uint16_t>{0x3C05, 0x3C00})};
  const ToplocDistance distance =
      MeasureToplocProof(proof, std::as_bytes(std::span(own)), StateType::kF16, 2, TieRule::kLowestIndex);
  EXPECT_EQ(distance.exponent_mismatches, 1u);
  EXPECT_EQ(distance.mantissa_mean, 0.5);
  EXPECT_EQ(distance.mantissa_median, 0.5);
}

TEST(MeasureToplocProof, NullProofsHaveNoModulusToTakeIndicesBy) {
  const Activations states = Gaussian(1);
  const ToplocProof null{.modulus = 0, .coefficients = std::vector<std::uint16_t>(8)};
  ExpectError([&] { MeasureToplocProof(null, states.bytes(), StateType::kBF16, 8, TieRule::kLowestIndex); }, ErrorKind::kInput,
              "a null proof has no values to compare");
}

TEST(MeasureToplocProof, WithoutEqualExponentsErrorsAreThePackagesLargest) {
  const Activations states = Gaussian(1);
  const ToplocProof zero{.modulus = 65497, .coefficients = {0}};
  const ToplocDistance distance = MeasureToplocProof(zero, states.bytes(), StateType::kBF16, 8, TieRule::kLowestIndex);
  EXPECT_EQ(distance.exponent_mismatches, 8u);
  EXPECT_EQ(distance.mantissa_mean, 0x1p64);
  EXPECT_EQ(distance.mantissa_median, 0x1p64);
}

// Refusals of building

TEST(BuildToplocProofs, RefusesWhatItCannotProve) {
  const Activations states = Gaussian(1);
  const std::vector<float> wide(1024);
  const auto build = [](const ToplocStates& s, int batching, int topk) {
    BuildToplocProofs(s, {.decode_batching_size = batching, .topk = topk});
  };
  ExpectError([&] { build({.rows = std::as_bytes(std::span(wide)), .type = StateType::kF32, .width = 1024}, 32, 8); },
              ErrorKind::kInput, HasSubstr("--states bf16"));
  ExpectError([&] { build(StatesOf(states), 32, 513); }, ErrorKind::kInput,
              HasSubstr("rows 0 to 0: a chunk of 512 values has not the 513"));
  ExpectError([&] { build(StatesOf(states), 32, 0); }, ErrorKind::kUsage, HasSubstr("topk 0"));
  ExpectError([&] { build(StatesOf(states), 32, 65498); }, ErrorKind::kUsage, HasSubstr("topk 65498"));
  ExpectError([&] { build(StatesOf(states), 0, 8); }, ErrorKind::kUsage, HasSubstr("batches of 0 rows"));
  ExpectError([&] { build(StatesOf(states, kWidth, 2), 32, 8); }, ErrorKind::kUsage, HasSubstr("a prefill of 2 rows"));
  ExpectError([&] { build(StatesOf({}), 32, 8); }, ErrorKind::kInput, HasSubstr("no states"));
}

TEST(BuildToplocProofs, RefusesStatesThatAreNotFinite) {
  for (const std::uint16_t bits : std::vector<std::uint16_t>{0x7F80, 0xFF80, 0x7FC0}) {
    Activations states = Gaussian(3);
    states.bits[2 * kWidth + 5] = bits;
    ExpectError([&] { BuildToplocProofs(StatesOf(states), {.decode_batching_size = 2, .topk = 8}); }, ErrorKind::kInput,
                "rows 2 to 2: hold values that are not finite");
  }
}

// Judging

class JudgeToploc : public testing::Test {
 protected:
  JudgeToploc() : states_(Gaussian(70)), proofs_(BuildToplocProofs(StatesOf(states_), parameters_)) {}

  ToplocResult Judge(const std::vector<ToplocProof>& proofs) const { return Judge(proofs, states_); }
  ToplocResult Judge(const std::vector<ToplocProof>& proofs, const Activations& states) const {
    return JudgeToplocProofs(proofs, StatesOf(states), parameters_, ToplocThresholdsFromName("paper", parameters_.topk));
  }

  ToplocParameters parameters_;
  Activations states_;
  std::vector<ToplocProof> proofs_;
};

TEST_F(JudgeToploc, AcceptsProofsOfTheSameStates) {
  const ToplocResult result = Judge(proofs_);
  EXPECT_TRUE(result.accepted);
  EXPECT_EQ(result.reason, "all 3 chunks pass");
  ASSERT_THAT(result.chunks, SizeIs(3));
  for (const ToplocChunkResult& chunk : result.chunks) {
    EXPECT_EQ(chunk.distance->exponent_mismatches, 0u);
    EXPECT_EQ(chunk.distance->mantissa_mean, 0);
    EXPECT_EQ(chunk.failure, "");
  }
  EXPECT_EQ(result.chunks[2].chunk, (ToplocChunk{64, 6}));
}

// One unit in the last place in a quarter of the elements: another device.
TEST_F(JudgeToploc, AcceptsProofsOfAnotherHonestDevice) {
  Activations verifier = states_;
  for (std::size_t i = 0; i < verifier.bits.size(); ++i) verifier.bits[i] ^= SplitMix(1, i + 1) % 4 == 0;
  const ToplocResult result = Judge(proofs_, verifier);
  EXPECT_TRUE(result.accepted) << result.reason;
  EXPECT_GT(result.chunks[0].distance->mantissa_mean, 0.1);
  EXPECT_LT(result.chunks[0].distance->mantissa_mean, 0.5);
  EXPECT_LT(result.chunks[0].distance->exponent_mismatches, 20u);
}

TEST_F(JudgeToploc, RejectsProofsOfOtherStates) {
  const ToplocResult result = Judge(BuildToplocProofs(StatesOf(Gaussian(70, 8)), parameters_));
  EXPECT_FALSE(result.accepted);
  EXPECT_THAT(result.reason,
              AllOf(HasSubstr("3 of 3 chunks fail, the first being rows 0 to 31: "), HasSubstr("exponents differ (> 38)")));
  EXPECT_GT(result.chunks[0].distance->exponent_mismatches, 100u);
}

TEST_F(JudgeToploc, OneChunkThatFailsIsEnough) {
  const ToplocResult result = Judge({proofs_[0], proofs_[0], proofs_[2]});
  EXPECT_FALSE(result.accepted);
  EXPECT_THAT(result.reason, HasSubstr("1 of 3 chunks fail, the first being rows 32 to 63: "));
  EXPECT_EQ(result.chunks[0].failure, "");
  EXPECT_NE(result.chunks[1].failure, "");
  EXPECT_EQ(result.chunks[2].failure, "");
}

TEST_F(JudgeToploc, RejectsAnotherNumberOfProofs) {
  EXPECT_EQ(Judge({}).reason, "there are 0 proofs for 3 chunks of 32 rows");
  EXPECT_FALSE(Judge({}).accepted);
  const ToplocResult fewer = Judge({proofs_[0], proofs_[1]});
  EXPECT_FALSE(fewer.accepted);
  EXPECT_EQ(fewer.chunks[2].failure, "there is no proof");
  EXPECT_FALSE(fewer.chunks[2].distance);
  const ToplocResult more = Judge({proofs_[0], proofs_[1], proofs_[2], proofs_[2]});
  EXPECT_FALSE(more.accepted);
  EXPECT_EQ(more.reason, "there are 4 proofs for 3 chunks of 32 rows");
}

TEST_F(JudgeToploc, RejectsNullProofs) {
  const ToplocResult result = Judge({proofs_[0], {.modulus = 0, .coefficients = std::vector<std::uint16_t>(128)}, proofs_[2]});
  EXPECT_FALSE(result.accepted);
  EXPECT_THAT(result.reason, HasSubstr("rows 32 to 63: it is a null proof"));
  EXPECT_FALSE(result.chunks[1].distance);
}

TEST_F(JudgeToploc, RejectsAnotherNumberOfCoefficients) {
  std::vector<ToplocProof> proofs = proofs_;
  proofs[0].coefficients.pop_back();
  EXPECT_THAT(Judge(proofs).reason, HasSubstr("it has 127 coefficients, not 128"));
  proofs[0].coefficients.resize(129);
  EXPECT_THAT(Judge(proofs).reason, HasSubstr("it has 129 coefficients, not 128"));
  EXPECT_FALSE(Judge(proofs).accepted);
}

// The 128 largest of 163,840 Gaussian values lie between 3.2 and 4.6, most of them below 4: no model was run.
TEST_F(JudgeToploc, RejectsAConstantThatPassesTheThresholds) {
  const std::size_t width = 5120;
  const Activations states = GenerateActivations("normal", 7, 32, width, StateType::kBF16);
  ToplocProof constant{.modulus = 65497, .coefficients = std::vector<std::uint16_t>(128)};
  constant.coefficients[0] = 0x4058;  // 3.375
  const auto judge = [&] {
    return JudgeToplocProofs(std::span(&constant, 1), StatesOf(states, width), parameters_,
                             ToplocThresholdsFromName("paper", 128))
        .chunks[0];
  };
  const ToplocChunkResult result = judge();
  EXPECT_THAT(result.failure, HasSubstr("it is a constant"));
  EXPECT_LE(result.distance->exponent_mismatches, 20u);
  EXPECT_LE(result.distance->mantissa_mean, 10);
  EXPECT_LE(result.distance->mantissa_median, 8);
  constant.coefficients[124] = 1;
  EXPECT_THAT(judge().failure, HasSubstr("its 3 highest coefficients are zero"));
  constant.coefficients[125] = 1;
  EXPECT_THAT(judge().failure, HasSubstr("exponents differ"));
}

TEST_F(JudgeToploc, AcceptsAConstantWhereAllValuesAreTheSame) {
  const Activations states{.bits = std::vector<std::uint16_t>(70 * kWidth, 0x4000), .type = StateType::kBF16};
  const std::vector<ToplocProof> proofs = BuildToplocProofs(StatesOf(states), parameters_);
  EXPECT_EQ(proofs[0].coefficients[0], 0x4000);
  EXPECT_EQ(proofs[0].coefficients[1], 0);
  EXPECT_TRUE(Judge(proofs, states).accepted);
}

// The eight largest values of a chunk may well be one number, as those of one large channel.
TEST_F(JudgeToploc, ConstantsOfFewValuesAreMeasured) {
  parameters_.topk = 8;
  const Activations states{.bits = std::vector<std::uint16_t>(32 * kWidth, 0x4000), .type = StateType::kBF16};
  Activations others = states;
  for (std::uint16_t& bits : others.bits) bits = 0x4001;
  others.bits[5] = 0x4002;
  const ToplocResult result = Judge(BuildToplocProofs(StatesOf(states), parameters_), others);
  EXPECT_TRUE(result.accepted) << result.reason;
  EXPECT_EQ(result.chunks[0].distance->mantissa_mean, (7 * 1 + 2) / 8.0);
}

TEST_F(JudgeToploc, RejectsAModulusThatTheSizeOfTheChunkRulesOut) {
  std::vector<ToplocProof> proofs = proofs_;
  proofs[0].modulus = 65496;
  EXPECT_THAT(Judge(proofs).reason, HasSubstr("its modulus is 65496; that of 16384 values is always 65497"));
}

TEST_F(JudgeToploc, RejectsAModulusThatMapsIndicesToFewPlaces) {
  parameters_.decode_batching_size = 200;
  const Activations states = Gaussian(200);
  std::vector<ToplocProof> proofs = BuildToplocProofs(StatesOf(states), parameters_);
  EXPECT_TRUE(Judge(proofs, states).accepted);
  proofs[0].modulus = 1;
  EXPECT_THAT(Judge(proofs, states).reason, HasSubstr("its modulus 1 tells only 1 of the 128 indices apart"));
  proofs[0].modulus = 100;
  EXPECT_THAT(Judge(proofs, states).reason, HasSubstr("its modulus 100 tells only"));
}

TEST_F(JudgeToploc, RejectsWhereTheVerifiersStatesAreNotFinite) {
  Activations verifier = states_;
  verifier.bits[40 * kWidth] = 0x7FC0;
  EXPECT_THAT(Judge(proofs_, verifier).reason, HasSubstr("rows 32 to 63: the verifier's own states are not finite"));
}

TEST_F(JudgeToploc, NamesEveryCriterionThatFails) {
  Activations verifier = states_;
  for (std::uint16_t& bits : verifier.bits)
    bits = RoundTo(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16) * 1.15f, StateType::kBF16);
  const ToplocResult result = Judge(proofs_, verifier);
  EXPECT_THAT(result.chunks[0].failure,
              AllOf(HasSubstr("mean mantissa error "), HasSubstr(" > 10 and median mantissa error "), HasSubstr(" > 8")));
}

TEST(ToplocThresholds, AreThoseInUse) {
  const ToplocThresholds paper = ToplocThresholdsFromName("paper", 128);
  EXPECT_EQ(paper.exponent_mismatches, 38);
  EXPECT_EQ(paper.mantissa_mean, 10);
  EXPECT_EQ(paper.mantissa_median, 8);
  const ToplocThresholds deployed = ToplocThresholdsFromName("deployed", 128);
  EXPECT_EQ(deployed.exponent_mismatches, 60);
  EXPECT_EQ(deployed.mantissa_mean, 40);
  EXPECT_EQ(deployed.mantissa_median, 40);
}

// 38 * 8 / 128 = 2.4 and 38 * 256 / 128 = 76.
TEST(ToplocThresholds, NumberOfMismatchesGoesWithTopk) {
  EXPECT_EQ(ToplocThresholdsFromName("paper", 8).exponent_mismatches, 2);
  EXPECT_EQ(ToplocThresholdsFromName("paper", 256).exponent_mismatches, 76);
  EXPECT_EQ(ToplocThresholdsFromName("paper", 1).exponent_mismatches, 0);
}

TEST(ToplocThresholds, ThoseThatLetEverythingPassAreRefused) {
  const Activations states = Gaussian(1);
  const auto judge = [&](const ToplocThresholds& thresholds) {
    JudgeToplocProofs({}, StatesOf(states), {.decode_batching_size = 32, .topk = 8}, thresholds);
  };
  ExpectError([&] { judge({8, 10, 10}); }, ErrorKind::kUsage, HasSubstr("8 exponent mismatches of 8 values"));
  ExpectError([&] { judge({-1, 10, 10}); }, ErrorKind::kUsage, HasSubstr("-1 exponent mismatches"));
  ExpectError([&] { judge({1, std::nan(""), 10}); }, ErrorKind::kUsage, HasSubstr("nan"));
  ExpectError([&] { judge({1, 10, -0.5}); }, ErrorKind::kUsage, HasSubstr("-0.5"));
  ExpectError([&] { judge({1, HUGE_VAL, 10}); }, ErrorKind::kUsage, HasSubstr("inf"));
  ExpectError([] { ToplocThresholdsFromName("lenient", 128); }, ErrorKind::kUsage, HasSubstr("paper, deployed"));
}

TEST(JudgeToplocProofs, RefusesAnImpossibleTopkBeforeItsThresholds) {
  const Activations states = Gaussian(1);
  ExpectError([&] { JudgeToplocProofs({}, StatesOf(states), {.topk = 0}, ToplocThresholdsFromName("paper", 0)); },
              ErrorKind::kUsage, "topk 0 makes no sense: choose 1 to 65497");
}

}  // namespace
}  // namespace verillm
