// Which positions of a response a prover must open: drawn from the receipt's root and a beacon, public randomness that nobody
// knew when the receipt was signed. Any party derives the same, in any language:
//
//   block(i) = SHA-256("verillm challenge v1" | root | length of the beacon | beacon | first | n | i)
//
// with lengths and numbers of 8 bytes little-endian. The blocks i = 0, 1, ... are read as a stream of 64-bit little-endian
// numbers. A number from n * floor(2^64 / n) on is skipped, so that every remainder is as likely; else its remainder modulo n is
// drawn, unless it was drawn before, until there are `count`. The positions are `first` plus what was drawn, in ascending order.
// So those of a larger count contain those of a smaller one.
#ifndef VERILLM_RECEIPT_CHALLENGE_H_
#define VERILLM_RECEIPT_CHALLENGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "receipt/hash.h"

namespace verillm {

// `count` of the `n` positions from `first` on, ascending; all of them where there are no more. Error(kUsage) unless n > 0 and
// the beacon has 16 to 64 bytes.
std::vector<int> ChallengedPositions(const Hash& root, std::span<const std::byte> beacon, int first, int n, int count);

// A beacon in hexadecimal; Error(kInput) unless it is 16 to 64 bytes of lower-case digits.
std::vector<std::byte> ParseBeacon(std::string_view hex);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_CHALLENGE_H_
