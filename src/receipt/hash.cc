#include "receipt/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>

#include "base/error.h"

namespace verillm {
namespace {

// Fetched once: OpenSSL 3 looks an algorithm up by name otherwise, which takes longer than hashing a short message.
const EVP_MD* Algorithm() {
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free);
  return algorithm.get();
}

// Ready for a new message. One context a thread: making one takes longer than hashing a short message, too.
EVP_MD_CTX* Begin() {
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex2(context.get(), Algorithm(), nullptr) != 1) {
    throw Error(ErrorKind::kIo, "OpenSSL offers no SHA-256");
  }
  return context.get();
}

Hash Finish(EVP_MD_CTX* context, std::initializer_list<std::span<const std::byte>> parts) {
  for (const auto part : parts) EVP_DigestUpdate(context, part.data(), part.size());
  Hash hash;
  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(hash.data()), nullptr);
  return hash;
}

int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Hash Sha256(std::initializer_list<std::span<const std::byte>> parts) { return Finish(Begin(), parts); }

Hash Sha256(std::byte prefix, std::initializer_list<std::span<const std::byte>> parts) {
  EVP_MD_CTX* const context = Begin();
  EVP_DigestUpdate(context, &prefix, 1);
  return Finish(context, parts);
}

std::string ToHex(std::span<const std::byte> bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return hex;
}

std::vector<std::byte> BytesFromHex(std::string_view hex, std::string_view what, std::size_t least, std::size_t most) {
  std::vector<std::byte> bytes;
  bool valid = hex.size() % 2 == 0 && hex.size() >= 2 * least && hex.size() <= 2 * most;
  for (std::size_t i = 0; valid && i < hex.size(); i += 2) {
    const int high = DigitOf(hex[i]);
    const int low = DigitOf(hex[i + 1]);
    valid = high >= 0 && low >= 0;
    bytes.push_back(static_cast<std::byte>(16 * high + low));
  }
  if (!valid) {
    const std::string length = least == most ? fmt::format("{}", 2 * least) : fmt::format("{} to {}", 2 * least, 2 * most);
    throw Error(ErrorKind::kInput, fmt::format("{}: \"{}\" is not {} lower-case hexadecimal digits", what, hex, length));
  }
  return bytes;
}

}  // namespace verillm
