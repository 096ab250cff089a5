#include "peers/python_random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>

namespace verillm {
namespace {

using testing::ElementsAre;

PythonRandom Seeded(std::string_view seed) { return PythonRandom(std::as_bytes(std::span(seed))); }

// What CPython 3.11 gives.

TEST(PythonRandom, BitsAreThose) {
  PythonRandom random = Seeded("verillm");
  EXPECT_EQ(random.Bits(32), 4170378307u);
  EXPECT_EQ(random.Bits(32), 3260277297u);
  EXPECT_EQ(random.Bits(32), 3439308116u);
  EXPECT_EQ(random.Bits(32), 3969458570u);
  EXPECT_EQ(random.Bits(1), 0u);
  EXPECT_EQ(random.Bits(8), 114u);
  EXPECT_EQ(random.Bits(20), 373585u);
}

TEST(PythonRandom, BitsGoOnAfterManyRounds) {
  PythonRandom random = Seeded("verillm");
  for (int i = 0; i < 2000; ++i) random.Bits(32);
  EXPECT_EQ(random.Bits(32), 1376650354u);
}

TEST(PythonRandom, AnEmptySeedIsOneToo) { EXPECT_EQ(Seeded("").Bits(32), 4124137760u); }

TEST(PythonRandom, LeadingZeroWordsOfTheSeedDoNotCount) { EXPECT_EQ(Seeded(std::string(9, '\0') + "a").Bits(32), 3544224146u); }

TEST(PythonRandom, NumbersBelowABoundAreThose) {
  PythonRandom random = Seeded("verillm");
  EXPECT_EQ(random.Below(1), 0u);
  EXPECT_EQ(random.Below(2), 1u);
  EXPECT_EQ(random.Below(3), 1u);
  EXPECT_EQ(random.Below(1000), 293u);
  EXPECT_EQ(random.Below(65536), 65024u);
  EXPECT_EQ(random.Below(2147483649), 969313996u);
}

TEST(PythonRandom, ShuffleIsThat) {
  PythonRandom random = Seeded("verillm");
  std::vector<int> values = {0, 1, 2, 3, 4, 5, 6, 7};
  random.Shuffle(values);
  EXPECT_THAT(values, ElementsAre(1, 4, 0, 6, 5, 2, 3, 7));
}

TEST(PythonRandom, SampleOfFewIsThat) { EXPECT_THAT(Seeded("verillm").Sample(20, 4), ElementsAre(15, 14, 11, 9)); }

TEST(PythonRandom, SampleOfMoreIsThat) { EXPECT_THAT(Seeded("verillm").Sample(22, 4), ElementsAre(15, 14, 11, 9)); }

// The largest range of which 32 are drawn from a pool.
TEST(PythonRandom, SampleOf32From277IsThat) {
  const std::vector<int> drawn = Seeded("verillm").Sample(277, 32);
  ASSERT_EQ(drawn.size(), 32u);
  EXPECT_THAT(std::vector<int>(drawn.end() - 6, drawn.end()), ElementsAre(119, 63, 223, 163, 170, 157));
}

// The smallest range of which 32 are drawn with a set of those drawn.
TEST(PythonRandom, SampleOf32From278IsThat) {
  const std::vector<int> drawn = Seeded("verillm").Sample(278, 32);
  ASSERT_EQ(drawn.size(), 32u);
  EXPECT_THAT(std::vector<int>(drawn.end() - 6, drawn.end()), ElementsAre(126, 58, 156, 151, 264, 62));
}

TEST(PythonRandom, SampleOfAllIsAPermutation) {
  std::vector<int> all = Seeded("x").Sample(50, 50);
  std::sort(all.begin(), all.end());
  std::vector<int> expected(50);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

}  // namespace
}  // namespace verillm
