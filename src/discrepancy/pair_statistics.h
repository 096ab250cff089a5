// How far two recorded state vectors lie apart: counts and sums of one pair (one position, one capture point), from which every
// share and error of docs/methods is derived. Counts and sums merge by addition, so a pool over positions is the same structure.
#ifndef VERILLM_DISCREPANCY_PAIR_STATISTICS_H_
#define VERILLM_DISCREPANCY_PAIR_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "trace/state_type.h"

namespace verillm {

// a = prover, b = verifier, both in the recorded type. s, e, f = sign, exponent field and mantissa field as unsigned integers,
// m = mantissa bits. An element that is NaN or infinite on either side is counted in n_nonfinite and nowhere else.
struct PairStatistics {
  std::uint64_t n_elements = 0;   // all elements, non-finite ones too
  std::uint64_t n_nonfinite = 0;  // NaN or infinity on either side
  std::uint64_t n_exact = 0;      // bit-identical

  // VeriLLM (arXiv 2509.24257). E = elements with s or e different; delta = |f_a - f_b| / 2^m, in [0, 1).
  std::uint64_t n_mismatch = 0;        // size of E
  std::uint64_t n_mismatch_large = 0;  // in E, delta > 0.5
  std::uint64_t n_match_small = 0;     // outside E, delta < 0.05

  // The published Python rule, which looks at absolute errors d = |a - b| and exponent fields without sign. d is rounded to F32,
  // and so are the numbers that it is compared with.
  std::uint64_t n_exponent_mismatch = 0;  // e different
  std::uint64_t n_error_above_1e5 = 0;    // d > 1e-5
  std::uint64_t n_error_below_1e7 = 0;    // d < 1e-7
  std::uint64_t n_error_zero = 0;         // d = 0  (published "exact_match": -0 equals +0)
  std::uint64_t n_error_above_02 = 0;     // d > 0.2
  std::uint64_t n_error_above_5 = 0;      // d > 5

  // In double, so that no finite element makes them infinite.
  double sum_error = 0;             // of b - a
  double sum_abs_error = 0;         // of |b - a|
  double max_abs_error = 0;         // of |b - a|, rounded to F32 where that reaches so far
  double sum_squared_error = 0;     // of (b - a)^2
  double sum_squared_verifier = 0;  // of b^2
  double sum_error_product = 0;     // of b (b - a)

  // Adds another pair or pool.
  void Merge(const PairStatistics& other);

  std::uint64_t n_finite() const { return n_elements - n_nonfinite; }

  // Shares; undefined (nullopt) where there is nothing to take a share of: no evidence is not evidence.
  std::optional<double> Pe() const;  // n_mismatch / finite elements
  std::optional<double> Pm() const;  // n_mismatch_large / n_mismatch
  std::optional<double> Pw() const;  // n_match_small / (finite elements - n_mismatch)
  std::optional<double> ExactShare() const;
  std::optional<double> MeanError() const;  // signed, of b - a
  std::optional<double> MeanAbsError() const;
  // norm2(b - a) / norm2(b): 0 where both are zero, nullopt where only b is.
  std::optional<double> RelativeError() const;
  // How far a is scaled against b: inner product of a and b over that of b with itself, minus 1. Rounding noise of many elements
  // cancels in it, so that it shows what the relative error hides. nullopt where b is zero.
  std::optional<double> ScaleError() const;
};

// Statistics of one pair. Both spans hold the same number of elements of `type`, little-endian, in any alignment; Error(kInput)
// otherwise. Runs on the best instruction set of this CPU: counts and the largest error equal ComparePairScalar's exactly, sums
// to 2^-18 of the sum of absolute terms (sum_error_product: of norm2(b) norm2(b - a)), and to 3e-7 on rows like states.
PairStatistics ComparePair(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type);

// The same, one element after the other in plain C++: the reference that ComparePair is tested against.
PairStatistics ComparePairScalar(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type);

// Mean over the elements of min(1, |b - a| / |b|) (the "element error"): elements where b is 0 count as 0 if a is 0 too and as 1
// otherwise; non-finite elements are left out. Every element weighs the same, so that neither the scale of a layer nor a few
// massive activations matter, which rule norms; and unlike a median it stays graded where most elements agree to the last bit, as
// those of honest devices do in bf16. nullopt where no element is finite. Runs on the best instruction set of this CPU, in F32:
// within 2^-18 (relative) of the reference.
std::optional<double> MeanElementError(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type);

// The same in plain C++ and double: the reference that MeanElementError is tested against.
std::optional<double> MeanElementErrorScalar(std::span<const std::byte> prover, std::span<const std::byte> verifier,
                                             StateType type);

}  // namespace verillm

#endif  // VERILLM_DISCREPANCY_PAIR_STATISTICS_H_
