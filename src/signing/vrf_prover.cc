#include "signing/vrf_prover.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "receipt/sodium.h"
#include "signing/secret_bytes.h"

namespace verillm {
namespace {

void Require(int result) {
  if (result != 0) throw Error(ErrorKind::kIo, "libsodium could not compute a VRF proof");
}

// What must not be left in memory.
struct Secrets {
  std::array<std::byte, 64> hashed_seed;    // x before clamping, then the prefix of nonces
  std::array<std::byte, 64> nonce_message;  // prefix and input point
  std::array<std::byte, 64> unreduced_nonce;
  EdwardsScalar key;      // x
  EdwardsScalar nonce;    // k
  EdwardsScalar product;  // c x
};

// RFC 8032 section 5.1.5.
void DeriveKey(std::span<const std::byte, 32> seed, Secrets& secrets) {
  crypto_hash_sha512(Unsigned(secrets.hashed_seed), Unsigned(seed), seed.size());
  std::copy_n(secrets.hashed_seed.begin(), secrets.key.size(), secrets.key.begin());
  secrets.key[0] &= std::byte{0xf8};
  secrets.key[31] &= std::byte{0x7f};
  secrets.key[31] |= std::byte{0x40};
}

// RFC 9381 section 5.4.2.2.
void DeriveNonce(const EdwardsPoint& input, Secrets& secrets) {
  const auto message = secrets.nonce_message.begin();
  std::copy(input.begin(), input.end(), std::copy_n(secrets.hashed_seed.begin() + 32, 32, message));
  crypto_hash_sha512(Unsigned(secrets.unreduced_nonce), Unsigned(secrets.nonce_message), secrets.nonce_message.size());
  crypto_core_ed25519_scalar_reduce(Unsigned(secrets.nonce), Unsigned(secrets.unreduced_nonce));
}

EdwardsPoint TimesBase(const EdwardsScalar& secret) {
  EdwardsPoint product;
  Require(crypto_scalarmult_ed25519_base_noclamp(Unsigned(product), Unsigned(secret)));
  return product;
}

// In constant time, unlike Times(), for a point of prime order.
EdwardsPoint TimesSecret(const EdwardsScalar& secret, const EdwardsPoint& point) {
  EdwardsPoint product;
  Require(crypto_scalarmult_ed25519_noclamp(Unsigned(product), Unsigned(secret), Unsigned(point)));
  return product;
}

}  // namespace

VrfProof ProveVrf(std::span<const std::byte, 32> seed, std::span<const std::byte> alpha) {
  RequireSodium();
  Secrets secrets;
  const WipeAtEnd wipe(std::as_writable_bytes(std::span(&secrets, 1)));
  DeriveKey(seed, secrets);
  const EdwardsPoint public_key = TimesBase(secrets.key);
  const EdwardsPoint input = VrfInputPoint(public_key, alpha);
  DeriveNonce(input, secrets);

  const EdwardsPoint gamma = TimesSecret(secrets.key, input);
  const EdwardsScalar challenge =
      VrfChallenge(public_key, input, gamma, TimesBase(secrets.nonce), TimesSecret(secrets.nonce, input));
  EdwardsScalar response;  // s = k + c x mod q
  crypto_core_ed25519_scalar_mul(Unsigned(secrets.product), Unsigned(challenge), Unsigned(secrets.key));
  crypto_core_ed25519_scalar_add(Unsigned(response), Unsigned(secrets.nonce), Unsigned(secrets.product));

  VrfProof proof;
  auto end = std::copy(gamma.begin(), gamma.end(), proof.begin());
  end = std::copy_n(challenge.begin(), 16, end);
  std::copy(response.begin(), response.end(), end);
  VerifyVrf(public_key, alpha, proof);
  return proof;
}

}  // namespace verillm
