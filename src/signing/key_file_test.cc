#include "signing/key_file.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"
#include "receipt/base64.h"
#include "receipt/hash.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

// The least that libsodium takes, so that tests are fast.
constexpr KeyDerivation kCheap = {.passes = 1, .memory_kib = 8};

SecretBytes Secret(std::string_view text) {
  SecretBytes secret(text.size());
  std::copy_n(std::as_bytes(std::span(text)).begin(), text.size(), secret.bytes().begin());
  return secret;
}

PassphraseSource Passphrase(const std::string& text) {
  return [text] { return Secret(text); };
}

SecretBytes NotAsked() {
  ADD_FAILURE() << "asked for a passphrase";
  return Secret("-");
}

SecretKey FixedKey() { return SecretKey::FromSeed(Sha256({})); }

std::string Encrypted() { return FormatSecretKey(FixedKey(), Secret("correct horse"), kCheap); }

// The decoded second line of a key file, and a file with another one.
std::vector<std::byte> FieldsOf(const std::string& text) {
  const std::size_t begin = text.find('\n') + 1;
  const std::string line = text.substr(begin, text.size() - begin - 1);
  std::vector<std::byte> fields(line.size() == Base64Size(133) ? 133 : 69);
  FromBase64(line, fields, "line");
  return fields;
}

std::string WithFields(const std::string& text, std::span<const std::byte> fields) {
  return text.substr(0, text.find('\n') + 1) + ToBase64(fields) + "\n";
}

void ExpectRefused(const std::string& text, const std::string& message) {
  ExpectError([&] { ParseSecretKey(text, Passphrase("correct horse"), "file"); }, ErrorKind::kInput, StartsWith(message));
}

TEST(SecretKeyText, IsDecryptedWithItsPassphrase) {
  const SecretKey key = ParseSecretKey(Encrypted(), Passphrase("correct horse"), "file");
  EXPECT_EQ(key.public_key(), FixedKey().public_key());
  EXPECT_EQ(ToHex(key.seed()), ToHex(FixedKey().seed()));
}

TEST(SecretKeyText, IsTwoLinesForPeopleAndPrograms) {
  EXPECT_THAT(Encrypted(), MatchesRegex("verillm secret key [0-9A-F]+, encrypted\n[A-Za-z0-9+/]+==\n"));
  EXPECT_THAT(FormatUnencryptedSecretKey(FixedKey()),
              MatchesRegex("verillm secret key [0-9A-F]+, not encrypted\n[A-Za-z0-9+/]+\n"));
  EXPECT_LE(Encrypted().size(), kMaxKeyFileBytes);
}

// docs/formats.md has this example; the seed is the SHA-256 of nothing.
TEST(SecretKeyText, UnencryptedOneEqualsTheDocumentedExample) {
  EXPECT_EQ(FormatUnencryptedSecretKey(FixedKey()),
            "verillm secret key 57D8CA4366C57237, not encrypted\n"
            "VlNLMQC+kHtLrIT+5c6IEdst78m/CyoqK7w9VNiiJX7NcEQZYuOwxEKY/BwUmvv0yJlvuSQnrkHkZJuTTKSVmRt4UrhV\n");
}

TEST(SecretKeyText, UnencryptedOneNeedsNoPassphrase) {
  const SecretKey key = ParseSecretKey(FormatUnencryptedSecretKey(FixedKey()), NotAsked, "file");
  EXPECT_EQ(key.public_key(), FixedKey().public_key());
}

TEST(SecretKeyText, HasNeitherTheSeedNorTheSameBytesTwice) {
  const auto a = FieldsOf(Encrypted());
  const auto b = FieldsOf(Encrypted());
  const SecretKey key = FixedKey();
  const auto seed = key.seed();
  EXPECT_EQ(std::search(a.begin(), a.end(), seed.begin(), seed.begin() + 4), a.end());
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 45, b.begin()));             // tag, public key, cost
  EXPECT_FALSE(std::equal(a.begin() + 45, a.begin() + 61, b.begin() + 45));  // salt
  EXPECT_FALSE(std::equal(a.begin() + 61, a.begin() + 85, b.begin() + 61));  // nonce
  EXPECT_FALSE(std::equal(a.begin() + 85, a.end(), b.begin() + 85));
}

