#include "receipt/minisign.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "base/coding.h"
#include "base/error.h"
#include "base/json.h"
#include "receipt/base64.h"
#include "receipt/sodium.h"

namespace verillm {
namespace {

constexpr std::string_view kUntrustedPrefix = "untrusted comment: ";
constexpr std::string_view kTrustedPrefix = "trusted comment: ";
constexpr std::string_view kKeyAlgorithm = "Ed";
constexpr std::string_view kSignatureAlgorithm = "ED";
constexpr std::string_view kLegacyAlgorithm = "Ed";

// The binary form of both keys and signatures: two letters, the key id, the rest.
template <std::size_t kSize>
struct Tagged {
  std::string algorithm;
  KeyId id;
  std::array<std::byte, kSize> rest;
};

template <std::size_t kSize>
Tagged<kSize> ParseTagged(std::string_view line, std::string_view what) {
  std::array<std::byte, 2 + sizeof(KeyId) + kSize> bytes;
  FromBase64(line, bytes, what);
  Tagged<kSize> tagged;
  tagged.algorithm = {static_cast<char>(bytes[0]), static_cast<char>(bytes[1])};
  std::copy_n(bytes.begin() + 2, tagged.id.size(), tagged.id.begin());
  std::copy_n(bytes.begin() + 2 + sizeof(KeyId), kSize, tagged.rest.begin());
  return tagged;
}

template <std::size_t kSize>
std::string FormatTagged(std::string_view algorithm, const KeyId& id, const std::array<std::byte, kSize>& rest) {
  std::vector<std::byte> bytes = {static_cast<std::byte>(algorithm[0]), static_cast<std::byte>(algorithm[1])};
  bytes.insert(bytes.end(), id.begin(), id.end());
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return ToBase64(bytes);
}

// Two letters of an algorithm that is not ours, as they may be shown.
std::string Shown(std::string_view algorithm) {
  std::string shown;
  for (const char c : algorithm) shown += c > ' ' && c <= '~' ? std::string(1, c) : fmt::format("\\x{:02x}", c & 0xff);
  return shown;
}

// The comment of a line that begins with `prefix`.
std::string_view ParseComment(std::string_view line, std::string_view prefix, std::size_t max_bytes, std::string_view what) {
  if (!line.starts_with(prefix)) throw Error(ErrorKind::kInput, fmt::format("{}: does not begin with \"{}\"", what, prefix));
  line.remove_prefix(prefix.size());
  CheckComment(line, max_bytes, what);
  return line;
}

void CheckSize(std::string_view text, std::size_t max_bytes, std::string_view what) {
  if (text.size() > max_bytes) {
    throw Error(ErrorKind::kInput, fmt::format("{}: {} bytes are more than the {} it may have", what, text.size(), max_bytes));
  }
}

std::string Line(std::string_view what, int number) { return fmt::format("{}: line {}", what, number); }

bool Verifies(const PublicKey& key, std::span<const std::byte, 64> signature, std::span<const std::byte> message) {
  return crypto_sign_verify_detached(Unsigned(signature), Unsigned(message), message.size(), Unsigned(key.key)) == 0;
}

}  // namespace

std::string KeyIdText(const KeyId& id) { return fmt::format("{:X}", LoadLittleEndian<std::uint64_t>(id.data())); }

PublicKey ParsePublicKey(std::string_view text, std::string_view what) {
  RequireSodium();
  CheckSize(text, kMaxPublicKeyBytes, what);
  if (text.ends_with('\n')) text.remove_suffix(1);
  int line = 1;
  if (const std::size_t end = text.find('\n'); end != text.npos) {
    ParseComment(text.substr(0, end), kUntrustedPrefix, kMaxUntrustedComment, Line(what, line));
    text.remove_prefix(end + 1);
    ++line;
  }
  const auto [algorithm, id, key] = ParseTagged<32>(text, Line(what, line));
  if (algorithm != kKeyAlgorithm) {
    throw Error(ErrorKind::kInput, fmt::format("{}: the algorithm is \"{}\", where a public key of Ed25519 has \"{}\"",
                                               Line(what, line), Shown(algorithm), kKeyAlgorithm));
  }
  // On the curve, in its canonical encoding, and of the group's prime order.
  if (crypto_core_ed25519_is_valid_point(Unsigned(key)) != 1) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is no public key of Ed25519", Line(what, line)));
  }
  return {id, key};
}

std::string PublicKeyLine(const PublicKey& key) { return FormatTagged(kKeyAlgorithm, key.id, key.key); }

std::string FormatPublicKey(const PublicKey& key, std::string_view comment) {
  CheckComment(comment, kMaxUntrustedComment, "comment");
  return fmt::format("{}{}\n{}\n", kUntrustedPrefix, comment, PublicKeyLine(key));
}

