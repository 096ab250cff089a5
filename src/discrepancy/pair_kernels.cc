// ComparePair in vector operations: this file is compiled once for every instruction set (foreach_target.h), and the best one
// that the CPU has is chosen when the program runs.
//
// Comparing states should not cost much more than fetching them from memory, so every operation counts:
// - Comparisons of bits run on the recorded width: for f16 and bf16, twice the lanes of F32.
// - f16 and bf16 are widened to F32 through a small buffer, because converting F32 to double costs least from memory.
// - What is rare is looked for and counted in a second pass over a few elements: errors above 0.2, elements that differ in sign
//   but not in exponent. Where an element is not finite, the reference takes over for a block.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "discrepancy/kernels.h"
#include "discrepancy/pair_statistics.h"
#include "discrepancy/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "discrepancy/pair_kernels.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace verillm {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR || !HWY_HAVE_FLOAT64

PairStatistics CompareRows(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  return ComparePairScalar(prover, verifier, type);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DD = hn::ScalableTag<double>;
using VF = hn::Vec<DF>;
using VD = hn::Vec<DD>;

// Elements whose counts and sums stay in vectors until it is known that all of them are finite.
constexpr std::size_t kBlockElements = 4096;
// Elements that are widened before they are summed: few enough for the CPU to read the next batch while it sums this one.
constexpr std::size_t kBatchElements = 128;
// How far ahead memory is announced. Without it, f16 and bf16 reach about 0.8 of the speed.
constexpr std::size_t kPrefetchBytes = 2048;

template <class D>
hn::Vec<D> LoadBytes(D d, const std::uint8_t* bytes) {
  const hn::Repartition<std::uint8_t, D> d8;
  return hn::BitCast(d, hn::LoadU(d8, bytes));
}

// As many floats as a vector has doubles.
VD LoadDoubles(const std::uint8_t* floats) {
  const hn::Rebind<float, DD> d_half;
  return hn::PromoteTo(DD(), LoadBytes(d_half, floats));
}

// Both halves of a vector of floats as doubles, added.
VD SumOfHalves(VF floats) {
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(floats, DF(), lanes);
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(lanes);
  return hn::Add(LoadDoubles(bytes), LoadDoubles(bytes + hn::Lanes(DD()) * sizeof(float)));
}

// The structures below have constructors that look superfluous: those that the compiler adds are not compiled for the instruction
// set of this section.

// Counts the true lanes of masks, in lanes as narrow as those of D: at most kBlockElements.
template <class D>
class Counter {
  using DInt = hn::RebindToSigned<D>;

 public:
  Counter() : count_(hn::Zero(DInt())) {}

  void Add(hn::Mask<D> mask) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    // One masked addition, where turning the mask into a vector first would be a second operation.
    const auto plus_one = hn::Add(count_, hn::Set(DInt(), 1));
    count_ = hn::IfThenElse(hn::RebindMask(DInt(), mask), plus_one, count_);
#else
    count_ = hn::Sub(count_, hn::BitCast(DInt(), hn::VecFromMask(D(), mask)));
#endif
  }

  std::uint64_t Count() const { return static_cast<std::uint64_t>(hn::GetLane(hn::SumOfLanes(DInt(), count_))); }

 private:
  hn::Vec<DInt> count_;
};

// The same for few masks at a time: the scalar units count, while the vector units are busy.
template <class D>
class MaskCounter {
 public:
  MaskCounter() {}
  void Add(hn::Mask<D> mask) { count_ += hn::CountTrue(D(), mask); }
  std::uint64_t Count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
};

// The integer that holds an element, and widening to F32: Widen reads as many elements as a vector of Bits has lanes and writes
// them in an order that depends on that number alone, so that both rows come out in the same one.
template <StateType kType>
struct Element;

template <>
struct Element<StateType::kF32> {
  using Bits = std::uint32_t;
};

template <>
struct Element<StateType::kBF16> {
  using Bits = std::uint16_t;

