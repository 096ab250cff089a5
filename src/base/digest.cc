#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace verillm {
namespace {

constexpr std::size_t kStep = std::size_t{64} << 20;

// Feeds `bytes` in steps, telling `progress` after each.
std::string Digest(std::span<const std::byte> bytes, const std::function<void(std::uint64_t)>& progress) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
    throw Error(ErrorKind::kIo, "OpenSSL offers no SHA-256");
  }
  for (std::size_t done = 0; done < bytes.size(); done += kStep) {
    const auto step = bytes.subspan(done, std::min(kStep, bytes.size() - done));
    EVP_DigestUpdate(context.get(), step.data(), step.size());
    if (progress) progress(done + step.size());
  }
  std::array<unsigned char, 32> digest{};
  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace

std::string Sha256Hex(std::span<const std::byte> bytes) { return Digest(bytes, {}); }

std::string Sha256HexOfFile(const std::filesystem::path& path, const std::function<void(std::uint64_t)>& progress) {
  const MappedFile file(path);
  return Digest(file.bytes(), progress);
}

}  // namespace verillm
