#include "receipt/minisign.h"

#include <algorithm>
#include <functional>
#include <string>

#include "base/coding.h"
#include "base/test_support.h"
#include "receipt/base64.h"
#include "receipt/sodium.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// Made by minisign; published with the tests of its author's library minisign-verify.
constexpr std::string_view kPublicKeyLine = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
constexpr std::string_view kPublicKeyFile =
    "untrusted comment: minisign public key E7620F1842B4E81F\n"
    "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
constexpr std::string_view kMessage = "test";
constexpr std::string_view kSignatureFile =
    "untrusted comment: signature from minisign secret key\n"
    "RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n"
    "trusted comment: timestamp:1556193335\tfile:test\n"
    "y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
constexpr std::string_view kLegacySignatureFile =
    "untrusted comment: signature from minisign secret key\n"
    "RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n"
    "trusted comment: timestamp:1555779966\tfile:test\n"
    "QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n";

PublicKey Key() { return ParsePublicKey(kPublicKeyFile, "key"); }
Signature Sound() { return ParseSignature(kSignatureFile, "signature"); }

// The published text with one of its lines (from 1) replaced.
std::string WithLine(int number, const std::string& line) {
  std::string text(kSignatureFile);
  std::size_t begin = 0;
  for (int i = 1; i < number; ++i) begin = text.find('\n', begin) + 1;
  return text.replace(begin, text.find('\n', begin) - begin, line);
}

// Calls `check` with each of the texts that differ from `text` in one bit.
template <typename Bytes>
void ForEachFlippedBit(Bytes bytes, const std::function<void(const Bytes&)>& check) {
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const auto flip = [&] {
      auto& byte = bytes[bit / 8];
      byte = static_cast<std::remove_reference_t<decltype(byte)>>(static_cast<int>(byte) ^ 1 << bit % 8);
    };
    flip();
    SCOPED_TRACE(bit);
    check(bytes);
    flip();
  }
}

// Expects that reading and checking fails somewhere.
void ExpectRefused(std::string_view key, std::string_view signature, std::string_view message) {
  ExpectError([&] { CheckSignature(ParsePublicKey(key, "key"), ParseSignature(signature, "signature"), BytesOf(message)); },
              ErrorKind::kInput, HasSubstr(""));
}

void ExpectForged(const PublicKey& key, const Signature& signature, std::string_view message) {
  ExpectError([&] { CheckSignature(key, signature, BytesOf(message)); }, ErrorKind::kInput,
              HasSubstr("does not belong to this message"));
}

// A signer who follows RFC 8032 as far as a test wants.
class Signer {
 public:
  using Scalar = std::array<std::byte, 32>;

  Signer() {
    RequireSodium();
    std::array<std::byte, 32> seed;
    seed.fill(std::byte{7});
    crypto_sign_seed_keypair(Unsigned(key_.key), Unsigned(secret_), Unsigned(seed));
    key_.id = {std::byte{1}, std::byte{2}, std::byte{3}};
    std::array<std::byte, 64> hash;
    crypto_hash_sha512(Unsigned(hash), Unsigned(seed), seed.size());
    std::copy_n(hash.begin(), 32, scalar_.begin());
    scalar_[0] &= std::byte{248};
    scalar_[31] &= std::byte{127};
    scalar_[31] |= std::byte{64};
  }

  const PublicKey& key() const { return key_; }

  Signature Sign(std::string_view message, std::string_view comment) const {
    Signature signature{key_.id, {}, std::string(comment), {}};
    const auto digest = DigestToSign(BytesOf(message));
    crypto_sign_detached(Unsigned(signature.signature), nullptr, Unsigned(digest), digest.size(), Unsigned(secret_));
    SignComment(signature);
    return signature;
  }

