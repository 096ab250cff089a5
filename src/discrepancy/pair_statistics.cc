#include "discrepancy/pair_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"

namespace verillm {
namespace {

std::optional<double> Ratio(double part, std::uint64_t whole) {
  if (whole == 0) return std::nullopt;
  return part / static_cast<double>(whole);
}

// Number of elements in each of the two rows.
std::size_t CheckedSize(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type).bytes);
  if (prover.size() != verifier.size() || prover.size() % element_bytes != 0) {
    throw Error(ErrorKind::kInput, fmt::format("states of {} and {} bytes cannot be compared as {}", prover.size(),
                                               verifier.size(), StateTypeName(type)));
  }
  return prover.size() / element_bytes;
}

std::uint32_t LoadBits(std::span<const std::byte> row, StateFormat format, std::size_t index) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, row.data() + index * static_cast<std::size_t>(format.bytes), static_cast<std::size_t>(format.bytes));
  return bits;
}

// Neumaier's sum: its error does not grow with the number of terms, so that it can serve as a reference for long rows too.
class CompensatedSum {
 public:
  void Add(double value) {
    const double sum = sum_ + value;
    compensation_ += std::abs(sum_) >= std::abs(value) ? (sum_ - sum) + value : (value - sum) + sum_;
    sum_ = sum;
  }
  double Value() const { return sum_ + compensation_; }

 private:
  double sum_ = 0;
  double compensation_ = 0;
};

}  // namespace

void PairStatistics::Merge(const PairStatistics& other) {
  n_elements += other.n_elements;
  n_nonfinite += other.n_nonfinite;
  n_exact += other.n_exact;
  n_mismatch += other.n_mismatch;
  n_mismatch_large += other.n_mismatch_large;
  n_match_small += other.n_match_small;
  n_exponent_mismatch += other.n_exponent_mismatch;
  n_error_above_1e5 += other.n_error_above_1e5;
  n_error_below_1e7 += other.n_error_below_1e7;
  n_error_zero += other.n_error_zero;
  n_error_above_02 += other.n_error_above_02;
  n_error_above_5 += other.n_error_above_5;
  sum_error += other.sum_error;
  sum_abs_error += other.sum_abs_error;
  max_abs_error = std::max(max_abs_error, other.max_abs_error);
  sum_squared_error += other.sum_squared_error;
  sum_squared_verifier += other.sum_squared_verifier;
  sum_error_product += other.sum_error_product;
}

std::optional<double> PairStatistics::Pe() const { return Ratio(static_cast<double>(n_mismatch), n_finite()); }

std::optional<double> PairStatistics::Pm() const { return Ratio(static_cast<double>(n_mismatch_large), n_mismatch); }

std::optional<double> PairStatistics::Pw() const { return Ratio(static_cast<double>(n_match_small), n_finite() - n_mismatch); }

std::optional<double> PairStatistics::ExactShare() const { return Ratio(static_cast<double>(n_exact), n_finite()); }

std::optional<double> PairStatistics::MeanError() const { return Ratio(sum_error, n_finite()); }

std::optional<double> PairStatistics::MeanAbsError() const { return Ratio(sum_abs_error, n_finite()); }

std::optional<double> PairStatistics::RelativeError() const {
  if (n_finite() == 0) return std::nullopt;
  if (sum_squared_verifier == 0) return sum_squared_error == 0 ? std::optional<double>(0.0) : std::nullopt;
  return std::sqrt(sum_squared_error / sum_squared_verifier);
}

std::optional<double> PairStatistics::ScaleError() const {
  if (n_finite() == 0 || sum_squared_verifier == 0) return std::nullopt;
  return -sum_error_product / sum_squared_verifier;
}

PairStatistics ComparePairScalar(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  const StateFormat format = FormatOf(type);
  const std::uint32_t one = 1;
  const std::uint32_t mantissa_mask = (one << format.mantissa_bits) - 1;
  const std::uint32_t exponent_mask = ((one << format.exponent_bits) - 1) << format.mantissa_bits;
  const std::uint32_t sign_mask = one << (8 * format.bytes - 1);

  PairStatistics statistics;
  statistics.n_elements = CheckedSize(prover, verifier, type);
  CompensatedSum sum_error, sum_abs_error, sum_squared_error, sum_squared_verifier, sum_error_product;
  for (std::size_t i = 0; i < statistics.n_elements; ++i) {
    const std::uint32_t a_bits = LoadBits(prover, format, i);
    const std::uint32_t b_bits = LoadBits(verifier, format, i);
    if ((a_bits & exponent_mask) == exponent_mask || (b_bits & exponent_mask) == exponent_mask) {
      ++statistics.n_nonfinite;
      continue;
    }
    const std::uint32_t difference = a_bits ^ b_bits;
    const int mantissa_difference = std::abs(static_cast<int>(a_bits & mantissa_mask) - static_cast<int>(b_bits & mantissa_mask));
    const double delta = static_cast<double>(mantissa_difference) / (mantissa_mask + 1);
    const bool mismatch = (difference & (sign_mask | exponent_mask)) != 0;
    statistics.n_exact += difference == 0;
    statistics.n_mismatch += mismatch;
    statistics.n_mismatch_large += mismatch && delta > 0.5;
    statistics.n_match_small += !mismatch && delta < 0.05;
    statistics.n_exponent_mismatch += (difference & exponent_mask) != 0;

    const float a = DecodeState(prover, type, i);
    const float b = DecodeState(verifier, type, i);
    const float distance = std::abs(a - b);
    statistics.n_error_above_1e5 += distance > 1e-5f;
    statistics.n_error_below_1e7 += distance < 1e-7f;
    statistics.n_error_zero += distance == 0;
    statistics.n_error_above_02 += distance > 0.2f;
    statistics.n_error_above_5 += distance > 5.0f;

    const double error = static_cast<double>(b) - static_cast<double>(a);
    sum_error.Add(error);
    sum_abs_error.Add(std::abs(error));
    statistics.max_abs_error =
        std::max(statistics.max_abs_error, std::isfinite(distance) ? static_cast<double>(distance) : std::abs(error));
    sum_squared_error.Add(error * error);
    sum_squared_verifier.Add(static_cast<double>(b) * static_cast<double>(b));
    sum_error_product.Add(static_cast<double>(b) * error);
  }
  statistics.sum_error = sum_error.Value();
  statistics.sum_abs_error = sum_abs_error.Value();
  statistics.sum_squared_error = sum_squared_error.Value();
  statistics.sum_squared_verifier = sum_squared_verifier.Value();
  statistics.sum_error_product = sum_error_product.Value();
  return statistics;
}

std::optional<double> MeanElementErrorScalar(std::span<const std::byte> prover, std::span<const std::byte> verifier,
                                             StateType type) {
  const std::size_t n_elements = CheckedSize(prover, verifier, type);
  CompensatedSum sum;
  std::uint64_t n_finite = 0;
  for (std::size_t i = 0; i < n_elements; ++i) {
    const double a = DecodeState(prover, type, i);
    const double b = DecodeState(verifier, type, i);
    if (!std::isfinite(a) || !std::isfinite(b)) continue;
    ++n_finite;
    const double distance = std::abs(b - a);
    if (distance > 0) sum.Add(distance < std::abs(b) ? distance / std::abs(b) : 1);
  }
  return Ratio(sum.Value(), n_finite);
}

}  // namespace verillm
