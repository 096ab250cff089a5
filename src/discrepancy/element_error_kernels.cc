// MedianElementError in vector operations, compiled once for every instruction set like pair_kernels.cc. Sorting is what costs in
// a median; here the bits of the median are found one after the other, from the highest down, by counting the errors below each
// candidate: 31 passes over numbers that lie in the first-level cache, an eighth of the time of a selection at width 576.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "discrepancy/kernels.h"
#include "discrepancy/pair_statistics.h"
#include "discrepancy/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "discrepancy/element_error_kernels.cc"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace verillm {
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;

// As many elements of a row as a vector has floats, as floats.
template <StateType kType>
hn::Vec<DF> LoadElements(const std::uint8_t* bytes) {
  if constexpr (kType == StateType::kF32) {
    const hn::Repartition<std::uint8_t, DF> d8;
    return hn::BitCast(DF(), hn::LoadU(d8, bytes));
  } else {
    const hn::Rebind<std::uint16_t, DF> d16;
    const hn::Repartition<std::uint8_t, decltype(d16)> d8;
    const auto bits = hn::BitCast(d16, hn::LoadU(d8, bytes));
    if constexpr (kType == StateType::kBF16) {
      return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), bits)));
    } else {
      const hn::Rebind<hwy::float16_t, DF> d_half;
      return hn::PromoteTo(DF(), hn::BitCast(d_half, bits));
    }
  }
}

// The number of `values` below `bound`; n is a multiple of the lanes.
std::size_t CountBelow(const float* values, std::size_t n, std::uint32_t bound) {
  // As integers: floats that are not negative keep their order.
  const auto limit = hn::Set(DI(), static_cast<std::int32_t>(bound));
  auto count = hn::Zero(DI());
  for (std::size_t i = 0; i < n; i += hn::Lanes(DF())) {
    const auto below = hn::Lt(hn::BitCast(DI(), hn::Load(DF(), values + i)), limit);
    count = hn::Sub(count, hn::VecFromMask(DI(), below));
  }
  return static_cast<std::size_t>(hn::GetLane(hn::SumOfLanes(DI(), count)));
}

template <StateType kType>
double MedianOfErrors(const std::uint8_t* a, const std::uint8_t* b, std::size_t n_elements,
                      hwy::AlignedFreeUniquePtr<float[]>& errors, std::size_t& capacity) {
  const DF d;
  const std::size_t n_lanes = hn::Lanes(d);
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(kType).bytes);
  const std::size_t n_padded = (n_elements + n_lanes - 1) / n_lanes * n_lanes;
  if (capacity < n_padded) {
    errors = hwy::AllocateAligned<float>(n_padded);
    capacity = n_padded;
  }
  const auto zero = hn::Zero(d);
  const auto infinity = hn::BitCast(d, hn::Set(DU(), 0x7F800000u));
  // Below it a difference is finite too. Without an instruction for it, Highway's conversion takes the infinities and NaN of f16
  // for numbers from 2^16 on.
  const auto end = hn::Set(d, kType == StateType::kF16 ? 0x1p16f : 0x1p127f);
  auto in_range = hn::MaskFromVec(hn::BitCast(d, hn::Set(DU(), 0xFFFFFFFFu)));
  const auto error_of = [&](hn::Vec<DF> prover, hn::Vec<DF> verifier) {
    in_range = hn::And(in_range, hn::And(hn::Lt(hn::Abs(prover), end), hn::Lt(hn::Abs(verifier), end)));
    const auto distance = hn::Abs(hn::Sub(verifier, prover));
    const auto by_zero = hn::IfThenElse(hn::Eq(prover, zero), zero, infinity);
    return hn::IfThenElse(hn::Eq(verifier, zero), by_zero, hn::Div(distance, hn::Abs(verifier)));
  };
  std::size_t i = 0;
  for (; i + n_lanes <= n_elements; i += n_lanes) {
    hn::Store(error_of(LoadElements<kType>(a + i * element_bytes), LoadElements<kType>(b + i * element_bytes)), d,
              errors.get() + i);
  }
  if (i < n_elements) {
    HWY_ALIGN std::uint8_t tail_a[HWY_MAX_BYTES] = {};
    HWY_ALIGN std::uint8_t tail_b[HWY_MAX_BYTES] = {};
    for (std::size_t j = 0; j < (n_elements - i) * element_bytes; ++j) {
      tail_a[j] = a[i * element_bytes + j];
      tail_b[j] = b[i * element_bytes + j];
    }
    hn::Store(error_of(LoadElements<kType>(tail_a), LoadElements<kType>(tail_b)), d, errors.get() + i);
    // As large as an error can be, so that the padding does not move the median.
    for (std::size_t j = n_elements; j < n_padded; ++j) errors[j] = HUGE_VALF;
  }
  if (!hn::AllTrue(d, in_range)) return -1;

  // The largest number that at most `rank` errors lie below is the error of that rank.
  const std::size_t rank = (n_elements - 1) / 2;
  std::uint32_t median = 0;
  for (std::uint32_t bit = 1u << 30; bit != 0; bit >>= 1) {
    if (CountBelow(errors.get(), n_padded, median | bit) <= rank) median |= bit;
  }
  float value;
  std::memcpy(&value, &median, sizeof(value));
  return static_cast<double>(value);
}

// The median, or -1 where an element is not finite or at the end of F32's range.
double MedianOfRows(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  // Kept between calls: one allocation a thread instead of one a pair.
  thread_local hwy::AlignedFreeUniquePtr<float[]> errors;
  thread_local std::size_t capacity = 0;
  const std::uint8_t* const a = reinterpret_cast<const std::uint8_t*>(prover.data());
  const std::uint8_t* const b = reinterpret_cast<const std::uint8_t*>(verifier.data());
  const std::size_t n_elements = prover.size() / static_cast<std::size_t>(FormatOf(type).bytes);
  switch (type) {
    case StateType::kF16:
      return MedianOfErrors<StateType::kF16>(a, b, n_elements, errors, capacity);
    case StateType::kBF16:
      return MedianOfErrors<StateType::kBF16>(a, b, n_elements, errors, capacity);
    case StateType::kF32:
      return MedianOfErrors<StateType::kF32>(a, b, n_elements, errors, capacity);
  }
  return -1;
}

#else

double MedianOfRows(std::span<const std::byte>, std::span<const std::byte>, StateType) { return -1; }

#endif

}  // namespace HWY_NAMESPACE
}  // namespace verillm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace verillm {
namespace {

HWY_EXPORT(MedianOfRows);

}  // namespace

std::optional<double> MedianElementError(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  // The reference takes over where elements have to be left out, and reports sizes that do not fit.
  const bool fits = prover.size() == verifier.size() && prover.size() % static_cast<std::size_t>(FormatOf(type).bytes) == 0;
  if (VectorKernelChosen() && fits && !prover.empty()) {
    const double median = HWY_DYNAMIC_DISPATCH(MedianOfRows)(prover, verifier, type);
    if (median >= 0) return median;
  }
  return MedianElementErrorScalar(prover, verifier, type);
}

}  // namespace verillm
#endif  // HWY_ONCE
