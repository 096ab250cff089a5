// SHA-256 (FIPS 180-4) by OpenSSL: how models and files are named.
#ifndef VERILLM_BASE_DIGEST_H_
#define VERILLM_BASE_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace verillm {

// Lower-case hexadecimal, 64 characters.
std::string Sha256Hex(std::span<const std::byte> bytes);

// Digest of a file, read once. `progress` hears of the bytes done so far, about every 64 MiB. Error(kIo).
std::string Sha256HexOfFile(const std::filesystem::path& path, const std::function<void(std::uint64_t)>& progress = {});

}  // namespace verillm

#endif  // VERILLM_BASE_DIGEST_H_