  // With R given and r its logarithm, S = r + h a: satisfies the verifier's equation whatever R is.
  Signature SignWithNonce(std::string_view message, std::span<const std::byte, 32> point, const Scalar& nonce) const {
    Signature signature{key_.id, {}, "comment", {}};
    const auto digest = DigestToSign(BytesOf(message));
    crypto_hash_sha512_state state;
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, Unsigned(point), point.size());
    crypto_hash_sha512_update(&state, Unsigned(key_.key), key_.key.size());
    crypto_hash_sha512_update(&state, Unsigned(digest), digest.size());
    std::array<std::byte, 64> hash;
    crypto_hash_sha512_final(&state, Unsigned(hash));
    Scalar challenge, product, sum;
    crypto_core_ed25519_scalar_reduce(Unsigned(challenge), Unsigned(hash));
    crypto_core_ed25519_scalar_mul(Unsigned(product), Unsigned(challenge), Unsigned(scalar_));
    crypto_core_ed25519_scalar_add(Unsigned(sum), Unsigned(product), Unsigned(nonce));
    std::copy(point.begin(), point.end(), signature.signature.begin());
    std::copy(sum.begin(), sum.end(), signature.signature.begin() + 32);
    SignComment(signature);
    return signature;
  }

  void SignComment(Signature& signature) const {
    const auto bytes = CommentToSign(signature);
    crypto_sign_detached(Unsigned(signature.global_signature), nullptr, Unsigned(bytes), bytes.size(), Unsigned(secret_));
  }

 private:
  PublicKey key_ = {};
  std::array<std::byte, 64> secret_;
  Scalar scalar_;
};

// The neutral element of the group: y = 1.
constexpr std::array<std::byte, 32> kNeutral = {std::byte{1}};

// Adds the order of the group, 2^252 + 27742317777372353535851937790883648493, to S.
void AddGroupOrder(std::array<std::byte, 64>& signature) {
  constexpr std::array<unsigned, 32> kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                               0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                               0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  unsigned carry = 0;
  for (std::size_t i = 0; i < kOrder.size(); ++i) {
    carry += std::to_integer<unsigned>(signature[32 + i]) + kOrder[i];
    signature[32 + i] = static_cast<std::byte>(carry & 0xff);
    carry >>= 8;
  }
  ASSERT_EQ(carry, 0u);
}

TEST(KeyIdText, IsALittleEndianNumberWithoutLeadingZeros) {
  EXPECT_EQ(KeyIdText(Key().id), "E7620F1842B4E81F");
  EXPECT_EQ(KeyIdText({std::byte{0x1f}, std::byte{0xe8}}), "E81F");
  EXPECT_EQ(KeyIdText({}), "0");
}

TEST(ParsePublicKey, ReadsAFileOrItsSecondLine) {
  EXPECT_EQ(ParsePublicKey(kPublicKeyLine, "key"), Key());
  EXPECT_EQ(ParsePublicKey(std::string(kPublicKeyLine) + "\n", "key"), Key());
  EXPECT_EQ(ParsePublicKey(kPublicKeyFile.substr(0, kPublicKeyFile.size() - 1), "key"), Key());
}

TEST(ParsePublicKey, IsTheInverseOfBothForms) {
  EXPECT_EQ(PublicKeyLine(Key()), kPublicKeyLine);
  EXPECT_EQ(FormatPublicKey(Key(), "minisign public key E7620F1842B4E81F"), kPublicKeyFile);
}

TEST(ParsePublicKey, RefusesWhatElseThereIsNamingTheLine) {
  const std::string line(kPublicKeyLine);
  const std::string file(kPublicKeyFile);
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"", "key: line 1: has 0 characters"},
      {"\n" + line, "key: line 1: does not begin with \"untrusted comment: \""},
      {"comment: x\n" + line, "key: line 1: does not begin with \"untrusted comment: \""},
      {"untrusted comment: \x1b[2J\n" + line, "key: line 1: the comment has a control character at byte 0"},
      {"untrusted comment: x\n", "key: line 1: has 20 characters"},
      {"untrusted comment: x\n\n", "key: line 2: has 0 characters"},
      {"untrusted comment: x\n" + line + "\r\n", "key: line 2: has 57 characters"},
      {file + "\n", "key: line 2: has 57 characters"},
      {file + file, "key: line 2: has "},
      {line.substr(0, 52), "key: line 1: has 52 characters"},
      {line + "AAAA", "key: line 1: has 60 characters"},
      {line.substr(1) + " ", "key: line 1: is not base64"},
      {"RUQ" + line.substr(3), "key: line 1: the algorithm is \"ED\""},
      {"AAA" + line.substr(3), "key: line 1: the algorithm is \"\\x00\\x00\""},
      {std::string(1201, 'A'), "key: 1201 bytes are more than the 1200"},
      {"untrusted comment: " + std::string(1001, 'x') + "\n" + line, "key: line 1: a comment of 1001 bytes"},
  };
  for (const auto& [text, message] : refused) {
    ExpectError([&, &text = text] { ParsePublicKey(text, "key"); }, ErrorKind::kInput, StartsWith(message));
  }
}