TEST(SecretKeyText, StatesWhatItsPassphraseCosts) {
  const auto fields = FieldsOf(Encrypted());
  EXPECT_EQ(LoadLittleEndian<std::uint32_t>(&fields[37]), 1u);
  EXPECT_EQ(LoadLittleEndian<std::uint32_t>(&fields[41]), 8u);
}

TEST(ParseSecretKey, RefusesAWrongPassphrase) {
  const std::string text = Encrypted();
  for (const std::string wrong : {"correct hors", "correct horse ", "Correct horse", "x"}) {
    ExpectError([&] { ParseSecretKey(text, Passphrase(wrong), "file"); }, ErrorKind::kInput,
                "file: the passphrase is wrong, or the file was changed");
  }
}

TEST(ParseSecretKey, RefusesAnEmptyOrEndlessPassphrase) {
  ExpectError([] { ParseSecretKey(Encrypted(), Passphrase(""), "file"); }, ErrorKind::kUsage, HasSubstr("is empty"));
  ExpectError([] { FormatSecretKey(FixedKey(), Secret(""), kCheap); }, ErrorKind::kUsage, HasSubstr("is empty"));
  ExpectError([] { FormatSecretKey(FixedKey(), Secret(std::string(1025, 'x')), kCheap); }, ErrorKind::kUsage,
              "the passphrase has 1025 bytes, more than 1024");
  const std::string longest(1024, 'x');
  ParseSecretKey(FormatSecretKey(FixedKey(), Secret(longest), kCheap), Passphrase(longest), "file");
}

// The bits of the memory that stand for 128 KiB to 1 GiB are left out: what they ask for would be done, and take long.
TEST(ParseSecretKey, RefusesEveryBitChangedInAnEncryptedFile) {
  const std::string text = Encrypted();
  auto fields = FieldsOf(text);
  for (std::size_t bit = 0; bit < 8 * fields.size(); ++bit) {
    fields[bit / 8] ^= std::byte{1} << bit % 8;
    SCOPED_TRACE(bit);
    if (bit < 8 * 41 + 7 || bit > 8 * 41 + 20) ExpectRefused(WithFields(text, fields), "file: ");
    fields[bit / 8] ^= std::byte{1} << bit % 8;
  }
}

TEST(ParseSecretKey, RefusesEveryBitChangedInAnUnencryptedFile) {
  const std::string text = FormatUnencryptedSecretKey(FixedKey());
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string changed = text;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
    SCOPED_TRACE(bit);
    ExpectRefused(changed, "file: ");
  }
}

TEST(ParseSecretKey, RefusesTruncatedAndPaddedFiles) {
  for (const std::string& text : {Encrypted(), FormatUnencryptedSecretKey(FixedKey())}) {
    for (std::size_t size = 0; size < text.size(); ++size) ExpectRefused(text.substr(0, size), "file: ");
    for (const std::string& added : {std::string("\n"), std::string(" "), std::string(1, '\0'), std::string("\r\n"), text}) {
      ExpectRefused(text + added, "file: ");
      ExpectRefused(added + text, "file: ");
    }
  }
}

