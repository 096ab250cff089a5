#include "signing/draw_beacon.h"

#include "base/test_support.h"
#include "receipt/receipt_test_support.h"
#include "receipt/vrf_test_support.h"

namespace verillm {
namespace {

using testing::SizeIs;
using testing::StartsWith;

// A challenge to `response` with a beacon that `key` has drawn.
Challenge DrawnBy(const SecretKey& key, const SmallResponse& response) {
  Challenge challenge;
  challenge.receipt = response.digest();
  challenge.beacon_time = "2026-01-31T12:00:01Z";
  challenge.n_positions = 4;
  DrawBeacon(challenge, key);
  return challenge;
}

std::vector<int> Positions(const Challenge& challenge, const SmallResponse& response) {
  return PositionsOf(challenge, response.receipt, response.digest());
}

TEST(DrawBeacon, ChallengesWithAProofThatIsAccepted) {
  const SmallResponse response;
  const SecretKey key = SecretKey::Generate();
  const Challenge challenge = ParseChallenge(ChallengeText(DrawnBy(key, response)));
  EXPECT_THAT(challenge.beacon, SizeIs(64));
  EXPECT_EQ(challenge.drawn->public_key, key.public_key().key);
  EXPECT_THAT(Positions(challenge, response), SizeIs(4));
}

TEST(DrawBeacon, LeavesTheVerifierNoChoice) {
  const SmallResponse response;
  const SmallResponse other(10, 1);
  const SecretKey key = SecretKey::Generate();
  EXPECT_EQ(ChallengeText(DrawnBy(key, response)), ChallengeText(DrawnBy(key, response)));
  EXPECT_NE(DrawnBy(key, response).beacon, DrawnBy(key, other).beacon);
  EXPECT_NE(DrawnBy(key, response).beacon, DrawnBy(SecretKey::Generate(), response).beacon);
}

// The key of RFC 9381's example 16 over "verillm beacon v1" and 32 zeros, computed independently.
TEST(DrawBeacon, EqualsAnIndependentDerivation) {
  Challenge challenge;
  DrawBeacon(challenge, SecretKey::FromSeed(ArrayOfHex<32>(VrfExamples()[0].sk)));
  EXPECT_EQ(ToHex(challenge.drawn->proof),
            "80bf63ad0f6d50d01a837990e7850d2cf3e4965c4859b04e31d1fa97f1b0f14e"
            "8dedc77f7b708e07df1e3b6620d7e038109a4bb5933217d753997a5972ee398a"
            "876af505f52275f32cc8d62e6e27c10b");
  EXPECT_EQ(ToHex(challenge.beacon),
            "4a772699dd120acf275c4933a1025acee469614a11de493dae79de2bdfe824c2"
            "665b2c8f628e99c92512d22c5628d3cc75ad9dd7e696e14ada5fe6cd1f81496e");
}

TEST(PositionsOf, RefusesABeaconThatTheProofDoesNotGive) {
  const SmallResponse response;
  const Challenge drawn = DrawnBy(SecretKey::Generate(), response);
  for (std::size_t bit = 0; bit < 512; ++bit) {
    Challenge challenge = drawn;
    challenge.beacon[bit / 8] ^= std::byte{1} << (bit % 8);
    ExpectError([&] { Positions(challenge, response); }, ErrorKind::kInput,
                "challenge: the beacon is not what the verifier's key draws for this receipt");
  }
  Challenge shorter = drawn;
  shorter.beacon.pop_back();
  ExpectError([&] { Positions(shorter, response); }, ErrorKind::kInput, StartsWith("challenge: the beacon is not what"));
}

TEST(PositionsOf, RefusesTheDrawOfAnotherReceiptOrKey) {
  const SmallResponse response;
  const SmallResponse other(10, 1);
  const SecretKey key = SecretKey::Generate();
  Challenge of_other = DrawnBy(key, other);
  of_other.receipt = response.digest();
  ExpectError([&] { Positions(of_other, response); }, ErrorKind::kInput, StartsWith("VRF proof: is not that of this public key"));

  Challenge by_other = DrawnBy(key, response);
  by_other.drawn->public_key = SecretKey::Generate().public_key().key;
  ExpectError([&] { Positions(by_other, response); }, ErrorKind::kInput, StartsWith("VRF proof: is not that of this public key"));
}

}  // namespace
}  // namespace verillm
