// ComparePair in vector operations: this file is compiled once for every instruction set (foreach_target.h), and the best one
// that the CPU has is chosen when the program runs.
//
// Comparing states should not cost much more than fetching them from memory, so every operation counts:
// - Comparisons of bits run on the recorded width: for f16 and bf16, twice the lanes of F32.
// - All sums, those of squares too, are F32 for a batch of a few terms a lane and go on in double from there: converting every
//   element would cost more than all else together. Where a square leaves the range of F32, as those of elements that are not
//   finite do, the reference takes over for a block.
// - With AVX-512 comparisons give masks, which the scalar units count while the vector units are busy, and one pass over a batch
//   finds registers enough. Elsewhere bits are counted in a pass of their own, while the batch is in the nearest cache.
// - What is rare is looked for and counted in a second pass over a few elements: errors above 0.2, elements that differ in sign
//   but not in exponent.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

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

constexpr bool kAvx512 = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL;

// Elements that the reference takes over together.
constexpr std::size_t kBlockElements = 4096;
// Terms that a lane adds up in F32 before the sum goes on in double: a batch. Each of the 59 additions but the first rounds by
// 2^-24 of the sum at most, and a term comes with up to four such errors (the difference, twice in its square; the product; what
// SquaresFitF32 allows), which is below the 2^-18 that ComparePair promises. Batches of 32 lose a twentieth of the speed.
constexpr std::size_t kBatchTerms = 60;
// How far ahead memory is announced: at 2 KiB f32 loses a sixth of its speed, and without it f16 and bf16 lose a tenth.
constexpr std::size_t kPrefetchBytes = 8192;

template <class D>
hn::Vec<D> LoadBytes(D d, const std::uint8_t* bytes) {
  const hn::Repartition<std::uint8_t, D> d8;
  return hn::BitCast(d, hn::LoadU(d8, bytes));
}

// Both halves of a vector of floats as doubles, added.
VD SumOfHalves(VF floats) {
  const hn::Half<DF> d_half;
  return hn::Add(hn::PromoteTo(DD(), hn::LowerHalf(d_half, floats)), hn::PromoteTo(DD(), hn::UpperHalf(d_half, floats)));
}

// The structures below have constructors that look superfluous: those that the compiler adds are not compiled for the instruction
// set of this section.

// Counts the true lanes of masks in the scalar units.
template <class D>
class MaskCounter {
 public:
  MaskCounter() {}
  void Add(hn::Mask<D> mask) { count_ += hn::CountTrue(D(), mask); }
  void Merge(const MaskCounter& other) { count_ += other.count_; }
  std::uint64_t Count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
};

// The same in lanes as narrow as those of D, at most kBlockElements: where masks are vectors, that is a single subtraction.
template <class D>
class LaneCounter {
  using DInt = hn::RebindToSigned<D>;

 public:
  LaneCounter() : count_(hn::Zero(DInt())) {}
  void Add(hn::Mask<D> mask) { count_ = hn::Sub(count_, hn::BitCast(DInt(), hn::VecFromMask(D(), mask))); }
  void Merge(const LaneCounter& other) { count_ = hn::Add(count_, other.count_); }
  std::uint64_t Count() const { return static_cast<std::uint64_t>(hn::GetLane(hn::SumOfLanes(DInt(), count_))); }

 private:
  hn::Vec<DInt> count_;
};

template <class D>
using Counter = std::conditional_t<kAvx512, MaskCounter<D>, LaneCounter<D> >;

// The integer that holds an element, and widening to F32: Widen<kPart>(in) gives one of the kParts parts of as many elements as a
// vector of Bits has lanes. Which elements they are depends on kPart alone, so that both rows come out in the same order.
template <StateType kType>
struct Element;

template <>
struct Element<StateType::kF32> {
  using Bits = std::uint32_t;

  template <int kPart>
  static VF Widen(const std::uint8_t* in) {
    return LoadBytes(DF(), in);
  }
};