TEST(ParseSecretKey, SaysWhatIsWrongAndWhere) {
  const std::string text = Encrypted();
  const std::string first = text.substr(0, text.find('\n') + 1);
  ExpectRefused("", "file: is no secret key, which would begin with \"verillm secret key \"");
  ExpectRefused(FormatPublicKey(FixedKey().public_key(), "comment"), "file: is no secret key");
  ExpectRefused("untrusted comment: minisign encrypted secret key\nRWQAAEIy\n", "file: is no secret key");
  ExpectRefused(first, "file: is not two lines");
  ExpectRefused(first + std::string(300, 'A') + "\n", "file: is not two lines");
  ExpectRefused(first + std::string(180, '!') + "\n", "file: line 2: is not base64 of 133 bytes");
  ExpectRefused(first + "AAAA\n", "file: line 2 has 4 characters, where a secret key has 180 or, not encrypted, 92");
  ExpectRefused("verillm secret key 0, encrypted\n" + text.substr(first.size()), "file: line 1 is not \"verillm secret key ");

  auto fields = FieldsOf(text);
  fields[3] = std::byte{'2'};
  ExpectRefused(WithFields(text, fields), "file: line 2: does not begin as version 1 of a secret key, encrypted, does");
}

TEST(ParseSecretKey, DoesWhatAFileAsksForWithinLimitsOnly) {
  const std::string text = Encrypted();
  const auto expect_refused = [&](std::size_t at, std::uint32_t value, const std::string& message) {
    auto fields = FieldsOf(text);
    StoreLittleEndian(value, &fields[at]);
    ExpectError([&] { ParseSecretKey(WithFields(text, fields), NotAsked, "file"); }, ErrorKind::kInput, message);
  };
  expect_refused(37, 0, "file: asks for 0 passes of Argon2id, where 1 to 4 are accepted");
  expect_refused(37, 5, "file: asks for 5 passes of Argon2id, where 1 to 4 are accepted");
  expect_refused(41, 7, "file: asks for 7 KiB of Argon2id, where 8 to 1048576 are accepted");
  expect_refused(41, 1048577, "file: asks for 1048577 KiB of Argon2id, where 8 to 1048576 are accepted");
  expect_refused(41, 0xffffffff, "file: asks for 4294967295 KiB of Argon2id, where 8 to 1048576 are accepted");
}

TEST(FormatSecretKey, WritesNothingThatCouldNotBeReadBack) {
  ExpectError([] { FormatSecretKey(FixedKey(), Secret("x"), {.passes = 5, .memory_kib = 8}); }, ErrorKind::kInput,
              HasSubstr("asks for 5 passes"));
}

// A file that was put together of two others decrypts, but to another key than it says.
TEST(ParseSecretKey, RefusesTheSeedOfAnotherKey) {
  const std::string text = FormatUnencryptedSecretKey(FixedKey());
  auto fields = FieldsOf(text);
  const SecretKey other = SecretKey::Generate();
  std::copy(other.seed().begin(), other.seed().end(), fields.begin() + 37);
  ExpectRefused(WithFields(text, fields), "file: the secret key does not belong to the public key beside it");
}

TEST(SummarizeKey, TellsSecretAndPublicKeysApart) {
  const PublicKey public_key = FixedKey().public_key();
  const KeySummary encrypted = SummarizeKey(Encrypted(), "file");
  EXPECT_EQ(encrypted.public_key, public_key);
  EXPECT_TRUE(encrypted.has_secret_key && encrypted.encrypted);
  const KeySummary unencrypted = SummarizeKey(FormatUnencryptedSecretKey(FixedKey()), "file");
  EXPECT_EQ(unencrypted.public_key, public_key);
  EXPECT_TRUE(unencrypted.has_secret_key && !unencrypted.encrypted);
  const KeySummary alone = SummarizeKey(FormatPublicKey(public_key, "comment"), "file");
  EXPECT_EQ(alone.public_key, public_key);
  EXPECT_FALSE(alone.has_secret_key || alone.encrypted);
  ExpectError([] { SummarizeKey("something else", "file"); }, ErrorKind::kInput, StartsWith("file: line 1: "));
}

class KeyPair : public testing::Test {
 protected:
  std::string Contents(const std::string& name) { return ReadFile(folder_ / name, 2000); }

  const TestFolder folder_;
  const SecretKey key_ = FixedKey();
  const SecretBytes passphrase_ = Secret("correct horse");
};

