// Bytes of texts, and integers in byte strings: the only place where byte order is decided. Ours is little-endian; what others
// defined may be big-endian.
#ifndef VERILLM_BASE_CODING_H_
#define VERILLM_BASE_CODING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace verillm {

inline std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

template <typename Integer>
Integer LoadLittleEndian(const std::byte* bytes) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>(value | (static_cast<Integer>(bytes[i]) << (8 * i)));
  }
  return value;
}

template <typename Integer>
void StoreLittleEndian(Integer value, std::byte* bytes) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
}

template <typename Integer>
Integer LoadBigEndian(const std::byte* bytes) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>(value | (static_cast<Integer>(bytes[i]) << (8 * (sizeof(Integer) - 1 - i))));
  }
  return value;
}

template <typename Integer>
void StoreBigEndian(Integer value, std::byte* bytes) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    bytes[i] = static_cast<std::byte>(value >> (8 * (sizeof(Integer) - 1 - i)));
  }
}

}  // namespace verillm

#endif  // VERILLM_BASE_CODING_H_
