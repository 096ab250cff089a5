#include "receipt/challenge_file.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "base/test_support.h"
#include "receipt/challenge.h"
#include "receipt/receipt_test_support.h"
#include "receipt/vrf.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

// Of `response`, whose time is 2026-01-31T12:00:00Z.
Challenge ChallengeTo(const SmallResponse& response) {
  Challenge challenge;
  challenge.receipt = response.digest();
  challenge.beacon.assign(32, std::byte{7});
  challenge.beacon_time = "2026-01-31T12:00:01Z";
  challenge.n_positions = 4;
  return challenge;
}

Challenge DrawnChallengeTo(const SmallResponse& response) {
  Challenge challenge = ChallengeTo(response);
  challenge.drawn = DrawnBeacon{};
  challenge.drawn->public_key.fill(std::byte{1});
  challenge.drawn->proof.fill(std::byte{2});
  return challenge;
}

std::string Replaced(std::string text, std::string_view part, std::string_view by) {
  const std::size_t at = text.find(part);
  if (at == text.npos) throw std::logic_error("no " + std::string(part) + " in " + text);
  return text.replace(at, part.size(), by);
}

TEST(ParseChallenge, IsTheInverseOfChallengeText) {
  const SmallResponse response;
  for (const Challenge& challenge : {ChallengeTo(response), DrawnChallengeTo(response)}) {
    const std::string text = ChallengeText(challenge);
    const Challenge parsed = ParseChallenge(text);
    EXPECT_EQ(ChallengeText(parsed), text);
    EXPECT_EQ(parsed.receipt, challenge.receipt);
    EXPECT_EQ(parsed.beacon, challenge.beacon);
    EXPECT_EQ(parsed.beacon_time, challenge.beacon_time);
    EXPECT_EQ(parsed.n_positions, challenge.n_positions);
    ASSERT_EQ(parsed.drawn.has_value(), challenge.drawn.has_value());
    if (parsed.drawn) {
      EXPECT_EQ(parsed.drawn->public_key, challenge.drawn->public_key);
      EXPECT_EQ(parsed.drawn->proof, challenge.drawn->proof);
    }
  }
}

TEST(ParseChallenge, RefusesWhatIsNotExactlyOne) {
  const std::string text = ChallengeText(DrawnChallengeTo(SmallResponse()));
  const std::string digest = ToHex(SmallResponse().digest());
  const std::string beacon = ToHex(std::vector<std::byte>(32, std::byte{7}));
  for (const std::string& changed : {
           std::string(),
           std::string("{}"),
           std::string("null"),
           text.substr(0, text.size() - 1),
           text + "\n",
           " " + text,
           Replaced(text, "\"positions\":4", "\"positions\":4.0"),
           Replaced(text, "\"positions\":4", "\"positions\":0"),
           Replaced(text, "\"positions\":4", "\"positions\":-1"),
           Replaced(text, "\"positions\":4", "\"positions\":4294967300"),
           Replaced(text, "\"positions\":4", "\"positions\":\"4\""),
           Replaced(text, "\"positions\":4,", "\"positions\":4,\"positions\":4,"),
           Replaced(text, "\"positions\":4,", "\"positions\":4,\"prover\":1,"),
           Replaced(text, "\"positions\":4,", ""),
           Replaced(text, "verillm-challenge", "verillm-receipt"),
           Replaced(text, "\"format_version\":1", "\"format_version\":2"),
           Replaced(text, "2026-01-31T12:00:01Z", "2026-02-30T12:00:01Z"),
           Replaced(text, beacon, beacon.substr(34)),
           Replaced(text, beacon, std::string(130, '0')),
           Replaced(text, beacon, "0A" + beacon.substr(2)),
           Replaced(text, digest, digest.substr(2)),
           Replaced(text, "\"public_key\":\"01", "\"public_key\":\""),
           Replaced(text, "\"proof\":\"02", "\"proof\":\"0202"),
           Replaced(text, "\"drawn\":{", "\"drawn\":{\"a\":1,"),
           Replaced(text, "\"drawn\":{", "\"drawn\":true,\"drawn\":{"),
           "{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}",
           std::string(kMaxChallengeBytes + 1, ' '),
       }) {
    ExpectError([&] { ParseChallenge(changed); }, ErrorKind::kInput, testing::Not(testing::IsEmpty()));
  }
}

TEST(PositionsOf, AreThoseOfRootAndBeacon) {
  const SmallResponse response;
  const Challenge challenge = ChallengeTo(response);
  const std::vector<int> positions = PositionsOf(challenge, response.receipt, response.digest());
  EXPECT_THAT(positions, SizeIs(4));
  EXPECT_EQ(positions, ChallengedPositions(response.receipt.root, challenge.beacon, 3, 10, 4));
}

TEST(PositionsOf, RefusesTheChallengeOfAnotherReceipt) {
  const SmallResponse response;
  const SmallResponse other(10, 1);
  ExpectError([&] { PositionsOf(ChallengeTo(other), response.receipt, response.digest()); }, ErrorKind::kInput,
              StartsWith("challenge: is of the receipt " + ToHex(other.digest())));
}

TEST(PositionsOf, RefusesABeaconThatIsNotLaterThanTheReceipt) {
  const SmallResponse response;
  Challenge challenge = ChallengeTo(response);
  for (const std::string time : {"2026-01-31T12:00:00Z", "2026-01-31T11:59:59Z", "1999-12-31T23:59:59Z"}) {
    challenge.beacon_time = time;
    ExpectError([&] { PositionsOf(challenge, response.receipt, response.digest()); }, ErrorKind::kInput,
                HasSubstr("the beacon of " + time + " was known before the receipt of 2026-01-31T12:00:00Z"));
  }
}

TEST(PositionsOf, RefusesADrawnBeaconWithoutAProof) {
  const SmallResponse response;
  ExpectError([&] { PositionsOf(DrawnChallengeTo(response), response.receipt, response.digest()); }, ErrorKind::kInput,
              StartsWith("VRF p"));
}

}  // namespace
}  // namespace verillm