  static void Widen(const std::uint8_t* in, float* out) {
    const hn::RebindToUnsigned<DF> d32;
    const auto pairs = LoadBytes(d32, in);
    hn::Store(hn::BitCast(DF(), hn::ShiftLeft<16>(pairs)), DF(), out);
    hn::Store(hn::BitCast(DF(), hn::And(pairs, hn::Set(d32, 0xFFFF0000u))), DF(), out + hn::Lanes(DF()));
  }
};

template <>
struct Element<StateType::kF16> {
  using Bits = std::uint16_t;

  static void Widen(const std::uint8_t* in, float* out) {
    hn::Store(WidenHalf(in), DF(), out);
    hn::Store(WidenHalf(in + hn::Lanes(DF()) * sizeof(Bits)), DF(), out + hn::Lanes(DF()));
  }

 private:
  static VF WidenHalf(const std::uint8_t* in) {
    const hn::Rebind<std::uint16_t, DF> d_bits;
    const hn::Rebind<hwy::float16_t, DF> d_half;
    const VF widened = hn::PromoteTo(DF(), hn::BitCast(d_half, LoadBytes(d_bits, in)));
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
    return widened;
#else
    // Without an instruction for it, Highway's conversion takes infinities and NaN for numbers from 2^16 on.
    const VF infinity = hn::BitCast(DF(), hn::Set(hn::RebindToUnsigned<DF>(), 0x7F800000u));
    return hn::IfThenElse(hn::Ge(hn::Abs(widened), hn::Set(DF(), 65536.0f)), infinity, widened);
#endif
  }
};

// Sums of b - a, |b - a|, (b - a)^2, b^2 and b (b - a), and the largest |b - a|. For the squares a lane adds at most
// kBlockElements / 2 terms of a block and then the sums of blocks, which bounds the error by (2^11 + n / 2^12) * 2^-53 of the
// sum: 7e-13 for rows of 2^24 elements. The others are added up in F32 within a batch, at most kBatchElements / 4 terms a lane on
// the narrowest vectors, which bounds their error by 2^5 * 2^-24 = 2e-6 of the sum of absolute terms, and measures below 1e-6.
struct Sums {
  Sums()
      : error(hn::Zero(DD())),
        abs_error(hn::Zero(DD())),
        squared_error(hn::Zero(DD())),
        squared_verifier(hn::Zero(DD())),
        error_product(hn::Zero(DD())),
        max_abs_error(hn::Zero(DF())) {}

  void Merge(const Sums& other) {
    error = hn::Add(error, other.error);
    abs_error = hn::Add(abs_error, other.abs_error);
    max_abs_error = hn::Max(max_abs_error, other.max_abs_error);
    squared_error = hn::Add(squared_error, other.squared_error);
    squared_verifier = hn::Add(squared_verifier, other.squared_verifier);
    error_product = hn::Add(error_product, other.error_product);
  }

  VD error, abs_error, squared_error, squared_verifier, error_product;
  VF max_abs_error;
};

double SumOfLanes(VD v) { return hn::GetLane(hn::SumOfLanes(DD(), v)); }

template <StateType kType>
class RowComparer {
 public:
  RowComparer() {}

  PairStatistics Compare(const std::uint8_t* a, const std::uint8_t* b, std::size_t n_elements) {
    PairStatistics statistics;
    for (std::size_t begin = 0; begin < n_elements; begin += kBlockElements) {
      const std::size_t n = HWY_MIN(kBlockElements, n_elements - begin);
      CompareBlock(a + begin * sizeof(Bits), b + begin * sizeof(Bits), n, statistics);
    }
    statistics.sum_error += SumOfLanes(sums_.error);
    statistics.sum_abs_error += SumOfLanes(sums_.abs_error);
    statistics.max_abs_error =
        HWY_MAX(statistics.max_abs_error, static_cast<double>(hn::GetLane(hn::MaxOfLanes(DF(), sums_.max_abs_error))));
    statistics.sum_squared_error += SumOfLanes(sums_.squared_error);
    statistics.sum_squared_verifier += SumOfLanes(sums_.squared_verifier);
    statistics.sum_error_product += SumOfLanes(sums_.error_product);
    return statistics;
  }

