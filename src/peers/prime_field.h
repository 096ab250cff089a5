// Polynomials over GF(65497), the field of TOPLOC's proofs (toploc.h): a prime below 2^16. The loops run over points, on 16-bit
// residues, so that compilers turn them into vector operations of any instruction set.
#ifndef VERILLM_PEERS_PRIME_FIELD_H_
#define VERILLM_PEERS_PRIME_FIELD_H_

#include <cstdint>
#include <span>
#include <vector>

namespace verillm {

constexpr std::uint32_t kFieldPrime = 65497;

// The one polynomial of degree below x.size() through the points (x[i], y[i] modulo the prime): its coefficients, the constant
// one first. x: distinct, below the prime; as many as y, at least one. Quadratic in the number of points.
std::vector<std::uint16_t> Interpolate(std::span<const std::uint16_t> x, std::span<const std::uint16_t> y);

// The values of the polynomial at each x, below the prime. Coefficients and x of the prime and more count as their residues; no
// coefficients: the zero polynomial.
std::vector<std::uint16_t> Evaluate(std::span<const std::uint16_t> coefficients, std::span<const std::uint16_t> x);

}  // namespace verillm

#endif  // VERILLM_PEERS_PRIME_FIELD_H_
