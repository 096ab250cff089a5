#include "receipt/edwards25519.h"

#include <algorithm>

#include "base/error.h"
#include "receipt/sodium.h"

namespace verillm {
namespace {

void Require(int result) {
  if (result != 0) throw Error(ErrorKind::kInput, "edwards25519: is no point of the curve");
}

EdwardsScalar DividedByEight(const EdwardsScalar& scalar) {
  EdwardsScalar quotient;
  for (std::size_t i = 0; i < scalar.size(); ++i) {
    const std::byte above = i + 1 < scalar.size() ? scalar[i + 1] : std::byte{0};
    quotient[i] = (scalar[i] >> 3) | (above << 5);
  }
  return quotient;
}

}  // namespace

// libsodium also decodes a y of p and above, and an x of 0 with a sign. What it encodes, here the same point, has neither.
bool IsPoint(const EdwardsPoint& bytes) {
  RequireSodium();
  EdwardsPoint sum;
  return crypto_core_ed25519_add(Unsigned(sum), Unsigned(bytes), Unsigned(kNeutralPoint)) == 0 && sum == bytes;
}

EdwardsPoint Add(const EdwardsPoint& a, const EdwardsPoint& b) {
  EdwardsPoint sum;
  Require(crypto_core_ed25519_add(Unsigned(sum), Unsigned(a), Unsigned(b)));
  return sum;
}

EdwardsPoint Subtract(const EdwardsPoint& a, const EdwardsPoint& b) {
  EdwardsPoint difference;
  Require(crypto_core_ed25519_sub(Unsigned(difference), Unsigned(a), Unsigned(b)));
  return difference;
}

EdwardsPoint TimesCofactor(const EdwardsPoint& point) {
  const EdwardsPoint twice = Add(point, point);
  const EdwardsPoint four_times = Add(twice, twice);
  return Add(four_times, four_times);
}

// n P = (n mod 8) P + floor(n / 8) (8 P), where 8 P has order q unless P has small order, and floor(n / 8) is below q.
EdwardsPoint Times(const EdwardsScalar& scalar, const EdwardsPoint& point) {
  EdwardsPoint product = kNeutralPoint;
  EdwardsPoint multiple = point;
  for (int bit = 0; bit < 3; ++bit) {
    if ((scalar[0] >> bit & std::byte{1}) != std::byte{0}) product = Add(product, multiple);
    multiple = Add(multiple, multiple);
  }
  const EdwardsScalar eighth = DividedByEight(scalar);
  // libsodium refuses to give the neutral element.
  if (multiple == kNeutralPoint || eighth == EdwardsScalar{}) return product;
  EdwardsPoint rest;
  Require(crypto_scalarmult_ed25519_noclamp(Unsigned(rest), Unsigned(eighth), Unsigned(multiple)));
  return Add(product, rest);
}

bool IsReduced(const EdwardsScalar& scalar) {
  RequireSodium();
  std::array<std::byte, 64> wide{};
  std::copy(scalar.begin(), scalar.end(), wide.begin());
  EdwardsScalar reduced;
  crypto_core_ed25519_scalar_reduce(Unsigned(reduced), Unsigned(wide));
  return reduced == scalar;
}

}  // namespace verillm
