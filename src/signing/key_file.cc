#include "signing/key_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/coding.h"
#include "base/error.h"
#include "receipt/base64.h"
#include "receipt/minisign.h"

namespace verillm {
namespace {

constexpr std::string_view kFirstWords = "verillm secret key ";
constexpr std::string_view kTag = "VSK1";

// The kinds of protection, as they stand in files: do not change the values.
constexpr std::byte kUnencrypted{0};
constexpr std::byte kArgon2idXChaCha20Poly1305{1};

constexpr std::size_t kSeed = crypto_sign_SEEDBYTES;
constexpr std::size_t kSalt = crypto_pwhash_argon2id_SALTBYTES;
constexpr std::size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kCipherText = kSeed + crypto_aead_xchacha20poly1305_ietf_ABYTES;

// Where the fields of the second line are. Unencrypted, the seed follows the public key.
constexpr std::size_t kProtectionAt = 4;
constexpr std::size_t kPublicKeyAt = 5;
constexpr std::size_t kSeedAt = 37;
constexpr std::size_t kPassesAt = 37;
constexpr std::size_t kMemoryAt = 41;
constexpr std::size_t kSaltAt = 45;
constexpr std::size_t kNonceAt = kSaltAt + kSalt;
constexpr std::size_t kCipherTextAt = kNonceAt + kNonce;
constexpr std::size_t kUnencryptedSize = kSeedAt + kSeed;
constexpr std::size_t kEncryptedSize = kCipherTextAt + kCipherText;
static_assert(kUnencryptedSize == 69 && kEncryptedSize == 133);

using EncryptedFields = std::array<std::byte, kEncryptedSize>;
using UnencryptedFields = std::array<std::byte, kUnencryptedSize>;

template <typename Fields>
constexpr bool kIsEncrypted = std::tuple_size_v<Fields> == kEncryptedSize;

// The first line is for people, and says nothing that the second one does not.
std::string FirstLine(const KeyId& id, bool encrypted) {
  return fmt::format("{}{}, {}", kFirstWords, KeyIdText(id), encrypted ? "encrypted" : "not encrypted");
}

template <typename Fields>
void StartFields(const PublicKey& key, Fields& fields) {
  std::transform(kTag.begin(), kTag.end(), fields.begin(), [](char c) { return static_cast<std::byte>(c); });
  fields[kProtectionAt] = kIsEncrypted<Fields> ? kArgon2idXChaCha20Poly1305 : kUnencrypted;
  std::copy(key.key.begin(), key.key.end(), fields.begin() + kPublicKeyAt);
}

// In one allocation, so that no copy of a secret is left behind.
std::string TextOf(std::string first_line, std::span<const std::byte> fields) {
  std::string base64 = ToBase64(fields);
  const WipeAtEnd wipe(std::as_writable_bytes(std::span(base64)));
  std::string text;
  text.reserve(first_line.size() + base64.size() + 2);
  return text.append(first_line).append("\n").append(base64).append("\n");
}

// The two lines of `text`.
std::array<std::string_view, 2> SplitLines(std::string_view text, std::string_view what) {
  if (!text.starts_with(kFirstWords)) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is no secret key, which would begin with \"{}\"", what, kFirstWords));
  }
  const std::size_t end = text.find('\n');
  if (text.size() > kMaxKeyFileBytes || end == text.npos || text.find('\n', end + 1) != text.size() - 1) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is not two lines, as a secret key is", what));
  }
  return {text.substr(0, end), text.substr(end + 1, text.size() - end - 2)};
}

bool IsEncrypted(std::string_view second_line, std::string_view what) {
  if (second_line.size() == Base64Size(kEncryptedSize)) return true;
  if (second_line.size() == Base64Size(kUnencryptedSize)) return false;
  throw Error(ErrorKind::kInput, fmt::format("{}: line 2 has {} characters, where a secret key has {} or, not encrypted, {}",
                                             what, second_line.size(), Base64Size(kEncryptedSize), Base64Size(kUnencryptedSize)));
}

