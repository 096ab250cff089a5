// The prover's secret key (Ed25519, RFC 8032) and what it signs, in minisign's format (receipt/minisign.h).
#ifndef VERILLM_SIGNING_SECRET_KEY_H_
#define VERILLM_SIGNING_SECRET_KEY_H_

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "receipt/minisign.h"
#include "signing/secret_bytes.h"

namespace verillm {

// The id that we give to a public key: the first 8 bytes of its SHA-256, so that a seed is all there is to keep.
KeyId KeyIdOf(const std::array<std::byte, 32>& public_key);

// Can be moved, not copied, and leaves nothing in memory.
class SecretKey {
 public:
  // A new key from the system's source of randomness.
  static SecretKey Generate();

  // The key that belongs to a seed (RFC 8032's "private key").
  static SecretKey FromSeed(std::span<const std::byte, 32> seed);

  const PublicKey& public_key() const { return public_key_; }
  std::span<const std::byte, 32> seed() const { return secret_.bytes().first<32>(); }

  // The text of a signature file, checked once more before it is given away: a signature that a fault of the machine has damaged
  // could betray the key. Error(kInput) where the comment is none (CheckComment).
  std::string Sign(std::span<const std::byte> message, std::string_view trusted_comment) const;

 private:
  SecretKey() : secret_(crypto_sign_SECRETKEYBYTES) {}

  SecretBytes secret_;  // seed and public key, as libsodium has it
  PublicKey public_key_ = {};
};

}  // namespace verillm

#endif  // VERILLM_SIGNING_SECRET_KEY_H_