TEST(ParsePublicKey, RefusesPointsThatNoSecretKeyBelongsTo) {
  std::array<std::byte, 32> off_curve = {std::byte{2}};  // y = 2 has no x
  std::array<std::byte, 32> above_prime;                 // y = p + 1, another encoding of the neutral element
  above_prime.fill(std::byte{0xff});
  above_prime[0] = std::byte{0xee};
  above_prime[31] = std::byte{0x7f};
  std::array<std::byte, 32> order_two;  // y = p - 1
  order_two.fill(std::byte{0xff});
  order_two[0] = std::byte{0xec};
  order_two[31] = std::byte{0x7f};
  std::array<std::byte, 32> mixed_order;  // a proper key plus the point of order two
  ASSERT_EQ(crypto_core_ed25519_add(Unsigned(mixed_order), Unsigned(Key().key), Unsigned(order_two)), 0);

  for (const auto& point : {kNeutral, order_two, off_curve, above_prime, mixed_order}) {
    const std::string line = PublicKeyLine({Key().id, point});
    ExpectError([&] { ParsePublicKey(line, "key"); }, ErrorKind::kInput, "key: line 1: is no public key of Ed25519");
  }
}

TEST(FormatPublicKey, RefusesACommentOfTwoLines) {
  ExpectError([] { FormatPublicKey(Key(), "a\nb"); }, ErrorKind::kInput, HasSubstr("control character at byte 1"));
}

TEST(ParseSignature, ReadsWhatMinisignWrites) {
  const Signature signature = Sound();
  EXPECT_EQ(signature.key_id, Key().id);
  EXPECT_EQ(signature.trusted_comment, "timestamp:1556193335\tfile:test");
  EXPECT_EQ(FormatSignature(signature, "signature from minisign secret key"), kSignatureFile);
}

TEST(ParseSignature, RefusesTheLegacyAlgorithmWithItsReason) {
  ExpectError([] { ParseSignature(kLegacySignatureFile, "file"); }, ErrorKind::kInput,
              AllOf(StartsWith("file: line 2: the algorithm is \"Ed\""), HasSubstr("could stand for two messages")));
}

TEST(ParseSignature, RefusesOtherAlgorithms) {
  ExpectError([] { ParseSignature(WithLine(2, "AAA" + std::string(96, 'A') + "="), "file"); }, ErrorKind::kInput,
              "file: line 2: the algorithm is \"\\x00\\x00\", where \"ED\" is the one accepted");
}

TEST(ParseSignature, RefusesAnythingButFourLinesNamingTheLine) {
  const std::string text(kSignatureFile);
  std::size_t n_lines = 0;
  for (std::size_t size = 0; size < text.size(); ++size) {
    const std::string line = "file: line " + std::to_string(n_lines + 1) + ": the file ends before the end";
    ExpectError([&] { ParseSignature(text.substr(0, size), "file"); }, ErrorKind::kInput, StartsWith(line));
    n_lines += text[size] == '\n';
  }
  for (const std::string& added : {std::string("\n"), std::string(" "), std::string("a: b\n"), std::string(1, '\0'), text}) {
    ExpectError([&] { ParseSignature(text + added, "file"); }, ErrorKind::kInput,
                "file: line 5: follows the end of the signature");
  }
  ExpectError([&] { ParseSignature("\n" + text, "file"); }, ErrorKind::kInput, StartsWith("file: line 5: "));
}

