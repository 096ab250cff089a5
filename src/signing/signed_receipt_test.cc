// What is checked of a signed receipt, through the library's own door and through the public one (include/verillm/receipt.h).
#include "receipt/signed_receipt.h"

#include <string>
#include <vector>

#include "base/test_support.h"
#include "receipt/challenge_file.h"
#include "receipt/receipt_test_support.h"
#include "signing/secret_key.h"
#include "verillm/receipt.h"

namespace verillm {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const SecretKey& Key() {
  static const SecretKey key = SecretKey::FromSeed(std::span<const std::byte, 32>(std::vector<std::byte>(32, std::byte{1})));
  return key;
}

std::string SignatureOf(const std::string& text, const SecretKey& key = Key()) {
  return key.Sign(std::as_bytes(std::span(text)), "receipt");
}

std::string PublicKeyOf(const SecretKey& key = Key()) { return FormatPublicKey(key.public_key(), "prover"); }

TEST(CheckSignedReceipt, ReadsWhatTheProverSigned) {
  const SmallResponse response;
  const std::string text = ReceiptText(response.receipt);
  const SignedReceipt checked = CheckSignedReceipt(text, SignatureOf(text), PublicKeyOf());
  EXPECT_EQ(checked.digest, response.digest());
  EXPECT_EQ(checked.key_id, Key().public_key().id);
  EXPECT_EQ(ReceiptText(checked.receipt), text);
}

TEST(CheckSignedReceipt, RefusesEveryChangedBitOfTheReceipt) {
  const std::string text = ReceiptText(SmallResponse(2).receipt);
  const std::string signature = SignatureOf(text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      ExpectError([&] { CheckSignedReceipt(changed, signature, PublicKeyOf()); }, ErrorKind::kInput, HasSubstr("signature"));
    }
  }
}

TEST(CheckSignedReceipt, RefusesAnotherKey) {
  const std::string text = ReceiptText(SmallResponse().receipt);
  const SecretKey other = SecretKey::Generate();
  ExpectError([&] { CheckSignedReceipt(text, SignatureOf(text), PublicKeyOf(other)); }, ErrorKind::kInput, HasSubstr("key"));
  ExpectError([&] { CheckSignedReceipt(text, SignatureOf(text, other), PublicKeyOf()); }, ErrorKind::kInput, HasSubstr("key"));
}

// The prover signs what is no sound receipt: the signature holds, the receipt does not.
TEST(CheckSignedReceipt, RefusesWhatIsNoReceiptThoughItIsSigned) {
  const std::string sound = ReceiptText(SmallResponse().receipt);
  for (const std::string& text : {sound + "\n", " " + sound, std::string("{}"), std::string(), sound.substr(1)}) {
    ExpectError([&] { CheckSignedReceipt(text, SignatureOf(text), PublicKeyOf()); }, ErrorKind::kInput, StartsWith("receipt"));
  }
}

// --- the public header

std::string ChallengeTo(const SmallResponse& response, int n_positions = 4) {
  Challenge challenge;
  challenge.receipt = response.digest();
  challenge.beacon.assign(32, std::byte{7});
  challenge.beacon_time = "2026-01-31T12:00:01Z";
  challenge.n_positions = n_positions;
  return ChallengeText(challenge);
}

std::string Refusal(auto call) {
  try {
    call();
  } catch (const receipts::Refused& refused) {
    return refused.what();
  }
  return "not refused";
}

TEST(PublicReceipts, ShowWhatWasSigned) {
  SmallResponse response;
  response.receipt.nonce = "0b";
  const std::string text = ReceiptText(response.receipt);
  const receipts::Receipt receipt = receipts::Check(text, SignatureOf(text), PublicKeyOf());
  EXPECT_EQ(receipt.digest, ToHex(response.digest()));
  EXPECT_EQ(receipt.key_id, KeyIdText(Key().public_key().id));
  EXPECT_EQ(receipt.previous, "");
  EXPECT_EQ(receipt.nonce, "0b");
  EXPECT_EQ(receipt.tokens, response.receipt.tokens);
  EXPECT_EQ(receipt.n_prompt, 3);
  EXPECT_THAT(receipt.capture_points, ElementsAre("0", "8", "final"));
  EXPECT_EQ(receipt.state_type, "bf16");
  EXPECT_EQ(receipt.width, 4);
}

TEST(PublicReceipts, GiveTheChallengedRows) {
  const SmallResponse response;
  const std::string text = ReceiptText(response.receipt);
  const std::string challenge = ChallengeTo(response);
  const std::vector<int> positions = receipts::ChallengedPositions(text, challenge);
  ASSERT_EQ(positions.size(), 4u);
  const std::vector<std::byte> opening = response.Open(positions);
  const std::vector<receipts::Row> rows = receipts::CheckOpening(text, challenge, opening);
  ASSERT_EQ(rows.size(), 12u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].position, positions[i / 3]);
    const auto expected = response.Row(CapturePoint::FromName(rows[i].capture_point), rows[i].position);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), rows[i].bytes.begin(), rows[i].bytes.end()));
  }
}

TEST(PublicReceipts, RefuseInTheirOwnWords) {
  const SmallResponse response;
  const SmallResponse other(10, 1);
  const std::string text = ReceiptText(response.receipt);
  EXPECT_THAT(Refusal([&] { receipts::Check(text + " ", SignatureOf(text), PublicKeyOf()); }), HasSubstr("signature"));
  EXPECT_THAT(Refusal([&] { receipts::ChallengedPositions(text, ChallengeTo(other)); }), HasSubstr("is of the receipt"));
  const std::vector<std::byte> opening =
      other.Open(receipts::ChallengedPositions(ReceiptText(other.receipt), ChallengeTo(other)));
  EXPECT_THAT(Refusal([&] { receipts::CheckOpening(text, ChallengeTo(response), opening); }),
              HasSubstr("opening: is of the receipt"));
  EXPECT_THAT(Refusal([&] { receipts::CheckFollows(text, text); }), HasSubstr("follows none"));
  EXPECT_THAT(Refusal([&] { receipts::Check("", "", ""); }), AnyOf(HasSubstr("key"), HasSubstr("signature")));
}

}  // namespace
}  // namespace verillm
