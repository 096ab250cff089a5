// The secret key at rest (docs/formats.md, "Keys and signatures"): two lines of text, in the one form that each key, passphrase,
// salt and nonce has. Usually encrypted: Argon2id (RFC 9106) makes a key of the passphrase, XChaCha20-Poly1305 encrypts the seed
// with it and covers everything else in the file. Beside KEY stands KEY.pub, the public key in minisign's format.
#ifndef VERILLM_SIGNING_KEY_FILE_H_
#define VERILLM_SIGNING_KEY_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "signing/secret_bytes.h"
#include "signing/secret_key.h"

namespace verillm {

// What Argon2id costs whoever tries a passphrase. The defaults are libsodium's MODERATE: about half a second, and memory that
// makes guessing on graphics cards dear. They stand in the file.
struct KeyDerivation {
  std::uint32_t passes = 3;
  std::uint32_t memory_kib = 256 << 10;
};

// The most that a file may ask of its reader, libsodium's SENSITIVE.
constexpr KeyDerivation kMaxKeyDerivation = {.passes = 4, .memory_kib = 1 << 20};

constexpr std::size_t kMaxPassphrase = 1024;  // bytes
constexpr std::size_t kMaxKeyFileBytes = 300;

// Asked for the passphrase of a file that needs one.
using PassphraseSource = std::function<SecretBytes()>;

// The text of the file. Error(kUsage) where the passphrase is empty or longer than kMaxPassphrase, Error(kIo) where there is not
// memory enough to derive the key.
std::string FormatSecretKey(const SecretKey& key, const SecretBytes& passphrase, const KeyDerivation& derivation = {});

// The same without encryption. The text is as secret as the key; wipe it.
std::string FormatUnencryptedSecretKey(const SecretKey& key);

// Error(kInput), naming `what`, where the text is no key file in its one form, where it asks for more than kMaxKeyDerivation, or
// where the passphrase is wrong, which cannot be told from a changed file.
SecretKey ParseSecretKey(std::string_view text, const PassphraseSource& passphrase, std::string_view what);

// What a key file says to those who do not have its passphrase. Nothing vouches for it until the file is decrypted.
struct KeySummary {
  PublicKey public_key;
  bool has_secret_key = false;
  bool encrypted = false;
};

// Of the text of a secret or a public key.
KeySummary SummarizeKey(std::string_view text, std::string_view what);

std::filesystem::path PublicKeyPath(const std::filesystem::path& secret_key_path);

// Error(kUsage) where there is a file of either name already.
void RefuseExistingKeyPair(const std::filesystem::path& path);

// Writes the secret key as `path`, for its owner alone, and the public key beside it. Where existing files are kept, any of these
// two is an error, and nothing is written. Without a passphrase (null) the secret key is not encrypted.
void WriteKeyPair(const std::filesystem::path& path, const SecretKey& key, const SecretBytes* passphrase, Existing existing);

// Errors as ReadFile's and ParseSecretKey's.
SecretKey ReadSecretKey(const std::filesystem::path& path, const PassphraseSource& passphrase);

}  // namespace verillm

#endif  // VERILLM_SIGNING_KEY_FILE_H_
