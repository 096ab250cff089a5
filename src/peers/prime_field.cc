#include "peers/prime_field.h"

#include <cstddef>

namespace verillm {
namespace {

// The residue of v. As 2^16 = 39 modulo the prime, the upper half counts 39-fold: below 2^22 after the first step, and at most
// 39 * 39 + 65535, less than two primes, after the second.
inline std::uint16_t Reduce(std::uint32_t v) {
  v = (v >> 16) * 39 + (v & 0xFFFF);
  v = (v >> 16) * 39 + (v & 0xFFFF);
  return static_cast<std::uint16_t>(v >= kFieldPrime ? v - kFieldPrime : v);
}

// a * b + c of residues; 65496 * 65496 + 65496 is below 2^32.
inline std::uint16_t MultiplyAdd(std::uint32_t a, std::uint32_t b, std::uint32_t c) { return Reduce(a * b + c); }

std::uint16_t Multiply(std::uint32_t a, std::uint32_t b) { return Reduce(a * b); }

// By Fermat: a^(p - 2).
std::uint16_t Inverse(std::uint16_t a) {
  std::uint16_t result = 1;
  for (std::uint32_t exponent = kFieldPrime - 2; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = Multiply(result, a);
    a = Multiply(a, a);
  }
  return result;
}

// One step of Horner's scheme at all points.
void HornerStep(std::vector<std::uint16_t>& values, std::span<const std::uint16_t> x, std::uint16_t coefficient) {
  for (std::size_t i = 0; i < x.size(); ++i) values[i] = MultiplyAdd(values[i], x[i], coefficient);
}

// The coefficients of the product of (X - x[i]), of which the last is 1.
std::vector<std::uint16_t> ProductOfRoots(std::span<const std::uint16_t> x) {
  std::vector<std::uint16_t> product(x.size() + 1), next(x.size() + 1);
  product[0] = 1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint32_t minus_x = x[i] == 0 ? 0 : kFieldPrime - x[i];
    next[0] = Multiply(product[0], minus_x);
    for (std::size_t j = 1; j <= i + 1; ++j) next[j] = MultiplyAdd(product[j], minus_x, product[j - 1]);
    product.swap(next);
  }
  return product;
}

// The derivative of a polynomial at each x.
std::vector<std::uint16_t> DerivativeAt(std::span<const std::uint16_t> coefficients, std::span<const std::uint16_t> x) {
  std::vector<std::uint16_t> values(x.size());
  for (std::size_t j = coefficients.size(); j-- > 1;) {
    HornerStep(values, x, Multiply(static_cast<std::uint32_t>(j % kFieldPrime), coefficients[j]));
  }
  return values;
}

// y[i] / divisors[i], at the price of one inversion: that of the product of all divisors.
std::vector<std::uint16_t> Quotients(std::span<const std::uint16_t> y, std::span<const std::uint16_t> divisors) {
  std::vector<std::uint16_t> before(divisors.size());  // the product of the divisors before each
  std::uint16_t product = 1;
  for (std::size_t i = 0; i < divisors.size(); ++i) {
    before[i] = product;
    product = Multiply(product, divisors[i]);
  }
  std::uint16_t inverse = Inverse(product);  // of the product up to and including each
  std::vector<std::uint16_t> quotients(divisors.size());
  for (std::size_t i = divisors.size(); i-- > 0;) {
    quotients[i] = Multiply(Multiply(inverse, before[i]), Reduce(y[i]));
    inverse = Multiply(inverse, divisors[i]);
  }
  return quotients;
}

}  // namespace

// Lagrange's form: with M the product of all (X - x[i]), the polynomial is the sum of y[i] / M'(x[i]) * M / (X - x[i]). The
// quotients M / (X - x[i]) come out of synthetic division, coefficient by coefficient from the highest down, for all points at
// once.
std::vector<std::uint16_t> Interpolate(std::span<const std::uint16_t> x, std::span<const std::uint16_t> y) {
  const std::size_t n = x.size();
  const std::vector<std::uint16_t> product = ProductOfRoots(x);
  const std::vector<std::uint16_t> weights = Quotients(y, DerivativeAt(product, x));
  std::vector<std::uint16_t> coefficients(n), quotient(n);
  for (std::size_t j = n; j-- > 0;) {
    HornerStep(quotient, x, product[j + 1]);
    std::uint32_t sum = 0;  // of at most 65497 residues: below 2^32
    for (std::size_t i = 0; i < n; ++i) sum += Reduce(std::uint32_t{quotient[i]} * weights[i]);
    coefficients[j] = Reduce(sum);
  }
  return coefficients;
}

std::vector<std::uint16_t> Evaluate(std::span<const std::uint16_t> coefficients, std::span<const std::uint16_t> x) {
  std::vector<std::uint16_t> residues(x.size()), values(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) residues[i] = Reduce(x[i]);
  for (std::size_t j = coefficients.size(); j-- > 0;) HornerStep(values, residues, Reduce(coefficients[j]));
  return values;
}

}  // namespace verillm
