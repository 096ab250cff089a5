// ComparePair against a plain read of the same memory: what comparing states costs beyond fetching them.
//
//   benchmark_statistics_kernel [MiB of each side's states] [repetitions]
//
// It first checks that the kernel in use (VERILLM_FORCE_KERNEL picks another) gives what the reference gives. Reads and
// comparisons then take turns, so that both see the same state of the machine.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "discrepancy/kernels.h"
#include "discrepancy/pair_statistics.h"
#include "interleaved.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "statistics_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace verillm {
namespace HWY_NAMESPACE {

// Sum of the 64-bit words of two rows in the widest vectors of this CPU, eight accumulators.
std::uint64_t SumWords(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<std::uint64_t> d;
  const std::size_t n_lanes = hn::Lanes(d);
  auto a0 = hn::Zero(d), a1 = a0, a2 = a0, a3 = a0;
  auto b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (std::size_t i = 0; i + 4 * n_lanes <= a.size(); i += 4 * n_lanes) {
    a0 = hn::Add(a0, hn::LoadU(d, a.data() + i));
    a1 = hn::Add(a1, hn::LoadU(d, a.data() + i + n_lanes));
    a2 = hn::Add(a2, hn::LoadU(d, a.data() + i + 2 * n_lanes));
    a3 = hn::Add(a3, hn::LoadU(d, a.data() + i + 3 * n_lanes));
    b0 = hn::Add(b0, hn::LoadU(d, b.data() + i));
    b1 = hn::Add(b1, hn::LoadU(d, b.data() + i + n_lanes));
    b2 = hn::Add(b2, hn::LoadU(d, b.data() + i + 2 * n_lanes));
    b3 = hn::Add(b3, hn::LoadU(d, b.data() + i + 3 * n_lanes));
  }
  const auto a_sum = hn::Add(hn::Add(a0, a1), hn::Add(a2, a3));
  const auto b_sum = hn::Add(hn::Add(b0, b1), hn::Add(b2, b3));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(a_sum, b_sum)));
}

}  // namespace HWY_NAMESPACE
}  // namespace verillm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace verillm {
namespace {

HWY_EXPORT(SumWords);

// States are compared row by row, as wide as those of SmolLM2-135M, of Qwen2.5-7B, and a round number.
constexpr std::size_t kRowElements[] = {576, 3584, 4096};

struct States {
  std::vector<std::uint64_t> prover, verifier;
  StateType type;
};

// States as an honest prover's differ from the verifier's: relative noise of 1e-3. The noise repeats after a million elements.
States MakeStates(std::size_t n_bytes, StateType type) {
  constexpr std::size_t kPeriod = 1 << 20;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> a(kPeriod), b(kPeriod);
  for (std::size_t i = 0; i < kPeriod; ++i) {
    a[i] = normal(random);
    b[i] = a[i] + 1e-3f * normal(random);
  }
  const std::size_t element_bytes = static_cast<std::size_t>(FormatOf(type).bytes);
  States states = {std::vector<std::uint64_t>(n_bytes / 8), std::vector<std::uint64_t>(n_bytes / 8), type};
  const std::span<std::byte> prover = std::as_writable_bytes(std::span(states.prover));
  const std::span<std::byte> verifier = std::as_writable_bytes(std::span(states.verifier));
  for (std::size_t begin = 0; begin < n_bytes; begin += kPeriod * element_bytes) {
    const std::size_t n = std::min(kPeriod, (n_bytes - begin) / element_bytes);
    EncodeStates(std::span(a).first(n), type, prover.subspan(begin, n * element_bytes));
    EncodeStates(std::span(b).first(n), type, verifier.subspan(begin, n * element_bytes));
  }
  return states;
}

template <typename Compare>
PairStatistics CompareRows(const States& states, std::size_t row_elements, Compare compare) {
  const std::span<const std::byte> prover = std::as_bytes(std::span(states.prover));
  const std::span<const std::byte> verifier = std::as_bytes(std::span(states.verifier));
  const std::size_t row_bytes = row_elements * static_cast<std::size_t>(FormatOf(states.type).bytes);
  PairStatistics pool;
  for (std::size_t begin = 0; begin < prover.size(); begin += row_bytes) {
    pool.Merge(compare(prover.subspan(begin, row_bytes), verifier.subspan(begin, row_bytes), states.type));
  }
  return pool;
}

bool Equal(const PairStatistics& a, const PairStatistics& b) {
  const auto near = [](double x, double y, double sum_abs) { return std::abs(x - y) <= 1e-6 * sum_abs; };
  return a.n_elements == b.n_elements && a.n_nonfinite == b.n_nonfinite && a.n_exact == b.n_exact &&
         a.n_mismatch == b.n_mismatch && a.n_mismatch_large == b.n_mismatch_large && a.n_match_small == b.n_match_small &&
         a.n_exponent_mismatch == b.n_exponent_mismatch && a.n_error_above_1e5 == b.n_error_above_1e5 &&
         a.n_error_below_1e7 == b.n_error_below_1e7 && a.n_error_zero == b.n_error_zero &&
         a.n_error_above_02 == b.n_error_above_02 && a.n_error_above_5 == b.n_error_above_5 &&
         a.max_abs_error == b.max_abs_error && near(a.sum_error, b.sum_error, b.sum_abs_error) &&
         near(a.sum_abs_error, b.sum_abs_error, b.sum_abs_error) &&
         near(a.sum_squared_error, b.sum_squared_error, b.sum_squared_error) &&
         near(a.sum_squared_verifier, b.sum_squared_verifier, b.sum_squared_verifier);
}

int Run(std::size_t n_bytes, int n_repetitions) {
  fmt::print("kernel {}, 2 x {} MiB, medians of {} repetitions\n", KernelName(), n_bytes >> 20, n_repetitions);
  fmt::print("{:<6}{:>6}{:>14}{:>21}{:>8}\n", "states", "row", "read, GB/s", "ComparePair, GB/s", "ratio");
  for (const StateType type : {StateType::kF16, StateType::kBF16, StateType::kF32}) {
    for (const std::size_t row_elements : kRowElements) {
      const std::size_t row_bytes = row_elements * static_cast<std::size_t>(FormatOf(type).bytes);
      const States states = MakeStates(n_bytes / row_bytes * row_bytes, type);
      if (!Equal(CompareRows(states, row_elements, ComparePair), CompareRows(states, row_elements, ComparePairScalar))) {
        fmt::print(stderr, "{}: the kernel's statistics are not those of the reference\n", StateTypeName(type));
        return 1;
      }
      const double giga_bytes = 16e-9 * static_cast<double>(states.prover.size());
      std::vector<double> read, compare, ratio;
      for (int i = 0; i < n_repetitions; ++i) {
        read.push_back(giga_bytes / Seconds([&] { return HWY_DYNAMIC_DISPATCH(SumWords)(states.prover, states.verifier); }));
        compare.push_back(giga_bytes / Seconds([&] { return CompareRows(states, row_elements, ComparePair); }));
        ratio.push_back(compare.back() / read.back());
      }
      fmt::print("{:<6}{:>6}{:>14.2f}{:>21.2f}{:>8.2f}\n", StateTypeName(type), row_elements, Median(read), Median(compare),
                 Median(ratio));
    }
  }
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) { return verillm::RunWithSizes(argc, argv, "each side's states", verillm::Run); }
#endif  // HWY_ONCE