template <>
struct Element<StateType::kBF16> {
  using Bits = std::uint16_t;

  template <int kPart>
  static VF Widen(const std::uint8_t* in) {
    const hn::RebindToUnsigned<DF> d32;
    const auto pairs = LoadBytes(d32, in);
    return hn::BitCast(DF(), kPart == 0 ? hn::ShiftLeft<16>(pairs) : hn::And(pairs, hn::Set(d32, 0xFFFF0000u)));
  }
};

template <>
struct Element<StateType::kF16> {
  using Bits = std::uint16_t;

  template <int kPart>
  static VF Widen(const std::uint8_t* in) {
    const hn::Rebind<std::uint16_t, DF> d_bits;
    const hn::Rebind<hwy::float16_t, DF> d_half;
    const VF widened = hn::PromoteTo(DF(), hn::BitCast(d_half, LoadBytes(d_bits, in + kPart * hn::Lanes(DF()) * sizeof(Bits))));
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
    return widened;
#else
    // Without an instruction for it, Highway's conversion takes infinities and NaN for numbers from 2^16 on.
    const VF infinity = hn::BitCast(DF(), hn::Set(hn::RebindToUnsigned<DF>(), 0x7F800000u));
    return hn::IfThenElse(hn::Ge(hn::Abs(widened), hn::Set(DF(), 65536.0f)), infinity, widened);
#endif
  }
};

// Sums of b - a, |b - a|, (b - a)^2, b^2 and b (b - a), one in each lane.
template <class D>
struct Sums {
  Sums()
      : error(hn::Zero(D())),
        abs_error(hn::Zero(D())),
        squared_error(hn::Zero(D())),
        squared_verifier(hn::Zero(D())),
        error_product(hn::Zero(D())) {}

  hn::Vec<D> error, abs_error, squared_error, squared_verifier, error_product;
};

double SumOfLanes(VD v) { return hn::GetLane(hn::SumOfLanes(DD(), v)); }

template <StateType kType>
class RowComparer {
 public:
  static PairStatistics Compare(const std::uint8_t* a, const std::uint8_t* b, std::size_t n_elements) {
    PairStatistics statistics;
    for (std::size_t begin = 0; begin < n_elements; begin += kBlockElements) {
      const std::size_t n = HWY_MIN(kBlockElements, n_elements - begin);
      const std::uint8_t* const a_block = a + begin * sizeof(Bits);
      const std::uint8_t* const b_block = b + begin * sizeof(Bits);
      const PairStatistics block = CompareBlock(a_block, b_block, n);
      statistics.Merge(SquaresFitF32(block) ? block : ComparePairScalar(AsBytes(a_block, n), AsBytes(b_block, n), kType));
    }
    return statistics;
  }

 private:
  using Bits = typename Element<kType>::Bits;
  using D = hn::ScalableTag<Bits>;
  using DSigned = hn::RebindToSigned<D>;
  static constexpr int kMantissaBits = FormatOf(kType).mantissa_bits;
  static constexpr Bits kMantissaMask = static_cast<Bits>((1u << kMantissaBits) - 1);
  static constexpr std::size_t kParts = sizeof(float) / sizeof(Bits);
  static constexpr Bits kSignMask = static_cast<Bits>(1u << (8 * sizeof(Bits) - 1));
  // delta > 0.5 and delta < 0.05 as bounds on the difference of the mantissa fields. 2^m / 20 is never whole, hence rounded up.
  static constexpr std::int32_t kLargeAbove = 1 << (kMantissaBits - 1);
  static constexpr std::int32_t kSmallBelow = (1 << kMantissaBits) / 20 + 1;
  // Differences (a xor b) with sign but without exponent bits are, as signed integers, those below this one.
  static constexpr hn::TFromD<DSigned> kLeastDifferenceWithExponent =
      static_cast<hn::TFromD<DSigned> >(hwy::LimitsMin<hn::TFromD<DSigned> >() + kMantissaMask + 1);

  struct Counts {
    Counts() {}