 private:
  using Bits = typename Element<kType>::Bits;
  using D = hn::ScalableTag<Bits>;
  using DSigned = hn::RebindToSigned<D>;
  static constexpr int kMantissaBits = FormatOf(kType).mantissa_bits;
  static constexpr Bits kMantissaMask = static_cast<Bits>((1u << kMantissaBits) - 1);
  static constexpr Bits kSignMask = static_cast<Bits>(1u << (8 * sizeof(Bits) - 1));
  // delta > 0.5 and delta < 0.05 as bounds on the difference of the mantissa fields. 2^m / 20 is never whole, hence rounded up.
  static constexpr std::int32_t kLargeAbove = 1 << (kMantissaBits - 1);
  static constexpr std::int32_t kSmallBelow = (1 << kMantissaBits) / 20 + 1;
  // Differences (a xor b) with sign but without exponent bits are, as signed integers, those below this one.
  static constexpr hn::TFromD<DSigned> kLeastDifferenceWithExponent =
      static_cast<hn::TFromD<DSigned> >(hwy::LimitsMin<hn::TFromD<DSigned> >() + kMantissaMask + 1);

  struct BlockCounts {
    BlockCounts() {}

    Counter<D> exact, mismatch, mismatch_large, match_small, same_exponent_mismatch, opposite_zero;
    MaskCounter<DF> above_1e5, below_1e7;
    Counter<DF> above_02, above_5;
  };

  // Adds elements [0, n) to `statistics` and to the sums of the row.
  void CompareBlock(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, PairStatistics& statistics) {
    const std::size_t n_lanes = hn::Lanes(D());
    const std::size_t n_whole = n / n_lanes * n_lanes;
    BlockCounts counts;
    Sums sums;
    for (std::size_t begin = 0; begin < n_whole; begin += kBatchElements) {
      CompareBatch(a + begin * sizeof(Bits), b + begin * sizeof(Bits), HWY_MIN(kBatchElements, n_whole - begin), counts, sums);
    }
    std::size_t n_padded = 0;
    if (n_whole != n) {
      HWY_ALIGN Bits tail_a[HWY_MAX_BYTES / sizeof(Bits)] = {};
      HWY_ALIGN Bits tail_b[HWY_MAX_BYTES / sizeof(Bits)] = {};
      std::memcpy(tail_a, a + n_whole * sizeof(Bits), (n - n_whole) * sizeof(Bits));
      std::memcpy(tail_b, b + n_whole * sizeof(Bits), (n - n_whole) * sizeof(Bits));
      CompareBatch(reinterpret_cast<const std::uint8_t*>(tail_a), reinterpret_cast<const std::uint8_t*>(tail_b), n_lanes, counts,
                   sums);
      n_padded = n_whole + n_lanes - n;
    }

    // Where an element is not finite the sum is neither; it can also be at the end of F32's range, which the reference takes too.
    if (!std::isfinite(SumOfLanes(sums.abs_error)) || !std::isfinite(SumOfLanes(sums.error_product))) {
      const std::size_t n_bytes = n * sizeof(Bits);
      statistics.Merge(ComparePairScalar(std::as_bytes(std::span(a, n_bytes)), std::as_bytes(std::span(b, n_bytes)), kType));
      return;
    }
    sums_.Merge(sums);

    // Elements of the padding are equal zeros.
    const std::uint64_t n_exact = counts.exact.Count() - n_padded;
    const std::uint64_t n_mismatch = counts.mismatch.Count();
    statistics.n_elements += n;
    statistics.n_exact += n_exact;
    statistics.n_mismatch += n_mismatch;
    statistics.n_mismatch_large += counts.mismatch_large.Count();
    statistics.n_match_small += counts.match_small.Count() - n_padded;
    statistics.n_exponent_mismatch += n_mismatch - counts.same_exponent_mismatch.Count();
    statistics.n_error_above_1e5 += counts.above_1e5.Count();
    statistics.n_error_below_1e7 += counts.below_1e7.Count() - n_padded;
    // A difference of F32 numbers is zero where they are equal and nowhere else.
    statistics.n_error_zero += n_exact + counts.opposite_zero.Count();
    statistics.n_error_above_02 += counts.above_02.Count();
    statistics.n_error_above_5 += counts.above_5.Count();
  }

