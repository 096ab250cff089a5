#include "signing/secret_key.h"

#include <fmt/format.h>

#include <algorithm>

#include "receipt/hash.h"

namespace verillm {

KeyId KeyIdOf(const std::array<std::byte, 32>& public_key) {
  const Hash hash = Sha256({public_key});
  KeyId id;
  std::copy_n(hash.begin(), id.size(), id.begin());
  return id;
}

SecretKey SecretKey::Generate() {
  SecretBytes seed(crypto_sign_SEEDBYTES);
  randombytes_buf(seed.bytes().data(), seed.bytes().size());
  return FromSeed(std::as_const(seed).bytes().first<32>());
}

SecretKey SecretKey::FromSeed(std::span<const std::byte, 32> seed) {
  SecretKey key;
  crypto_sign_seed_keypair(Unsigned(key.public_key_.key), Unsigned(key.secret_.bytes()), Unsigned(seed));
  key.public_key_.id = KeyIdOf(key.public_key_.key);
  return key;
}

std::string SecretKey::Sign(std::span<const std::byte> message, std::string_view trusted_comment) const {
  Signature signature{public_key_.id, {}, std::string(trusted_comment), {}};
  const auto sign = [&](std::array<std::byte, 64>& target, std::span<const std::byte> bytes) {
    crypto_sign_detached(Unsigned(target), nullptr, Unsigned(bytes), bytes.size(), Unsigned(secret_.bytes()));
  };
  sign(signature.signature, DigestToSign(message));
  sign(signature.global_signature, CommentToSign(signature));
  const std::string text =
      FormatSignature(signature, fmt::format("signature made by verillm with key {}", KeyIdText(public_key_.id)));
  CheckSignature(public_key_, ParseSignature(text, "new signature"), message);
  return text;
}

}  // namespace verillm
