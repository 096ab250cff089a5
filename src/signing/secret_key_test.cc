#include "signing/secret_key.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/coding.h"
#include "base/file.h"
#include "base/process.h"
#include "base/test_support.h"
#include "receipt/hash.h"

namespace verillm {
namespace {

using testing::Each;
using testing::HasSubstr;

static_assert(!std::is_copy_constructible_v<SecretKey> && !std::is_copy_assignable_v<SecretKey>);
static_assert(std::is_nothrow_move_constructible_v<SecretKey>);

SecretKey KeyOf(std::string_view seed_hex) {
  const Hash seed = HashFromHex(seed_hex, "seed");
  return SecretKey::FromSeed(seed);
}

// RFC 8032 section 7.1, tests 1 and 2.
TEST(SecretKey, HasThePublicKeyOfTheStandardsExamples) {
  EXPECT_EQ(ToHex(KeyOf("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").public_key().key),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(ToHex(KeyOf("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").public_key().key),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
}

TEST(SecretKey, HasTheIdOfItsPublicKey) {
  const SecretKey key = SecretKey::Generate();
  const Hash hash = Sha256({key.public_key().key});
  EXPECT_TRUE(std::equal(key.public_key().id.begin(), key.public_key().id.end(), hash.begin()));
}

TEST(SecretKey, IsAnotherEachTime) {
  const SecretKey a = SecretKey::Generate();
  const SecretKey b = SecretKey::Generate();
  EXPECT_NE(a.public_key().key, b.public_key().key);
  EXPECT_NE(a.public_key().id, b.public_key().id);
}

TEST(SecretKey, IsKnownByItsSeed) {
  const SecretKey key = SecretKey::Generate();
  EXPECT_EQ(SecretKey::FromSeed(key.seed()).public_key(), key.public_key());
}

TEST(SecretKey, CanBeMoved) {
  SecretKey key = SecretKey::Generate();
  const PublicKey public_key = key.public_key();
  SecretKey moved = std::move(key);
  CheckSignature(public_key, ParseSignature(moved.Sign(BytesOf("message"), ""), "signature"), BytesOf("message"));
  moved = SecretKey::Generate();
  EXPECT_NE(moved.public_key(), public_key);
}

TEST(SecretKey, SignsAnyMessageAndComment) {
  const SecretKey key = SecretKey::Generate();
  for (const std::string& message : {std::string(), std::string("\0\xff\n", 3), std::string(1 << 20, 'x')}) {
    for (const std::string& comment : {std::string(), std::string("a\tb"), std::string(kMaxTrustedComment, 'y')}) {
      const Signature signature = ParseSignature(key.Sign(BytesOf(message), comment), "signature");
      EXPECT_EQ(signature.trusted_comment, comment);
      CheckSignature(key.public_key(), signature, BytesOf(message));
    }
  }
}

TEST(SecretKey, SignsAlikeEachTime) {
  const SecretKey key = SecretKey::Generate();
  EXPECT_EQ(key.Sign(BytesOf("message"), "comment"), key.Sign(BytesOf("message"), "comment"));
}

TEST(SecretKey, RefusesACommentThatIsNone) {
  const SecretKey key = SecretKey::Generate();
  ExpectError([&] { key.Sign({}, "a\nuntrusted comment: b"); }, ErrorKind::kInput, HasSubstr("control character at byte 1"));
  ExpectError([&] { key.Sign({}, std::string(kMaxTrustedComment + 1, 'x')); }, ErrorKind::kInput, HasSubstr("8001 bytes"));
}

// The program that the format is from; a declared dependency of the tests.
TEST(SecretKey, SignsWhatMinisignAccepts) {
  const TestFolder folder;
  const SecretKey key = SecretKey::Generate();
  const std::string file = folder / "message";
  WriteFile(folder / "key.pub", FormatPublicKey(key.public_key(), std::string(kMaxUntrustedComment, 'x')));
  for (const std::string& comment : {std::string("comment"), std::string(), std::string(kMaxTrustedComment, 'y')}) {
    WriteFile(file, "message");
    WriteFile(file + ".minisig", key.Sign(BytesOf("message"), comment));
    RunCommand({"minisign", "-Vm", file, "-p", folder / "key.pub"});
    RunCommand({"minisign", "-VHm", file, "-P", PublicKeyLine(key.public_key())});
    WriteFile(file, "massage");
    ExpectError(
        [&] {
          RunCommand({"minisign", "-Vm", file, "-p", folder / "key.pub"});
        },
        ErrorKind::kIo, HasSubstr("Signature verification failed"));
  }
}

TEST(SecretKey, IsNamedAsMinisignNamesIt) {
  const TestFolder folder;
  const SecretKey key = SecretKey::Generate();
  const SecretKey other = SecretKey::Generate();
  WriteFile(folder / "message", "message");
  WriteFile(folder / "message.minisig", other.Sign(BytesOf("message"), ""));
  ExpectError(
      [&] {
        RunCommand({"minisign", "-Vm", folder / "message", "-P", PublicKeyLine(key.public_key())});
      },
      ErrorKind::kIo,
      testing::AllOf(HasSubstr("is " + KeyIdText(other.public_key().id) + "\n"),
                     HasSubstr("is " + KeyIdText(key.public_key().id))));
}

TEST(CheckSignature, AcceptsWhatMinisignSigns) {
  const TestFolder folder;
  const std::string file = folder / "message";
  WriteFile(file, "message");
  RunCommand({"minisign", "-G", "-W", "-p", folder / "key.pub", "-s", folder / "key"});
  RunCommand({"minisign", "-Sm", file, "-s", folder / "key", "-t", "comment"});
  const PublicKey key = ParsePublicKey(ReadFile(folder / "key.pub", kMaxPublicKeyBytes), "key");
  const Signature signature = ParseSignature(ReadFile(file + ".minisig", kMaxSignatureBytes), "signature");
  CheckSignature(key, signature, BytesOf("message"));
  EXPECT_EQ(signature.trusted_comment, "comment");

  RunCommand({"minisign", "-Slm", file, "-s", folder / "key"});
  ExpectError([&] { ParseSignature(ReadFile(file + ".minisig", kMaxSignatureBytes), "signature"); }, ErrorKind::kInput,
              HasSubstr("signature: line 2: the algorithm is \"Ed\""));
}

TEST(WipeAtEnd, LeavesZeros) {
  std::string text = "secret";
  { const WipeAtEnd wipe(std::as_writable_bytes(std::span(text))); }
  EXPECT_THAT(text, Each('\0'));
}

}  // namespace
}  // namespace verillm
