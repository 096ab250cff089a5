// MeanElementError in vector operations, compiled once for every instruction set like pair_kernels.cc.
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "discrepancy/kernels.h"
#include "discrepancy/pair_statistics.h"
#include "discrepancy/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "discrepancy/element_error_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace verillm {
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
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

// Elements whose errors are added up in F32 before the sum goes on in double: a lane adds few terms, which keeps the whole within
// 2^-19 of the exact sum.
constexpr std::size_t kBlockElements = 512;

template <StateType kType>
double SumOfErrors(const std::uint8_t* a, const std::uint8_t* b, std::size_t n_elements) {
  const DF d;
  const std::size_t n_lanes = hn::Lanes(d);
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(kType).bytes);
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, 1.0f);
  // Below it a difference is finite too. Without an instruction for it, Highway's conversion takes the infinities and NaN of f16
  // for numbers from 2^16 on.
  const auto end = hn::Set(d, kType == StateType::kF16 ? 0x1p16f : 0x1p127f);
  auto in_range = hn::MaskFromVec(hn::BitCast(d, hn::Set(DU(), 0xFFFFFFFFu)));
  const auto error_of = [&](hn::Vec<DF> prover, hn::Vec<DF> verifier) {
    in_range = hn::And(in_range, hn::And(hn::Lt(hn::Abs(prover), end), hn::Lt(hn::Abs(verifier), end)));
    const auto distance = hn::Abs(hn::Sub(verifier, prover));
    const auto size = hn::Abs(verifier);
    // Where the distance reaches the size, 0 against 0 excepted, the error is 1: no division by zero counts.
    const auto capped = hn::IfThenElse(hn::Lt(distance, size), hn::Div(distance, size), one);
    return hn::IfThenElse(hn::Eq(distance, zero), zero, capped);
  };
  double sum = 0;
  std::size_t i = 0;
  while (i + n_lanes <= n_elements) {
    auto block = zero;
    for (const std::size_t block_end = HWY_MIN(i + kBlockElements, n_elements); i + n_lanes <= block_end; i += n_lanes) {
      block = hn::Add(block, error_of(LoadElements<kType>(a + i * element_bytes), LoadElements<kType>(b + i * element_bytes)));
    }
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, block)));
  }
  if (i < n_elements) {
    // Padded with equal zeros, which add nothing.
    HWY_ALIGN std::uint8_t tail_a[HWY_MAX_BYTES] = {};
    HWY_ALIGN std::uint8_t tail_b[HWY_MAX_BYTES] = {};
    std::memcpy(tail_a, a + i * element_bytes, (n_elements - i) * element_bytes);
    std::memcpy(tail_b, b + i * element_bytes, (n_elements - i) * element_bytes);
    sum +=
        static_cast<double>(hn::GetLane(hn::SumOfLanes(d, error_of(LoadElements<kType>(tail_a), LoadElements<kType>(tail_b)))));
  }
  return hn::AllTrue(d, in_range) ? sum : -1;
}

// The sum, or -1 where an element is not finite or at the end of F32's range.
double SumOfRows(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  const std::uint8_t* const a = reinterpret_cast<const std::uint8_t*>(prover.data());
  const std::uint8_t* const b = reinterpret_cast<const std::uint8_t*>(verifier.data());
  const std::size_t n_elements = prover.size() / static_cast<std::size_t>(FormatOf(type).bytes);
  switch (type) {
    case StateType::kF16:
      return SumOfErrors<StateType::kF16>(a, b, n_elements);
    case StateType::kBF16:
      return SumOfErrors<StateType::kBF16>(a, b, n_elements);
    case StateType::kF32:
      return SumOfErrors<StateType::kF32>(a, b, n_elements);
  }
  return -1;
}

#else

double SumOfRows(std::span<const std::byte>, std::span<const std::byte>, StateType) { return -1; }

#endif

}  // namespace HWY_NAMESPACE
}  // namespace verillm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace verillm {
namespace {

HWY_EXPORT(SumOfRows);

}  // namespace

std::optional<double> MeanElementError(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  // The reference takes over where elements have to be left out, and reports sizes that do not fit.
  const bool fits = prover.size() == verifier.size() && prover.size() % static_cast<std::size_t>(FormatOf(type).bytes) == 0;
  if (VectorKernelChosen() && fits && !prover.empty()) {
    const double sum = HWY_DYNAMIC_DISPATCH(SumOfRows)(prover, verifier, type);
    const std::size_t n_elements = prover.size() / static_cast<std::size_t>(FormatOf(type).bytes);
    if (sum >= 0) return sum / static_cast<double>(n_elements);
  }
  return MeanElementErrorScalar(prover, verifier, type);
}

}  // namespace verillm
#endif  // HWY_ONCE
