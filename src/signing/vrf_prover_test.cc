#include "signing/vrf_prover.h"

#include <set>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"
#include "receipt/vrf_test_support.h"
#include "signing/secret_key.h"

namespace verillm {
namespace {

using testing::StartsWith;

TEST(ProveVrf, MakesTheProofsOfTheStandardsExamples) {
  for (const VrfExample& example : VrfExamples()) {
    EXPECT_EQ(ToHex(ProveVrf(ArrayOfHex<32>(example.sk), BytesOfHex(example.alpha))), example.pi);
  }
}

TEST(ProveVrf, ProvesForAnyKeyAndInput) {
  std::set<std::string> outputs;
  for (int i = 0; i < 20; ++i) {
    const SecretKey key = SecretKey::Generate();
    for (const std::string& alpha : {std::string(), std::string(1, '\0'), std::string(1 << 16, 'x')}) {
      const VrfProof proof = ProveVrf(key.seed(), BytesOf(alpha));
      EXPECT_EQ(ProveVrf(key.seed(), BytesOf(alpha)), proof);
      outputs.insert(ToHex(VerifyVrf(key.public_key().key, BytesOf(alpha), proof)));
    }
  }
  EXPECT_EQ(outputs.size(), 60u);
}

TEST(ProveVrf, ProvesNothingUnderAnotherKeyOrForAnotherInput) {
  const SecretKey key = SecretKey::Generate();
  const SecretKey other = SecretKey::Generate();
  const VrfProof proof = ProveVrf(key.seed(), BytesOf("input"));
  ExpectError([&] { VerifyVrf(other.public_key().key, BytesOf("input"), proof); }, ErrorKind::kInput,
              StartsWith("VRF proof: is not that of this public key for this input"));
  ExpectError([&] { VerifyVrf(key.public_key().key, BytesOf("inputs"), proof); }, ErrorKind::kInput,
              StartsWith("VRF proof: is not that of this public key for this input"));
}

TEST(ProveVrf, MakesProofsThatNoChangedBitLeavesValid) {
  const SecretKey key = SecretKey::Generate();
  const VrfProof proof = ProveVrf(key.seed(), BytesOf("input"));
  for (std::size_t bit = 0; bit < 8 * proof.size(); ++bit) {
    VrfProof changed = proof;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    ExpectError([&] { VerifyVrf(key.public_key().key, BytesOf("input"), changed); }, ErrorKind::kInput,
                StartsWith("VRF proof: "));
  }
}

// The beacon's bits are what positions are drawn from: of 200 outputs each of the 512 is 1 in 100 on average, deviation 7.07.
TEST(ProveVrf, GivesOutputsWithoutABias) {
  const SecretKey key = SecretKey::FromSeed(ArrayOfHex<32>(VrfExamples()[0].sk));
  std::vector<int> ones(512);
  for (int i = 0; i < 200; ++i) {
    const std::string alpha = std::to_string(i);
    const VrfOutput output = VerifyVrf(key.public_key().key, BytesOf(alpha), ProveVrf(key.seed(), BytesOf(alpha)));
    for (std::size_t bit = 0; bit < ones.size(); ++bit) {
      ones[bit] += (output[bit / 8] >> (bit % 8) & std::byte{1}) == std::byte{1};
    }
  }
  double chi_squared = 0;  // expected 512, deviation 32
  for (const int count : ones) {
    EXPECT_GT(count, 100 - 5 * 7.07);
    EXPECT_LT(count, 100 + 5 * 7.07);
    chi_squared += (count - 100.0) * (count - 100.0) / 50;
  }
  EXPECT_GT(chi_squared, 384);
  EXPECT_LT(chi_squared, 640);
}

}  // namespace
}  // namespace verillm
