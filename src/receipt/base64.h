// Base64 (RFC 4648 section 4) in the one form that each byte string has: padded, without spaces or line breaks, and with zeros in
// the bits that the padding leaves over. A second spelling of the same bytes would let somebody change a file without changing
// what it says.
#ifndef VERILLM_RECEIPT_BASE64_H_
#define VERILLM_RECEIPT_BASE64_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

constexpr std::size_t Base64Size(std::size_t n_bytes) { return (n_bytes + 2) / 3 * 4; }

std::string ToBase64(std::span<const std::byte> bytes);

// Fills `bytes`. Error(kInput), naming `what` but not the text, which may be secret, unless `text` is the form of exactly so
// many.
void FromBase64(std::string_view text, std::span<std::byte> bytes, std::string_view what);

// As many bytes as the text is of. Error(kInput) in the same way.
std::vector<std::byte> BytesFromBase64(std::string_view text, std::string_view what);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_BASE64_H_