TEST(ParseSignature, RefusesDamagedLinesNamingThem) {
  const std::string signature(100, 'A');
  const std::vector<std::pair<std::string, std::string>> refused = {
      {WithLine(1, "comment: x"), "file: line 1: does not begin with \"untrusted comment: \""},
      {WithLine(1, "untrusted comment: \x7f"), "file: line 1: the comment has a control character at byte 0"},
      {WithLine(1, "untrusted comment: " + std::string(1001, 'x')), "file: line 1: a comment of 1001 bytes"},
      {WithLine(2, ""), "file: line 2: has 0 characters, where base64 of 74 bytes has 100"},
      {WithLine(2, signature), "file: line 2: is not base64 of 74 bytes"},
      {WithLine(2, signature + "="), "file: line 2: has 101 characters"},
      {WithLine(3, "Trusted comment: x"), "file: line 3: does not begin with \"trusted comment: \""},
      {WithLine(3, "trusted comment: a\rb"), "file: line 3: the comment has a control character at byte 1"},
      {WithLine(3, "trusted comment: \xff"), "file: line 3: the comment is not UTF-8"},
      {WithLine(3, "trusted comment: " + std::string(8001, 'x')), "file: line 3: a comment of 8001 bytes"},
      {WithLine(4, signature.substr(0, 88)), "file: line 4: is not base64 of 64 bytes"},
      {std::string(9401, '\n'), "file: 9401 bytes are more than the 9400"},
  };
  for (const auto& [text, message] : refused) {
    ExpectError([&, &text = text] { ParseSignature(text, "file"); }, ErrorKind::kInput, StartsWith(message));
  }
}

TEST(ParseSignature, TakesTheLongestComments) {
  Signature signature = Sound();
  signature.trusted_comment = std::string(kMaxTrustedComment, 'x');
  const std::string text = FormatSignature(signature, std::string(kMaxUntrustedComment, 'y'));
  EXPECT_LE(text.size(), kMaxSignatureBytes);
  EXPECT_EQ(ParseSignature(text, "file").trusted_comment, signature.trusted_comment);
}

TEST(CheckComment, TakesTextAndTabs) {
  for (const std::string comment : {"", "a\tb c", "模型 é \xc2\xa0 \xf0\x9f\x98\x80"}) CheckComment(comment, 100, "comment");
}

TEST(CheckComment, RefusesControlCharacters) {
  for (const std::string comment : {"\n", "a\x1b[31m", "\x7f", "\xc2\x80",
                                    "\xc2\x9b"
                                    "1m",
                                    "\b"}) {
    ExpectError([&] { CheckComment(comment, 100, "comment"); }, ErrorKind::kInput, HasSubstr("control character"));
  }
  ExpectError([&] { CheckComment(std::string("\0", 1), 100, "comment"); }, ErrorKind::kInput, HasSubstr("control character"));
}

TEST(CheckSignature, AcceptsWhatMinisignSigned) { CheckSignature(Key(), Sound(), BytesOf(kMessage)); }

TEST(CheckSignature, AcceptsAnEmptyMessageAndComment) {
  const Signer signer;
  CheckSignature(signer.key(), signer.Sign("", ""), {});
}

// The legacy signature is sound as such: refusing it is a decision, taken in ParseSignature.
TEST(CheckSignature, IsOfTheDigestAndNotOfTheMessage) {
  std::string text(kLegacySignatureFile);
  text.replace(text.find("RWQ"), 3, "RUQ");
  ExpectForged(Key(), ParseSignature(text, "file"), kMessage);
}

TEST(CheckSignature, RefusesEveryBitChangedInTheBytesOfTheSignature) {
  ForEachFlippedBit<std::array<std::byte, 64>>(Sound().signature, [](const auto& changed) {
    Signature signature = Sound();
    signature.signature = changed;
    ExpectForged(Key(), signature, kMessage);
  });
  ForEachFlippedBit<std::array<std::byte, 64>>(Sound().global_signature, [](const auto& changed) {
    Signature signature = Sound();
    signature.global_signature = changed;
    ExpectError([&] { CheckSignature(Key(), signature, BytesOf(kMessage)); }, ErrorKind::kInput,
                HasSubstr("the trusted comment or its signature was changed"));
  });
  ForEachFlippedBit<KeyId>(Sound().key_id, [](const auto& changed) {
    Signature signature = Sound();
    signature.key_id = changed;
    ExpectError([&] { CheckSignature(Key(), signature, BytesOf(kMessage)); }, ErrorKind::kInput,
                AllOf(HasSubstr(KeyIdText(changed)), HasSubstr("E7620F1842B4E81F")));
  });
}

// The first line is nobody's promise, and may be changed as long as it stays a comment.
TEST(CheckSignature, RefusesEveryBitChangedInTheTextBehindTheFirstLine) {
  const std::string text(kSignatureFile);
  const std::string first = text.substr(0, text.find('\n') + 1);
  ForEachFlippedBit<std::string>(text.substr(first.size()),
                                 [&](const auto& changed) { ExpectRefused(kPublicKeyLine, first + changed, kMessage); });
}

