#include "receipt/vrf.h"

#include <string>
#include <utility>
#include <vector>

#include "base/test_support.h"
#include "receipt/sodium.h"
#include "receipt/vrf_test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kNotThatOfKeyAndInput =
    "VRF proof: is not that of this public key for this input; one of the three was changed";

EdwardsScalar Reduced(std::string_view hex) {
  RequireSodium();
  EdwardsScalar reduced;
  crypto_core_ed25519_scalar_reduce(Unsigned(reduced), Unsigned(ArrayOfHex<64>(hex)));
  return reduced;
}

std::string Verified(std::string_view public_key, std::string_view alpha, std::string_view proof) {
  return ToHex(VerifyVrf(ArrayOfHex<32>(public_key), BytesOfHex(alpha), BytesOfHex(proof)));
}

TEST(VerifyVrf, GivesTheOutputOfTheStandardsExamples) {
  for (const VrfExample& example : VrfExamples()) EXPECT_EQ(Verified(example.pk, example.alpha, example.pi), example.beta);
}

TEST(VrfInputPoint, IsThatOfTheStandardsExamples) {
  for (const VrfExample& example : VrfExamples()) {
    EXPECT_EQ(ToHex(VrfInputPoint(ArrayOfHex<32>(example.pk), BytesOfHex(example.alpha))), example.h);
  }
}

TEST(VrfChallenge, IsOfThePointsOfTheStandardsExamples) {
  for (const VrfExample& example : VrfExamples()) {
    const EdwardsPoint input = ArrayOfHex<32>(example.h);
    const EdwardsScalar nonce = Reduced(example.k);
    const EdwardsPoint gamma = Times(ArrayOfHex<32>(example.x), input);
    const EdwardsPoint u = Times(nonce, kBasePoint);
    const EdwardsPoint v = Times(nonce, input);
    EXPECT_EQ(ToHex(gamma), example.pi.substr(0, 64));
    EXPECT_EQ(ToHex(u), example.u);
    EXPECT_EQ(ToHex(v), example.v);
    EXPECT_EQ(ToHex(VrfChallenge(ArrayOfHex<32>(example.pk), input, gamma, u, v)),
              example.pi.substr(64, 32) + std::string(32, '0'));
  }
}

TEST(VerifyVrf, RefusesEveryChangedBitOfAProof) {
  const VrfExample example = VrfExamples()[2];
  const auto public_key = ArrayOfHex<32>(example.pk);
  const auto alpha = BytesOfHex(example.alpha);
  for (std::size_t bit = 0; bit < 8 * sizeof(VrfProof); ++bit) {
    auto proof = ArrayOfHex<80>(example.pi);
    proof[bit / 8] ^= std::byte{1} << (bit % 8);
    ExpectError([&] { VerifyVrf(public_key, alpha, proof); }, ErrorKind::kInput, StartsWith("VRF proof: "));
  }
}

TEST(VerifyVrf, RefusesEveryChangedBitOfKeyAndInput) {
  const VrfExample example = VrfExamples()[2];
  const auto proof = ArrayOfHex<80>(example.pi);
  for (std::size_t bit = 0; bit < 256; ++bit) {
    auto public_key = ArrayOfHex<32>(example.pk);
    public_key[bit / 8] ^= std::byte{1} << (bit % 8);
    ExpectError([&] { VerifyVrf(public_key, BytesOfHex(example.alpha), proof); }, ErrorKind::kInput, StartsWith("VRF p"));
  }
  for (const std::string alpha : {"", "af", "82", "82af", "af83", "af8200", "00af82"}) {
    ExpectError([&] { Verified(example.pk, alpha, example.pi); }, ErrorKind::kInput, kNotThatOfKeyAndInput);
  }
}

TEST(VerifyVrf, RefusesOtherLengths) {
  const VrfExample example = VrfExamples()[0];
  for (const std::string& proof : {std::string(), example.pi.substr(2), example.pi + "00"}) {
    ExpectError([&] { Verified(example.pk, example.alpha, proof); }, ErrorKind::kInput,
                "VRF proof: has " + std::to_string(proof.size() / 2) + " bytes, where one has 80");
  }
}

TEST(VerifyVrf, RefusesAGammaThatIsNoPoint) {
  const VrfExample example = VrfExamples()[0];
  for (const std::string gamma : {"0200000000000000000000000000000000000000000000000000000000000000",
                                  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                  "0100000000000000000000000000000000000000000000000000000000000080"}) {
    ExpectError([&] { Verified(example.pk, example.alpha, gamma + example.pi.substr(64)); }, ErrorKind::kInput,
                "VRF proof: Gamma, bytes 0 to 31, is no point of edwards25519");
  }
}

