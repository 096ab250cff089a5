// SHA-256 (FIPS 180-4) as bytes: what trees, challenges and receipts are made of.
#ifndef VERILLM_RECEIPT_HASH_H_
#define VERILLM_RECEIPT_HASH_H_

#include <algorithm>
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

// Error(kInput), naming `what`, unless `hex` is lower-case hexadecimal of `least` to `most` bytes.
std::vector<std::byte> BytesFromHex(std::string_view hex, std::string_view what, std::size_t least, std::size_t most);

// The same of exactly kSize bytes.
template <std::size_t kSize>
std::array<std::byte, kSize> ArrayFromHex(std::string_view hex, std::string_view what) {
  const std::vector<std::byte> bytes = BytesFromHex(hex, what, kSize, kSize);
  std::array<std::byte, kSize> array;
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return array;
}
inline Hash HashFromHex(std::string_view hex, std::string_view what) { return ArrayFromHex<sizeof(Hash)>(hex, what); }

}  // namespace verillm

#endif  // VERILLM_RECEIPT_HASH_H_