TEST(CheckSignature, RefusesEveryBitChangedInThePublicKey) {
  ForEachFlippedBit<std::string>(std::string(kPublicKeyLine),
                                 [](const auto& changed) { ExpectRefused(changed, kSignatureFile, kMessage); });
  ForEachFlippedBit<std::array<std::byte, 32>>(Key().key, [](const auto& changed) {
    ExpectForged({Key().id, changed}, Sound(), kMessage);
  });
}

TEST(CheckSignature, RefusesEveryBitChangedInTheMessage) {
  ForEachFlippedBit<std::string>(std::string(kMessage), [](const auto& changed) { ExpectForged(Key(), Sound(), changed); });
  for (const std::string changed : {"", "tes", "test ", "test\n", "tset"}) ExpectForged(Key(), Sound(), changed);
}

TEST(CheckSignature, RefusesEveryBitChangedInTheTrustedComment) {
  const auto expect_refused = [](const std::string& changed) {
    Signature signature = Sound();
    signature.trusted_comment = changed;
    ExpectError([&] { CheckSignature(Key(), signature, BytesOf(kMessage)); }, ErrorKind::kInput,
                HasSubstr("the trusted comment or its signature was changed"));
  };
  ForEachFlippedBit<std::string>(Sound().trusted_comment, expect_refused);
  expect_refused("");
  expect_refused(Sound().trusted_comment + " ");
}

TEST(CheckSignature, RefusesTheCommentOfAnotherSignature) {
  const Signer signer;
  Signature signature = signer.Sign("one", "comment of one");
  const Signature other = signer.Sign("two", "comment of two");
  signature.trusted_comment = other.trusted_comment;
  signature.global_signature = other.global_signature;
  ExpectError([&] { CheckSignature(signer.key(), signature, BytesOf("one")); }, ErrorKind::kInput,
              HasSubstr("the trusted comment or its signature was changed"));
}

TEST(CheckSignature, NamesBothKeysWhereTheyDiffer) {
  ExpectError([] { CheckSignature(Signer().key(), Sound(), BytesOf(kMessage)); }, ErrorKind::kInput,
              "the signature was made with key E7620F1842B4E81F, but the public key is that of 30201");
}

TEST(CheckSignature, RefusesAnotherKeyOfTheSameId) {
  PublicKey key = Signer().key();
  key.id = Key().id;
  ExpectForged(key, Sound(), kMessage);
}

// S and S + L satisfy the same equation: without a check of its range a signature would have a second form.
TEST(CheckSignature, RefusesASecondFormOfASignature) {
  const Signer signer;
  Signature signature = signer.Sign("message", "comment");
  CheckSignature(signer.key(), signature, BytesOf("message"));
  AddGroupOrder(signature.signature);
  signer.SignComment(signature);  // else this would be what is refused
  ExpectForged(signer.key(), signature, "message");

  signature = signer.Sign("message", "comment");
  AddGroupOrder(signature.global_signature);
  ExpectError([&] { CheckSignature(signer.key(), signature, BytesOf("message")); }, ErrorKind::kInput,
              HasSubstr("the trusted comment or its signature was changed"));

  signature = Sound();
  AddGroupOrder(signature.signature);
  ExpectForged(Key(), signature, kMessage);
}

TEST(CheckSignature, RefusesAnROfSmallOrder) {
  const Signer signer;
  const Signer::Scalar five = {std::byte{5}};
  std::array<std::byte, 32> point;
  ASSERT_EQ(crypto_scalarmult_ed25519_base_noclamp(Unsigned(point), Unsigned(five)), 0);
  CheckSignature(signer.key(), signer.SignWithNonce("message", point, five), BytesOf("message"));
  ExpectForged(signer.key(), signer.SignWithNonce("message", kNeutral, {}), "message");
}

// With the neutral element as key, R = 5 B and S = 5 satisfy the equation for every message.
TEST(CheckSignature, RefusesAKeyOfSmallOrder) {
  Signature signature{{}, {std::byte{0}}, "comment", {}};
  const Signer::Scalar five = {std::byte{5}};
  RequireSodium();
  ASSERT_EQ(crypto_scalarmult_ed25519_base_noclamp(Unsigned(signature.signature), Unsigned(five)), 0);
  signature.signature[32] = std::byte{5};
  signature.global_signature = signature.signature;
  ExpectForged({{}, kNeutral}, signature, "message");
}

}  // namespace
}  // namespace verillm