// With s + q the equations hold as well.
TEST(VerifyVrf, RefusesASecondFormOfS) {
  constexpr std::array<unsigned, 32> kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                               0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                               0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  for (const VrfExample& example : VrfExamples()) {
    auto proof = ArrayOfHex<80>(example.pi);
    unsigned carry = 0;
    for (std::size_t i = 0; i < kOrder.size(); ++i) {
      carry += std::to_integer<unsigned>(proof[48 + i]) + kOrder[i];
      proof[48 + i] = static_cast<std::byte>(carry & 0xff);
      carry >>= 8;
    }
    ExpectError([&] { VerifyVrf(ArrayOfHex<32>(example.pk), BytesOfHex(example.alpha), proof); }, ErrorKind::kInput,
                "VRF proof: s, bytes 48 to 79, is not below the order of the base point");
  }
}

// Anybody could make the equations hold: with the neutral element as key, for every Gamma of small order and any s.
TEST(VerifyVrf, RefusesKeysOfSmallOrder) {
  const VrfExample example = VrfExamples()[0];
  for (const std::string public_key : {
           "0100000000000000000000000000000000000000000000000000000000000000",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0000000000000000000000000000000000000000000000000000000000000080",
           "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
           "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
       }) {
    ExpectError([&] { Verified(public_key, example.alpha, example.pi); }, ErrorKind::kInput,
                "VRF public key: is of small order, so that everybody has its secret");
  }
}

TEST(VerifyVrf, RefusesKeysThatAreNoPoints) {
  const VrfExample example = VrfExamples()[0];
  for (const std::string public_key : {"0200000000000000000000000000000000000000000000000000000000000000",
                                       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}) {
    ExpectError([&] { Verified(public_key, example.alpha, example.pi); }, ErrorKind::kInput,
                "VRF public key: is no point of edwards25519");
  }
}

TEST(VerifyVrf, RefusesZerosAndKnowsNoSpecialCase) {
  const VrfExample example = VrfExamples()[0];
  const std::string zeros(64, '0');
  const std::string neutral = "01" + std::string(62, '0');
  for (const std::string& gamma : {zeros, neutral, example.pi.substr(0, 64)}) {
    for (const std::string& rest :
         {std::string(96, '0'), example.pi.substr(64, 32) + zeros, std::string(32, '0') + example.pi.substr(96)}) {
      ExpectError([&] { Verified(example.pk, example.alpha, gamma + rest); }, ErrorKind::kInput, kNotThatOfKeyAndInput);
    }
  }
}

// Proofs that the owner of example 18's key could make by adding a point of order 8 to Gamma, computed independently: where c is
// 0 modulo 8, so that it falls out, and where c is 5 modulo 8 and V was chosen accordingly. The standard accepts them, so every
// verifier must; the output is the one that the key has.
TEST(VerifyVrf, GivesTheSameOutputForAGammaWithAPartOfSmallOrder) {
  const VrfExample example = VrfExamples()[2];
  const std::string gamma = "7988670e8c480d17894e1e39ba5343d2a5df8bb31f2a9447c479eceeb15f7763";
  EXPECT_EQ(Verified(example.pk, example.alpha,
                     gamma + "b0f531f7b45e9da57af732e98f2eca82947ff911dba6b8a4081af44beff69230"
                             "0019b5dc6127844e00cd3c47c8849702"),
            example.beta);
  EXPECT_EQ(Verified(example.pk, example.alpha,
                     gamma + "454aa21b9c8323c4f6cbbd53cfb29da6a94ff5c895eb1514501a69bdca725fea"
                             "afd951d6f5707d33921321a75fd1c205"),
            example.beta);
  ExpectError([&] { Verified(example.pk, example.alpha, gamma + example.pi.substr(64)); }, ErrorKind::kInput,
              kNotThatOfKeyAndInput);
}

// The same with the point of order 8 in the key.
TEST(VerifyVrf, AgreesWithTheStandardOnAKeyWithAPartOfSmallOrder) {
  const std::string public_key = "d1e06adf4e05e248e1e52beca14b6be4da0af01b41645d2849b407ec22f41dc7";
  const std::string gamma = "56dfc9607f942f80de0c14498a6ec079a419746b909da10b3ac7df13af4b0314";
  const std::string output =
      "954a912b514e808c070d2c583af5e57e08e763ea67b52e5d4a93cd8f1201b9e6"
      "d89ea2378891637f09eda9725d284cad46219741771186ffb511fa9063c60b88";
  EXPECT_EQ(Verified(public_key, "af82",
                     gamma + "c8eb33b6fa8a619bb0edc704b587d3d7046c4a2dc3e1afa17e72983903b38425"
                             "cc1f88db987b523337e720b928eb490d"),
            output);
  EXPECT_EQ(Verified(public_key, "af82",
                     gamma + "6df884f86a41b475d74b27438695c6b4c9b2ee55e0376e061d664d52b8efc08e"
                             "27ad03affb1a86f0cf314795bfe85a01"),
            output);
}

}  // namespace
}  // namespace verillm
