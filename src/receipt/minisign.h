// Public keys and signatures in minisign's format (https://jedisct1.github.io/minisign/, "Signature format"), so that a receipt
// can be checked with `minisign -Vm` as well. Checking only; signing is another module's.
//
// A signature file has four lines, of which only the first is not covered by a signature:
//
//   untrusted comment: <text>
//   base64 of: "ED", key id (8 bytes), signature (64 bytes) of the BLAKE2b-512 digest of the message
//   trusted comment: <text>
//   base64 of: signature (64 bytes) of the first signature and the trusted comment, the "global signature"
//
// Signatures are Ed25519 (RFC 8032). Of each message, key and comment a signature has one form that is accepted.
#ifndef VERILLM_RECEIPT_MINISIGN_H_
#define VERILLM_RECEIPT_MINISIGN_H_

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

// Which key: a hint for people, no proof, since anybody can make a key of any id.
using KeyId = std::array<std::byte, 8>;

// As minisign prints it: the hexadecimal digits, in upper case and without leading zeros, of the id as a little-endian number.
std::string KeyIdText(const KeyId& id);

struct PublicKey {
  KeyId id;
  std::array<std::byte, 32> key;

  bool operator==(const PublicKey&) const = default;
};

// Longest comments, in bytes: what minisign's own buffers (1024 and 8192 bytes) hold beside the words in front of them.
constexpr std::size_t kMaxUntrustedComment = 1000;
constexpr std::size_t kMaxTrustedComment = 8000;

// What a public key or a signature can have at most; for reading files.
constexpr std::size_t kMaxPublicKeyBytes = 1200;
constexpr std::size_t kMaxSignatureBytes = 9400;

// Reads a .pub file (a line "untrusted comment: ..." and one of base64) or the line of base64 alone. Error(kInput), naming `what`
// and the line, where it is anything else, or where the key is none that a secret key belongs to: for a point of small order
// anybody could make signatures.
PublicKey ParsePublicKey(std::string_view text, std::string_view what);

// The line of base64 alone, and a .pub file. Error(kInput) where the comment is none (see CheckComment).
std::string PublicKeyLine(const PublicKey& key);
std::string FormatPublicKey(const PublicKey& key, std::string_view comment);

struct Signature {
  KeyId key_id;
  std::array<std::byte, 64> signature;
  std::string trusted_comment;  // to be believed, and shown, only after CheckSignature
  std::array<std::byte, 64> global_signature;
};

// Reads a signature file: exactly the four lines above, each ended by a line feed. Error(kInput), naming `what` and the line.
// The algorithm "Ed", by which older versions of minisign sign the message itself and not its digest, is refused. The two letters
// are not signed: who accepts both takes one signature for two messages, for M and for the 64 bytes of M's digest.
Signature ParseSignature(std::string_view text, std::string_view what);
std::string FormatSignature(const Signature& signature, std::string_view untrusted_comment);

// Error(kInput), naming `what`, unless `comment` is one line of at most `max_bytes` of UTF-8 without control characters other
// than tabs: comments are shown, and a terminal obeys control characters.
void CheckComment(std::string_view comment, std::size_t max_bytes, std::string_view what);

// What the two signatures of a file sign.
std::array<std::byte, 64> DigestToSign(std::span<const std::byte> message);
std::vector<std::byte> CommentToSign(const Signature& signature);

// Error(kInput) saying which check failed: the key id (both are named), the signature of the message, or that of the trusted
// comment.
void CheckSignature(const PublicKey& key, const Signature& signature, std::span<const std::byte> message);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_MINISIGN_H_
