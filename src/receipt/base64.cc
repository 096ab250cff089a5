#include "receipt/base64.h"

#include <fmt/format.h>

#include "base/error.h"
#include "receipt/sodium.h"

namespace verillm {

std::string ToBase64(std::span<const std::byte> bytes) {
  // libsodium ends what it writes with a zero byte, which is also what stands behind the last character of a string.
  std::string text(Base64Size(bytes.size()), '\0');
  sodium_bin2base64(text.data(), text.size() + 1, Unsigned(bytes), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  return text;
}

void FromBase64(std::string_view text, std::span<std::byte> bytes, std::string_view what) {
  const std::size_t size = Base64Size(bytes.size());
  if (text.size() != size) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: has {} characters, where base64 of {} bytes has {}", what, text.size(), bytes.size(), size));
  }
  if (bytes.empty()) return;
  std::size_t n_bytes = 0;
  bool valid = sodium_base642bin(Unsigned(bytes), bytes.size(), text.data(), text.size(), nullptr, &n_bytes, nullptr,
                                 sodium_base64_VARIANT_ORIGINAL) == 0 &&
               n_bytes == bytes.size();
  if (valid) {
    // libsodium takes every character from 0x80 on for a '/'.
    std::string form = ToBase64(bytes);
    valid = form == text;
    sodium_memzero(form.data(), form.size());
  }
  if (!valid) throw Error(ErrorKind::kInput, fmt::format("{}: is not base64 of {} bytes", what, bytes.size()));
}

std::vector<std::byte> BytesFromBase64(std::string_view text, std::string_view what) {
  if (text.size() % 4 != 0) {
    throw Error(ErrorKind::kInput, fmt::format("{}: has {} characters, where base64 has a multiple of 4", what, text.size()));
  }
  const std::size_t n_padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::vector<std::byte> bytes(text.size() / 4 * 3 - n_padding);
  FromBase64(text, bytes, what);
  return bytes;
}

}  // namespace verillm
