// The group of points of edwards25519 (RFC 8032 section 5.1) in variable time, for checking what others computed: no argument may
// be secret.
//
// A point is its encoding. libsodium decodes and encodes at every operation, which costs some microseconds and saves a second
// kind of point. The curve has 8 q points, q prime; those that somebody sends need not be of order q. libsodium adds any points,
// but multiplies those of order q only, which Times() makes good.
#ifndef VERILLM_RECEIPT_EDWARDS25519_H_
#define VERILLM_RECEIPT_EDWARDS25519_H_

#include <array>
#include <cstddef>

namespace verillm {

using EdwardsPoint = std::array<std::byte, 32>;
using EdwardsScalar = std::array<std::byte, 32>;  // little-endian

// The neutral element, y = 1, and the base point of order q, y = 4/5.
inline constexpr EdwardsPoint kNeutralPoint = {std::byte{1}};
inline constexpr EdwardsPoint kBasePoint = [] {
  EdwardsPoint point;
  point.fill(std::byte{0x66});
  point[0] = std::byte{0x58};
  return point;
}();

// Whether the bytes decode as RFC 8032 section 5.1.3 says: a point of the curve, of any order, in its one encoding. The functions
// below expect such points; Error(kInput) for bytes that are no point at all.
bool IsPoint(const EdwardsPoint& bytes);

EdwardsPoint Add(const EdwardsPoint& a, const EdwardsPoint& b);
EdwardsPoint Subtract(const EdwardsPoint& a, const EdwardsPoint& b);
EdwardsPoint TimesCofactor(const EdwardsPoint& point);

// The scalar is below 2^255 and need not be below q.
EdwardsPoint Times(const EdwardsScalar& scalar, const EdwardsPoint& point);

// Whether the scalar is below q.
bool IsReduced(const EdwardsScalar& scalar);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_EDWARDS25519_H_