// Fills `fields` and checks them as far as that is possible without the secret; gives the public key.
template <typename Fields>
PublicKey ReadFields(const std::array<std::string_view, 2>& lines, Fields& fields, std::string_view what) {
  const std::string line = fmt::format("{}: line 2", what);
  FromBase64(lines[1], fields, line);
  PublicKey key;
  std::copy_n(fields.begin() + kPublicKeyAt, key.key.size(), key.key.begin());
  key.id = KeyIdOf(key.key);
  Fields expected = fields;
  const WipeAtEnd wipe(expected);
  StartFields(key, expected);
  if (expected != fields) {
    throw Error(ErrorKind::kInput, fmt::format("{}: does not begin as version 1 of a secret key, {}encrypted, does", line,
                                               kIsEncrypted<Fields> ? "" : "not "));
  }
  if (const std::string first_line = FirstLine(key.id, kIsEncrypted<Fields>); lines[0] != first_line) {
    throw Error(ErrorKind::kInput, fmt::format("{}: line 1 is not \"{}\", as the key in line 2 wants it", what, first_line));
  }
  return key;
}

void CheckPassphrase(const SecretBytes& passphrase) {
  if (passphrase.bytes().empty()) throw Error(ErrorKind::kUsage, "the passphrase is empty");
  if (passphrase.bytes().size() > kMaxPassphrase) {
    throw Error(ErrorKind::kUsage,
                fmt::format("the passphrase has {} bytes, more than {}", passphrase.bytes().size(), kMaxPassphrase));
  }
}

// The key that encrypts the seed.
SecretBytes DeriveKey(const SecretBytes& passphrase, const EncryptedFields& fields) {
  CheckPassphrase(passphrase);
  const auto passes = LoadLittleEndian<std::uint32_t>(&fields[kPassesAt]);
  const auto memory_kib = LoadLittleEndian<std::uint32_t>(&fields[kMemoryAt]);
  SecretBytes key(crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
  const auto bytes = passphrase.bytes();
  if (crypto_pwhash(Unsigned(key.bytes()), key.bytes().size(), reinterpret_cast<const char*>(bytes.data()), bytes.size(),
                    Unsigned(std::span(fields).subspan<kSaltAt, kSalt>()), passes, std::size_t{memory_kib} << 10,
                    crypto_pwhash_ALG_ARGON2ID13) != 0) {
    throw Error(ErrorKind::kIo,
                fmt::format("deriving a key from the passphrase takes {} MiB of memory, which cannot be had", memory_kib >> 10));
  }
  return key;
}

void CheckDerivation(const EncryptedFields& fields, std::string_view what) {
  const auto check = [&](std::size_t at, std::uint32_t least, std::uint32_t most, std::string_view unit) {
    const auto value = LoadLittleEndian<std::uint32_t>(&fields[at]);
    if (value < least || value > most) {
      throw Error(ErrorKind::kInput,
                  fmt::format("{}: asks for {} {} of Argon2id, where {} to {} are accepted", what, value, unit, least, most));
    }
  };
  check(kPassesAt, crypto_pwhash_argon2id_OPSLIMIT_MIN, kMaxKeyDerivation.passes, "passes");
  check(kMemoryAt, crypto_pwhash_argon2id_MEMLIMIT_MIN >> 10, kMaxKeyDerivation.memory_kib, "KiB");
}

SecretKey KeyOfSeed(std::span<const std::byte, kSeed> seed, const PublicKey& public_key, std::string_view what) {
  SecretKey key = SecretKey::FromSeed(seed);
  if (key.public_key() != public_key) {
    throw Error(ErrorKind::kInput, fmt::format("{}: the secret key does not belong to the public key beside it", what));
  }
  return key;
}

SecretKey ParseUnencrypted(const std::array<std::string_view, 2>& lines, std::string_view what) {
  UnencryptedFields fields;
  const WipeAtEnd wipe(fields);
  const PublicKey public_key = ReadFields(lines, fields, what);
  return KeyOfSeed(std::as_bytes(std::span(fields)).subspan<kSeedAt, kSeed>(), public_key, what);
}

SecretKey ParseEncrypted(const std::array<std::string_view, 2>& lines, const PassphraseSource& passphrase,
                         std::string_view what) {
  EncryptedFields fields;
  const PublicKey public_key = ReadFields(lines, fields, what);
  CheckDerivation(fields, what);
  const SecretBytes key = DeriveKey(passphrase(), fields);
  const auto bytes = std::as_bytes(std::span(fields));
  SecretBytes seed(kSeed);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          Unsigned(seed.bytes()), nullptr, nullptr, Unsigned(bytes.subspan<kCipherTextAt>()), kCipherText, Unsigned(bytes),
          kCipherTextAt, Unsigned(bytes.subspan<kNonceAt, kNonce>()), Unsigned(key.bytes())) != 0) {
    throw Error(ErrorKind::kInput, fmt::format("{}: the passphrase is wrong, or the file was changed", what));
  }
  return KeyOfSeed(std::as_const(seed).bytes().first<kSeed>(), public_key, what);
}

}  // namespace

