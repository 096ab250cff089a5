// The door to libsodium: it has to be initialised before its first use, and it counts in unsigned char.
#ifndef VERILLM_RECEIPT_SODIUM_H_
#define VERILLM_RECEIPT_SODIUM_H_

#include <sodium.h>

#include <cstddef>
#include <type_traits>

#include "base/error.h"

namespace verillm {

// Error(kIo) where libsodium finds no source of randomness. Any number of times, from any thread.
inline void RequireSodium() {
  static const bool ready = sodium_init() >= 0;
  if (!ready) throw Error(ErrorKind::kIo, "libsodium cannot be used: this system has no source of randomness");
}

// Where the bytes of a span, array or vector begin.
template <typename Bytes>
auto Unsigned(Bytes&& bytes) {
  using Byte = std::remove_pointer_t<decltype(bytes.data())>;
  static_assert(std::is_same_v<std::remove_const_t<Byte>, std::byte>);
  using Char = std::conditional_t<std::is_const_v<Byte>, const unsigned char, unsigned char>;
  return reinterpret_cast<Char*>(bytes.data());
}

}  // namespace verillm

#endif  // VERILLM_RECEIPT_SODIUM_H_
