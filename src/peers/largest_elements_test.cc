#include "peers/largest_elements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/test_support.h"
#include "peers/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Bits = std::vector<std::uint16_t>;
using Indices = std::vector<std::uint32_t>;

Indices Largest(const Bits& bits, std::size_t k, TieRule rule = TieRule::kLowestIndex, StateType type = StateType::kBF16) {
  return LargestElements(std::as_bytes(std::span(bits)), type, k, rule);
}

// The magnitude as torch compares it: NaN above all else and equal among each other.
int Rank(std::uint16_t bits) { return std::min(bits & 0x7FFF, 0x7F81); }

Indices LowestIndexPlainly(const Bits& bits, std::size_t k) {
  Indices order(bits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return Rank(bits[a]) > Rank(bits[b]); });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

// torch's own steps (TopKImpl.h), on the same kind of elements.
Indices TorchPlainly(const Bits& bits, std::size_t k) {
  std::vector<std::pair<float, std::int64_t>> queue;
  for (std::size_t i = 0; i < bits.size(); ++i)
    queue.emplace_back(static_cast<float>(Rank(bits[i])), static_cast<std::int64_t>(i));
  const auto larger = [](const auto& a, const auto& b) { return a.first > b.first; };
  const auto end = queue.begin() + static_cast<std::ptrdiff_t>(k);
  if (k * 64 <= queue.size()) {
    std::partial_sort(queue.begin(), end, queue.end(), larger);
  } else {
    std::nth_element(queue.begin(), end - 1, queue.end(), larger);
  }
  Indices indices;
  for (auto element = queue.begin(); element != end; ++element) indices.push_back(static_cast<std::uint32_t>(element->second));
  std::sort(indices.begin(), indices.end());
  return indices;
}

// `n` numbers of only `n_values` different magnitudes and both signs.
Bits ManyTies(std::uint64_t seed, std::size_t n, std::uint64_t n_values) {
  Bits bits;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t z = SplitMix(seed, i + 1);
    bits.push_back(static_cast<std::uint16_t>((z % n_values + 0x3F80) | ((z >> 40) & 0x8000)));
  }
  return bits;
}

TEST(LargestElements, SignDoesNotCount) { EXPECT_THAT(Largest({0x3F80, 0xC000, 0x0000, 0x3F81}, 2), ElementsAre(1, 3)); }

TEST(LargestElements, OfEqualOnesThoseOfLowestIndexAreTaken) {
  EXPECT_THAT(Largest({0x3F80, 0xBF80, 0x4000, 0x3F80}, 2), ElementsAre(0, 2));
  EXPECT_THAT(Largest(Bits(1000, 0x3F80), 3), ElementsAre(0, 1, 2));
}

TEST(LargestElements, AllElementsCanBeAskedFor) {
  EXPECT_THAT(Largest({0, 0, 1}, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(Largest({0, 0, 1}, 3, TieRule::kTorchCpu), ElementsAre(0, 1, 2));
}

TEST(LargestElements, NaNsComeBeforeInfinityAndAreEqual) {
  const Bits bits = {0x7F80, 0x7FC0, 0xFFFF, 0x7F7F, 0xFF81};
  EXPECT_THAT(Largest(bits, 1), ElementsAre(1));
  EXPECT_THAT(Largest(bits, 3), ElementsAre(1, 2, 4));
  EXPECT_THAT(Largest(bits, 4), ElementsAre(0, 1, 2, 4));
}

TEST(LargestElements, NaNsOfF16HaveAnotherExponent) {
  const Bits bits = {0x7C00, 0xFC01, 0x7BFF, 0x7FFF};
  EXPECT_THAT(Largest(bits, 1, TieRule::kLowestIndex, StateType::kF16), ElementsAre(1));
  EXPECT_THAT(Largest(bits, 2, TieRule::kLowestIndex, StateType::kF16), ElementsAre(1, 3));
  EXPECT_THAT(Largest(bits, 3, TieRule::kTorchCpu, StateType::kF16), ElementsAre(0, 1, 3));
}

TEST(LargestElements, LowestIndexRuleAgreesWithAStableSort) {
  for (const std::size_t n : {1u, 63u, 64u, 65u, 1000u, 8192u, 20011u}) {
    for (const std::size_t k : {std::size_t{1}, n / 100 + 1, n / 2 + 1, n}) {
      for (const std::uint64_t n_values : {1u, 3u, 100u, 16000u}) {
        const Bits bits = ManyTies(n + k, n, n_values);
        ASSERT_EQ(Largest(bits, k), LowestIndexPlainly(bits, k)) << n << ' ' << k << ' ' << n_values;
      }
    }
  }
}

#ifdef __GLIBCXX__
TEST(LargestElements, TorchRuleAgreesWithItsStepsBitForBit) {
  for (const std::size_t n : {1u, 63u, 64u, 65u, 1000u, 8192u, 20011u}) {
    for (const std::size_t k : {std::size_t{1}, std::size_t{2}, n / 200 + 1, n / 64 + 1, n / 2 + 1, n}) {
      for (const std::uint64_t n_values : {1u, 3u, 100u, 16000u}) {
        if (k > n) continue;
        const Bits bits = ManyTies(n + k, n, n_values);
        ASSERT_EQ(Largest(bits, k, TieRule::kTorchCpu), TorchPlainly(bits, k)) << n << ' ' << k << ' ' << n_values;
      }
    }
  }
}

TEST(LargestElements, TorchRuleAgreesWithItsStepsInSortedRuns) {
  Bits rising = ManyTies(5, 10000, 300);
  std::sort(rising.begin(), rising.end(), [](auto a, auto b) { return Rank(a) < Rank(b); });
  const Bits falling(rising.rbegin(), rising.rend());
  for (const std::size_t k : {1u, 16u, 128u, 156u, 157u, 200u}) {
    EXPECT_EQ(Largest(rising, k, TieRule::kTorchCpu), TorchPlainly(rising, k)) << k;
    EXPECT_EQ(Largest(falling, k, TieRule::kTorchCpu), TorchPlainly(falling, k)) << k;
  }
}
#endif

TEST(LargestElements, RulesTakeTheSameMagnitudes) {
  const Bits bits = ManyTies(9, 20000, 50);
  Bits by_index, by_torch;
  for (const std::uint32_t i : Largest(bits, 300)) by_index.push_back(bits[i] & 0x7FFF);
  for (const std::uint32_t i : Largest(bits, 300, TieRule::kTorchCpu)) by_torch.push_back(bits[i] & 0x7FFF);
  std::sort(by_index.begin(), by_index.end());
  std::sort(by_torch.begin(), by_torch.end());
  EXPECT_EQ(by_index, by_torch);
}

TEST(LargestElements, BytesNeedNoAlignment) {
  const Bits bits = ManyTies(11, 5000, 1000);
  std::vector<std::byte> shifted(10001);
  std::memcpy(shifted.data() + 1, bits.data(), 10000);
  EXPECT_EQ(LargestElements(std::span(shifted).subspan(1), StateType::kBF16, 40, TieRule::kLowestIndex), Largest(bits, 40));
}

TEST(TieRule, NamesAreReadBack) {
  for (const TieRule rule : {TieRule::kLowestIndex, TieRule::kTorchCpu}) EXPECT_EQ(TieRuleFromName(TieRuleName(rule)), rule);
  ExpectError([] { TieRuleFromName("cuda"); }, ErrorKind::kUsage, HasSubstr("\"cuda\""));
}

}  // namespace
}  // namespace verillm