    void Merge(const Counts& other) {
      exact.Merge(other.exact);
      mismatch.Merge(other.mismatch);
      mismatch_large.Merge(other.mismatch_large);
      match_small.Merge(other.match_small);
      above_1e5.Merge(other.above_1e5);
      below_1e7.Merge(other.below_1e7);
    }

    Counter<D> exact, mismatch, mismatch_large, match_small;
    MaskCounter<DF> above_1e5, below_1e7;
  };

  struct RareCounts {
    RareCounts() {}

    Counter<D> same_exponent_mismatch, opposite_zero;
    MaskCounter<DF> above_02, above_5;
  };

  struct Block {
    Block() : max_abs_error(hn::Zero(DF())) {}

    Counts counts;
    RareCounts rare;
    Sums<DD> sums;
    VF max_abs_error;
  };

  static std::span<const std::byte> AsBytes(const std::uint8_t* row, std::size_t n) {
    return std::as_bytes(std::span(row, n * sizeof(Bits)));
  }

  // Whether the squares stayed in the range of F32, so that `block` is right. They are infinite or NaN where an element is, and
  // from 2^128 on. Below 2^-126 each loses up to 2^-150, which is within the rounding errors of a sum that is large enough.
  static bool SquaresFitF32(const PairStatistics& block) {
    const double least = 0x1p-126 * static_cast<double>(block.n_elements);
    return std::isfinite(block.sum_squared_error + block.sum_squared_verifier) && block.sum_squared_verifier >= least &&
           (block.sum_squared_error >= least || block.n_error_zero == block.n_elements);
  }

  // n: at most kBlockElements.
  static PairStatistics CompareBlock(const std::uint8_t* a, const std::uint8_t* b, std::size_t n) {
    const std::size_t n_lanes = hn::Lanes(D());
    const std::size_t n_whole = n / n_lanes * n_lanes;
    const std::size_t n_batch = kBatchTerms / kParts * n_lanes;
    Block block;
    for (std::size_t begin = 0; begin < n_whole; begin += n_batch) {
      CompareBatch(a + begin * sizeof(Bits), b + begin * sizeof(Bits), HWY_MIN(n_batch, n_whole - begin), block);
    }
    std::size_t n_padded = 0;
    if (n_whole != n) {
      HWY_ALIGN Bits tail_a[HWY_MAX_BYTES / sizeof(Bits)] = {};
      HWY_ALIGN Bits tail_b[HWY_MAX_BYTES / sizeof(Bits)] = {};
      std::memcpy(tail_a, a + n_whole * sizeof(Bits), (n - n_whole) * sizeof(Bits));
      std::memcpy(tail_b, b + n_whole * sizeof(Bits), (n - n_whole) * sizeof(Bits));
      CompareBatch(reinterpret_cast<const std::uint8_t*>(tail_a), reinterpret_cast<const std::uint8_t*>(tail_b), n_lanes, block);
      n_padded = n_whole + n_lanes - n;
    }

    PairStatistics statistics;
    statistics.n_elements = n;
    // Elements of the padding are equal zeros.
    statistics.n_exact = block.counts.exact.Count() - n_padded;
    statistics.n_mismatch = block.counts.mismatch.Count();
    statistics.n_mismatch_large = block.counts.mismatch_large.Count();
    statistics.n_match_small = block.counts.match_small.Count() - n_padded;
    statistics.n_exponent_mismatch = statistics.n_mismatch - block.rare.same_exponent_mismatch.Count();
    statistics.n_error_above_1e5 = block.counts.above_1e5.Count();
    statistics.n_error_below_1e7 = block.counts.below_1e7.Count() - n_padded;
    // A difference of F32 numbers is zero where they are equal and nowhere else.
    statistics.n_error_zero = statistics.n_exact + block.rare.opposite_zero.Count();
    statistics.n_error_above_02 = block.rare.above_02.Count();
    statistics.n_error_above_5 = block.rare.above_5.Count();
    statistics.sum_error = SumOfLanes(block.sums.error);
    statistics.sum_abs_error = SumOfLanes(block.sums.abs_error);
    statistics.max_abs_error = static_cast<double>(hn::GetLane(hn::MaxOfLanes(DF(), block.max_abs_error)));
    statistics.sum_squared_error = SumOfLanes(block.sums.squared_error);
    statistics.sum_squared_verifier = SumOfLanes(block.sums.squared_verifier);
    statistics.sum_error_product = SumOfLanes(block.sums.error_product);
    return statistics;
  }