  // Announces the memory that follows in some iterations; it may lie behind the row, hence the arithmetic on integers.
  static void Prefetch(const std::uint8_t* bytes) {
    hwy::Prefetch(reinterpret_cast<const std::uint8_t*>(reinterpret_cast<std::uintptr_t>(bytes) + kPrefetchBytes));
  }

  // n: a multiple of the lanes of a vector of Bits, at most kBatchElements.
  void CompareBatch(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, BlockCounts& counts, Sums& sums) {
    if constexpr (kType == StateType::kF32) {
      CountBits(a, b, n, nullptr, nullptr, counts);
      AddErrors(a, b, n, counts, sums);
    } else {
      HWY_ALIGN float wide_a[kBatchElements];
      HWY_ALIGN float wide_b[kBatchElements];
      CountBits(a, b, n, wide_a, wide_b, counts);
      AddErrors(reinterpret_cast<const std::uint8_t*>(wide_a), reinterpret_cast<const std::uint8_t*>(wide_b), n, counts, sums);
    }
  }

  // Counts what the bits tell and writes the elements as floats.
  void CountBits(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, float* wide_a, float* wide_b, BlockCounts& counts) {
    const D d;
    const DSigned d_signed;
    const auto mantissa_mask = hn::Set(d, kMantissaMask);
    const auto large_below = hn::Set(d_signed, static_cast<hn::TFromD<DSigned> >(-1 - kLargeAbove));
    const auto small_below = hn::Set(d, static_cast<Bits>(kSmallBelow));
    auto least_difference = hn::Zero(d_signed);
    for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
      Prefetch(a + i * sizeof(Bits));
      Prefetch(b + i * sizeof(Bits));
      const auto a_bits = LoadBytes(d, a + i * sizeof(Bits));
      const auto b_bits = LoadBytes(d, b + i * sizeof(Bits));
      if constexpr (kType != StateType::kF32) {
        Element<kType>::Widen(a + i * sizeof(Bits), wide_a + i);
        Element<kType>::Widen(b + i * sizeof(Bits), wide_b + i);
      }
      const auto difference = hn::Xor(a_bits, b_bits);
      const auto mismatch = hn::Gt(difference, mantissa_mask);
      counts.exact.Add(hn::Eq(a_bits, b_bits));
      counts.mismatch.Add(mismatch);
      // -1 - delta in E, which is negative, and delta elsewhere: one comparison each tells large in E and small outside E.
      const auto delta = hn::Abs(
          hn::Sub(hn::BitCast(d_signed, hn::And(a_bits, mantissa_mask)), hn::BitCast(d_signed, hn::And(b_bits, mantissa_mask))));
      const auto coded = hn::IfThenElse(hn::RebindMask(d_signed, mismatch), hn::Sub(hn::Set(d_signed, -1), delta), delta);
      counts.mismatch_large.Add(hn::RebindMask(d, hn::Lt(coded, large_below)));
      counts.match_small.Add(hn::Lt(hn::BitCast(d, coded), small_below));
      least_difference = hn::Min(least_difference, hn::BitCast(d_signed, difference));
    }
    if (!hn::AllFalse(d_signed, hn::Lt(least_difference, hn::Set(d_signed, kLeastDifferenceWithExponent)))) {
      CountSignMismatches(a, b, n, counts);
    }
  }

  void CountSignMismatches(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, BlockCounts& counts) {
    const D d;
    const DSigned d_signed;
    const auto sign_mask = hn::Set(d, kSignMask);
    for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
      const auto a_bits = LoadBytes(d, a + i * sizeof(Bits));
      const auto b_bits = LoadBytes(d, b + i * sizeof(Bits));
      const auto difference = hn::BitCast(d_signed, hn::Xor(a_bits, b_bits));
      const auto same_exponent = hn::Lt(difference, hn::Set(d_signed, kLeastDifferenceWithExponent));
      counts.same_exponent_mismatch.Add(hn::RebindMask(d, same_exponent));
      counts.opposite_zero.Add(hn::And(hn::Eq(hn::Xor(a_bits, b_bits), sign_mask), hn::Eq(hn::Or(a_bits, b_bits), sign_mask)));
    }
  }

  // a, b: floats in any alignment.
  void AddErrors(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, BlockCounts& counts, Sums& sums) {
    const DF d;
    const std::size_t half_bytes = hn::Lanes(DD()) * sizeof(float);
    // In F32, of which a batch adds few to a lane.
    VF errors = hn::Zero(d);
    VF distances = hn::Zero(d);
    VF products = hn::Zero(d);
    VF largest = hn::Zero(d);
    for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
      const std::uint8_t* const a_floats = a + i * sizeof(float);
      const std::uint8_t* const b_floats = b + i * sizeof(float);
      const VF verifiers = LoadBytes(d, b_floats);
      const VF difference = hn::Sub(verifiers, LoadBytes(d, a_floats));
      const VF distance = hn::Abs(difference);
      errors = hn::Add(errors, difference);
      distances = hn::Add(distances, distance);
      products = hn::MulAdd(verifiers, difference, products);
      largest = hn::Max(largest, distance);
      counts.above_1e5.Add(hn::Gt(distance, hn::Set(d, 1e-5f)));
      counts.below_1e7.Add(hn::Lt(distance, hn::Set(d, 1e-7f)));
      for (const std::size_t half : {std::size_t{0}, half_bytes}) {
        const VD verifier = LoadDoubles(b_floats + half);
        const VD error = hn::Sub(verifier, LoadDoubles(a_floats + half));
        sums.squared_error = hn::MulAdd(error, error, sums.squared_error);
        sums.squared_verifier = hn::MulAdd(verifier, verifier, sums.squared_verifier);
      }
    }
    sums.error = hn::Add(sums.error, SumOfHalves(errors));
    sums.abs_error = hn::Add(sums.abs_error, SumOfHalves(distances));
    sums.error_product = hn::Add(sums.error_product, SumOfHalves(products));
    sums.max_abs_error = hn::Max(sums.max_abs_error, largest);
    if (hn::AllFalse(d, hn::Gt(largest, hn::Set(d, 0.2f)))) return;
    for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
      const VF distance = hn::Abs(hn::Sub(LoadBytes(d, a + i * sizeof(float)), LoadBytes(d, b + i * sizeof(float))));
      counts.above_02.Add(hn::Gt(distance, hn::Set(d, 0.2f)));
      counts.above_5.Add(hn::Gt(distance, hn::Set(d, 5.0f)));
    }
  }

  Sums sums_;
};

PairStatistics CompareRows(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  const std::uint8_t* const a = reinterpret_cast<const std::uint8_t*>(prover.data());
  const std::uint8_t* const b = reinterpret_cast<const std::uint8_t*>(verifier.data());
  const std::size_t n_elements = prover.size() / static_cast<std::size_t>(FormatOf(type).bytes);
  switch (type) {
    case StateType::kF16:
      return RowComparer<StateType::kF16>().Compare(a, b, n_elements);
    case StateType::kBF16:
      return RowComparer<StateType::kBF16>().Compare(a, b, n_elements);
    case StateType::kF32:
      return RowComparer<StateType::kF32>().Compare(a, b, n_elements);
  }
  return {};
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace verillm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace verillm {
namespace {

HWY_EXPORT(CompareRows);

}  // namespace

PairStatistics ComparePair(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  // The reference also reports sizes that do not fit.
  const bool fits = prover.size() == verifier.size() && prover.size() % static_cast<std::size_t>(FormatOf(type).bytes) == 0;
  if (!VectorKernelChosen() || !fits) return ComparePairScalar(prover, verifier, type);
  return HWY_DYNAMIC_DISPATCH(CompareRows)(prover, verifier, type);
}

}  // namespace verillm
#endif  // HWY_ONCE