Signature ParseSignature(std::string_view text, std::string_view what) {
  CheckSize(text, kMaxSignatureBytes, what);
  std::array<std::string_view, 4> lines;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t end = text.find('\n');
    if (end == text.npos) {
      throw Error(ErrorKind::kInput, fmt::format("{}: the file ends before the end of this line; a signature has four",
                                                 Line(what, static_cast<int>(i) + 1)));
    }
    lines[i] = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  if (!text.empty()) throw Error(ErrorKind::kInput, fmt::format("{}: follows the end of the signature", Line(what, 5)));

  ParseComment(lines[0], kUntrustedPrefix, kMaxUntrustedComment, Line(what, 1));
  const auto [algorithm, id, signature] = ParseTagged<64>(lines[1], Line(what, 2));
  if (algorithm == kLegacyAlgorithm) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: the algorithm is \"{}\", minisign's older one, which signs the message and not its digest; a "
                            "signature that may be either could stand for two messages: sign with \"{}\" (without -l)",
                            Line(what, 2), kLegacyAlgorithm, kSignatureAlgorithm));
  }
  if (algorithm != kSignatureAlgorithm) {
    throw Error(ErrorKind::kInput, fmt::format("{}: the algorithm is \"{}\", where \"{}\" is the one accepted", Line(what, 2),
                                               Shown(algorithm), kSignatureAlgorithm));
  }
  const auto trusted_comment = ParseComment(lines[2], kTrustedPrefix, kMaxTrustedComment, Line(what, 3));
  Signature parsed{id, signature, std::string(trusted_comment), {}};
  FromBase64(lines[3], parsed.global_signature, Line(what, 4));
  return parsed;
}

std::string FormatSignature(const Signature& signature, std::string_view untrusted_comment) {
  CheckComment(untrusted_comment, kMaxUntrustedComment, "untrusted comment");
  CheckComment(signature.trusted_comment, kMaxTrustedComment, "trusted comment");
  return fmt::format("{}{}\n{}\n{}{}\n{}\n", kUntrustedPrefix, untrusted_comment,
                     FormatTagged(kSignatureAlgorithm, signature.key_id, signature.signature), kTrustedPrefix,
                     signature.trusted_comment, ToBase64(signature.global_signature));
}

void CheckComment(std::string_view comment, std::size_t max_bytes, std::string_view what) {
  if (comment.size() > max_bytes) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: a comment of {} bytes is longer than the {} it may have", what, comment.size(), max_bytes));
  }
  if (ToValidUtf8(comment) != comment) throw Error(ErrorKind::kInput, fmt::format("{}: the comment is not UTF-8", what));
  for (std::size_t i = 0; i < comment.size(); ++i) {
    const auto byte = static_cast<unsigned char>(comment[i]);
    // In UTF-8 the control characters U+0080 to U+009F are 0xc2 and one of 0x80 to 0x9f.
    const bool high_control = byte == 0xc2 && static_cast<unsigned char>(comment[i + 1]) < 0xa0;
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f || high_control) {
      throw Error(ErrorKind::kInput, fmt::format("{}: the comment has a control character at byte {}", what, i));
    }
  }
}

std::array<std::byte, 64> DigestToSign(std::span<const std::byte> message) {
  RequireSodium();
  std::array<std::byte, 64> digest;
  crypto_generichash(Unsigned(digest), digest.size(), Unsigned(message), message.size(), nullptr, 0);
  return digest;
}

std::vector<std::byte> CommentToSign(const Signature& signature) {
  std::vector<std::byte> bytes(signature.signature.begin(), signature.signature.end());
  const auto comment = std::as_bytes(std::span(signature.trusted_comment));
  bytes.insert(bytes.end(), comment.begin(), comment.end());
  return bytes;
}

void CheckSignature(const PublicKey& key, const Signature& signature, std::span<const std::byte> message) {
  if (signature.key_id != key.id) {
    throw Error(ErrorKind::kInput, fmt::format("the signature was made with key {}, but the public key is that of {}",
                                               KeyIdText(signature.key_id), KeyIdText(key.id)));
  }
  // libsodium refuses the second forms that a valid signature could be given, S of the group's order or above and an R in another
  // encoding, and keys and Rs of small order.
  if (!Verifies(key, signature.signature, DigestToSign(message))) {
    throw Error(
        ErrorKind::kInput,
        fmt::format("the signature does not belong to this message and key {}: one of them was changed", KeyIdText(key.id)));
  }
  if (!Verifies(key, signature.global_signature, CommentToSign(signature))) {
    throw Error(ErrorKind::kInput,
                "the trusted comment or its signature was changed: the message is signed, but with another comment");
  }
}

}  // namespace verillm
