// SHA-256 (FIPS 180-4) as bytes: what trees, challenges and receipts are made of.
#ifndef VERILLM_RECEIPT_HASH_H_
#define VERILLM_RECEIPT_HASH_H_

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

using Hash = std::array<std::byte, 32>;

// Of the concatenation of the parts.
Hash Sha256(std::initializer_list<std::span<const std::byte>> parts);

// Of `prefix` and then the parts. Hashes that mean different things begin with different prefixes, so that none passes for
// another.
Hash Sha256(std::byte prefix, std::initializer_list<std::span<const std::byte>> parts);

// Lower-case hexadecimal.
std::string ToHex(std::span<const std::byte> bytes);

// Error(kInput), naming `what`, unless `hex` is exactly 64 lower-case hexadecimal digits.
Hash HashFromHex(std::string_view hex, std::string_view what);

// Error(kInput), naming `what`, unless `hex` is lower-case hexadecimal of `least` to `most` bytes.
std::vector<std::byte> BytesFromHex(std::string_view hex, std::string_view what, std::size_t least, std::size_t most);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_HASH_H_