std::string FormatSecretKey(const SecretKey& key, const SecretBytes& passphrase, const KeyDerivation& derivation) {
  EncryptedFields fields;
  StartFields(key.public_key(), fields);
  StoreLittleEndian(derivation.passes, &fields[kPassesAt]);
  StoreLittleEndian(derivation.memory_kib, &fields[kMemoryAt]);
  CheckDerivation(fields, "new secret key");
  randombytes_buf(&fields[kSaltAt], kSalt + kNonce);
  const SecretBytes derived = DeriveKey(passphrase, fields);
  const std::span bytes(fields);
  crypto_aead_xchacha20poly1305_ietf_encrypt(Unsigned(bytes.subspan<kCipherTextAt>()), nullptr, Unsigned(key.seed()), kSeed,
                                             Unsigned(bytes), kCipherTextAt, nullptr, Unsigned(bytes.subspan<kNonceAt, kNonce>()),
                                             Unsigned(derived.bytes()));
  return TextOf(FirstLine(key.public_key().id, true), fields);
}

std::string FormatUnencryptedSecretKey(const SecretKey& key) {
  UnencryptedFields fields;
  const WipeAtEnd wipe(fields);
  StartFields(key.public_key(), fields);
  std::copy_n(key.seed().begin(), kSeed, fields.begin() + kSeedAt);
  return TextOf(FirstLine(key.public_key().id, false), fields);
}

SecretKey ParseSecretKey(std::string_view text, const PassphraseSource& passphrase, std::string_view what) {
  const auto lines = SplitLines(text, what);
  return IsEncrypted(lines[1], what) ? ParseEncrypted(lines, passphrase, what) : ParseUnencrypted(lines, what);
}

KeySummary SummarizeKey(std::string_view text, std::string_view what) {
  if (!text.starts_with(kFirstWords)) return {.public_key = ParsePublicKey(text, what)};
  const auto lines = SplitLines(text, what);
  if (!IsEncrypted(lines[1], what)) {
    return {.public_key = ParseUnencrypted(lines, what).public_key(), .has_secret_key = true};
  }
  EncryptedFields fields;
  return {.public_key = ReadFields(lines, fields, what), .has_secret_key = true, .encrypted = true};
}

std::filesystem::path PublicKeyPath(const std::filesystem::path& secret_key_path) { return secret_key_path.string() + ".pub"; }

void RefuseExistingKeyPair(const std::filesystem::path& path) {
  for (const auto& name : {path, PublicKeyPath(path)}) {
    // Not exists(), which follows links.
    std::error_code ignored;
    if (std::filesystem::symlink_status(name, ignored).type() != std::filesystem::file_type::not_found) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: exists already; choose another name, or --force to replace it (the old key is "
                              "then lost)",
                              name.string()));
    }
  }
}

void WriteKeyPair(const std::filesystem::path& path, const SecretKey& key, const SecretBytes* passphrase, Existing existing) {
  if (existing == Existing::kKept) RefuseExistingKeyPair(path);
  std::string text = passphrase != nullptr ? FormatSecretKey(key, *passphrase) : FormatUnencryptedSecretKey(key);
  const WipeAtEnd wipe(std::as_writable_bytes(std::span(text)));
  // The secret one first: the public one can be made of it.
  WritePrivateFile(path, text, existing);
  WriteFile(PublicKeyPath(path),
            FormatPublicKey(key.public_key(), fmt::format("verillm public key {}", KeyIdText(key.public_key().id))), existing);
}

SecretKey ReadSecretKey(const std::filesystem::path& path, const PassphraseSource& passphrase) {
  std::string text = ReadFile(path, kMaxKeyFileBytes);
  const WipeAtEnd wipe(std::as_writable_bytes(std::span(text)));
  return ParseSecretKey(text, passphrase, path.string());
}

}  // namespace verillm