  // Calls visit(prover, verifier) with the floats of a vector of each row.
  template <class Visit>
  static void ForEachPart(const std::uint8_t* a, const std::uint8_t* b, Visit visit) {
    visit(Element<kType>::template Widen<0>(a), Element<kType>::template Widen<0>(b));
    if constexpr (kParts == 2) visit(Element<kType>::template Widen<1>(a), Element<kType>::template Widen<1>(b));
  }

  // Announces the memory that follows in some iterations; it may lie behind the row, hence the arithmetic on integers.
  static void Prefetch(const std::uint8_t* bytes) {
    hwy::Prefetch(reinterpret_cast<const std::uint8_t*>(reinterpret_cast<std::uintptr_t>(bytes) + kPrefetchBytes));
  }

  // n: a multiple of the lanes of a vector of Bits, at most kBatchTerms / kParts of them. What this counts and adds up stays in
  // registers until the end, for which it is a function of its own.
  static HWY_NOINLINE void CompareBatch(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, Block& block) {
    const DF d;
    const DSigned d_signed;
    Counts counts;
    Sums<DF> sums;
    VF max_abs_error = hn::Zero(d);
    auto least_difference = hn::Zero(d_signed);
    const auto add_errors = [&](VF prover, VF verifier) { AddErrors(prover, verifier, counts, sums, max_abs_error); };
    for (std::size_t i = 0; i < n; i += hn::Lanes(D())) {
      const std::uint8_t* const a_vector = a + i * sizeof(Bits);
      const std::uint8_t* const b_vector = b + i * sizeof(Bits);
      Prefetch(a_vector);
      Prefetch(b_vector);
      CountBits(a_vector, b_vector, counts, least_difference);
      if constexpr (kAvx512) ForEachPart(a_vector, b_vector, add_errors);
    }
    if constexpr (!kAvx512) {
      for (std::size_t i = 0; i < n; i += hn::Lanes(D())) ForEachPart(a + i * sizeof(Bits), b + i * sizeof(Bits), add_errors);
    }

    block.counts.Merge(counts);
    block.sums.error = hn::Add(block.sums.error, SumOfHalves(sums.error));
    block.sums.abs_error = hn::Add(block.sums.abs_error, SumOfHalves(sums.abs_error));
    block.sums.squared_error = hn::Add(block.sums.squared_error, SumOfHalves(sums.squared_error));
    block.sums.squared_verifier = hn::Add(block.sums.squared_verifier, SumOfHalves(sums.squared_verifier));
    block.sums.error_product = hn::Add(block.sums.error_product, SumOfHalves(sums.error_product));
    block.max_abs_error = hn::Max(block.max_abs_error, max_abs_error);
    if (!hn::AllFalse(d_signed, hn::Lt(least_difference, hn::Set(d_signed, kLeastDifferenceWithExponent)))) {
      CountSignMismatches(a, b, n, block.rare);
    }
    if (!hn::AllFalse(d, hn::Gt(max_abs_error, hn::Set(d, 0.2f)))) CountLargeErrors(a, b, n, block.rare);
  }