TEST_F(KeyPair, IsReadBackAndVerifiesItsSignatures) {
  WriteKeyPair(folder_ / "key", key_, &passphrase_, Existing::kKept);
  EXPECT_THAT(folder_.Names(), ElementsAre("key", "key.pub"));
  const SecretKey read = ReadSecretKey(folder_ / "key", Passphrase("correct horse"));
  const PublicKey public_key = ParsePublicKey(Contents("key.pub"), "key.pub");
  CheckSignature(public_key, ParseSignature(read.Sign({}, "comment"), "signature"), {});
}

TEST_F(KeyPair, SecretKeyIsTheOwnersAlone) {
  WriteKeyPair(folder_ / "key", key_, nullptr, Existing::kKept);
  EXPECT_EQ(std::filesystem::status(folder_ / "key").permissions(), std::filesystem::perms{0600});
  EXPECT_EQ(std::filesystem::status(folder_ / "key.pub").permissions(), std::filesystem::perms{0644});
}

TEST_F(KeyPair, IsEncryptedAsStronglyAsPromised) {
  WriteKeyPair(folder_ / "key", key_, &passphrase_, Existing::kKept);
  const auto fields = FieldsOf(Contents("key"));
  EXPECT_EQ(LoadLittleEndian<std::uint32_t>(&fields[37]), crypto_pwhash_argon2id_OPSLIMIT_MODERATE);
  EXPECT_EQ(LoadLittleEndian<std::uint32_t>(&fields[41]), crypto_pwhash_argon2id_MEMLIMIT_MODERATE >> 10);
}

TEST_F(KeyPair, ReplacesFilesOnlyIfAsked) {
  for (const std::string name : {"key", "key.pub"}) {
    const TestFolder folder;
    WriteFile(folder / name, "mine");
    ExpectError([&] { WriteKeyPair(folder / "key", key_, nullptr, Existing::kKept); }, ErrorKind::kUsage,
                StartsWith((folder / name).string() + ": exists already"));
    EXPECT_EQ(ReadFile(folder / name, 100), "mine");
    EXPECT_THAT(folder.Names(), ElementsAre(name));

    WriteKeyPair(folder / "key", key_, nullptr, Existing::kReplaced);
    EXPECT_EQ(ReadSecretKey(folder / "key", NotAsked).public_key(), key_.public_key());
    EXPECT_EQ(std::filesystem::status(folder / "key").permissions(), std::filesystem::perms{0600});
    EXPECT_THAT(ReadFile(folder / "key.pub", 2000), Not("mine"));
  }
}

TEST_F(KeyPair, KeepsALinkThatPointsNowhere) {
  std::filesystem::create_symlink(folder_ / "target", folder_ / "key");
  ExpectError([&] { WriteKeyPair(folder_ / "key", key_, nullptr, Existing::kKept); }, ErrorKind::kUsage,
              HasSubstr("exists already"));
  EXPECT_THAT(folder_.Names(), ElementsAre("key"));
}

TEST_F(KeyPair, IsNotWrittenWithoutAUsablePassphrase) {
  const SecretBytes empty = Secret("");
  ExpectError([&] { WriteKeyPair(folder_ / "key", key_, &empty, Existing::kKept); }, ErrorKind::kUsage, HasSubstr("is empty"));
  EXPECT_THAT(folder_.Names(), IsEmpty());
}

TEST(ReadSecretKey, NamesTheFileThatIsNone) {
  const TestFolder folder;
  ExpectError([&] { ReadSecretKey(folder / "key", NotAsked); }, ErrorKind::kIo, StartsWith((folder / "key").string()));
  WriteFile(folder / "key", "verillm secret key 0, not encrypted\n");
  ExpectError([&] { ReadSecretKey(folder / "key", NotAsked); }, ErrorKind::kInput,
              StartsWith((folder / "key").string() + ": is not two lines"));
  WriteFile(folder / "key", std::string(301, 'x'));
  ExpectError([&] { ReadSecretKey(folder / "key", NotAsked); }, ErrorKind::kInput, HasSubstr("301 bytes are more than the 300"));
}

}  // namespace
}  // namespace verillm