  // Counts what the bits of a vector tell. least_difference: the least a xor b as signed integers.
  static void CountBits(const std::uint8_t* a, const std::uint8_t* b, Counts& counts, hn::Vec<DSigned>& least_difference) {
    const D d;
    const DSigned d_signed;
    const auto mantissa_mask = hn::Set(d, kMantissaMask);
    const auto a_bits = LoadBytes(d, a);
    const auto b_bits = LoadBytes(d, b);
    const auto difference = hn::Xor(a_bits, b_bits);
    const auto mismatch = hn::Gt(difference, mantissa_mask);
    counts.exact.Add(hn::Eq(a_bits, b_bits));
    counts.mismatch.Add(mismatch);
    // -1 - delta in E, which is negative, and delta elsewhere: one comparison each tells large in E and small outside E.
    const auto delta = hn::Abs(
        hn::Sub(hn::BitCast(d_signed, hn::And(a_bits, mantissa_mask)), hn::BitCast(d_signed, hn::And(b_bits, mantissa_mask))));
    const auto coded = hn::IfThenElse(hn::RebindMask(d_signed, mismatch), hn::Sub(hn::Set(d_signed, -1), delta), delta);
    const auto large_below = hn::Set(d_signed, static_cast<hn::TFromD<DSigned> >(-1 - kLargeAbove));
    counts.mismatch_large.Add(hn::RebindMask(d, hn::Lt(coded, large_below)));
    counts.match_small.Add(hn::Lt(hn::BitCast(d, coded), hn::Set(d, static_cast<Bits>(kSmallBelow))));
    least_difference = hn::Min(least_difference, hn::BitCast(d_signed, difference));
  }

  static void AddErrors(VF prover, VF verifier, Counts& counts, Sums<DF>& sums, VF& max_abs_error) {
    const DF d;
    const VF error = hn::Sub(verifier, prover);
    const VF distance = hn::Abs(error);
    sums.error = hn::Add(sums.error, error);
    sums.abs_error = hn::Add(sums.abs_error, distance);
    sums.squared_error = hn::MulAdd(error, error, sums.squared_error);
    sums.squared_verifier = hn::MulAdd(verifier, verifier, sums.squared_verifier);
    sums.error_product = hn::MulAdd(verifier, error, sums.error_product);
    // Without sign, floats are ordered like their bits as integers, for which CPUs have more units.
    const hn::RebindToSigned<DF> d_bits;
    max_abs_error = hn::BitCast(d, hn::Max(hn::BitCast(d_bits, max_abs_error), hn::BitCast(d_bits, distance)));
    counts.above_1e5.Add(hn::Gt(distance, hn::Set(d, 1e-5f)));
    counts.below_1e7.Add(hn::Lt(distance, hn::Set(d, 1e-7f)));
  }

  static HWY_NOINLINE void CountSignMismatches(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, RareCounts& counts) {
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

  static HWY_NOINLINE void CountLargeErrors(const std::uint8_t* a, const std::uint8_t* b, std::size_t n, RareCounts& counts) {
    for (std::size_t i = 0; i < n; i += hn::Lanes(D())) {
      ForEachPart(a + i * sizeof(Bits), b + i * sizeof(Bits), [&](VF prover, VF verifier) {
        const VF distance = hn::Abs(hn::Sub(verifier, prover));
        counts.above_02.Add(hn::Gt(distance, hn::Set(DF(), 0.2f)));
        counts.above_5.Add(hn::Gt(distance, hn::Set(DF(), 5.0f)));
      });
    }
  }
};

PairStatistics CompareRows(std::span<const std::byte> prover, std::span<const std::byte> verifier, StateType type) {
  const std::uint8_t* const a = reinterpret_cast<const std::uint8_t*>(prover.data());
  const std::uint8_t* const b = reinterpret_cast<const std::uint8_t*>(verifier.data());
  const std::size_t n_elements = prover.size() / static_cast<std::size_t>(FormatOf(type).bytes);
  switch (type) {
    case StateType::kF16:
      return RowComparer<StateType::kF16>::Compare(a, b, n_elements);
    case StateType::kBF16:
      return RowComparer<StateType::kBF16>::Compare(a, b, n_elements);
    case StateType::kF32:
      return RowComparer<StateType::kF32>::Compare(a, b, n_elements);
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
