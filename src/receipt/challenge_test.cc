#include "receipt/challenge.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

const std::vector<std::byte> kBeacon(32, std::byte{7});

Hash RootOf(int i) {
  const std::string text = std::to_string(i);
  return Sha256({std::as_bytes(std::span(text))});
}

TEST(ChallengedPositions, EqualsAnIndependentDerivation) {
  EXPECT_THAT(ChallengedPositions(Sha256({}), kBeacon, 300, 1000, 8),
              ElementsAreArray({524, 722, 796, 887, 1013, 1177, 1213, 1256}));
  EXPECT_THAT(ChallengedPositions(Sha256({}), std::vector<std::byte>(16, std::byte{0xab}), 5, 7, 4),
              ElementsAreArray({5, 7, 9, 11}));
  // A root of bytes 100 to 131 and a beacon of bytes 0 to 63.
  Hash root;
  for (std::size_t i = 0; i < root.size(); ++i) root[i] = static_cast<std::byte>(100 + i);
  std::vector<std::byte> beacon;
  for (int i = 0; i < 64; ++i) beacon.push_back(static_cast<std::byte>(i));
  EXPECT_THAT(ChallengedPositions(root, beacon, 37, 2, 1), ElementsAreArray({37}));
  EXPECT_THAT(ChallengedPositions(root, beacon, 37, 1 << 28, 5),
              ElementsAreArray({42692948, 126786733, 139785799, 190478734, 190938627}));
  std::vector<int> all_but_one(100);
  std::iota(all_but_one.begin(), all_but_one.end(), 37);
  all_but_one.erase(all_but_one.begin() + (62 - 37));
  EXPECT_EQ(ChallengedPositions(root, beacon, 37, 100, 99), all_but_one);
}

TEST(ChallengedPositions, OfMoreContainThoseOfFewer) {
  const std::vector<int> few = ChallengedPositions(RootOf(0), kBeacon, 300, 1000, 8);
  const std::vector<int> more = ChallengedPositions(RootOf(0), kBeacon, 300, 1000, 64);
  EXPECT_TRUE(std::includes(more.begin(), more.end(), few.begin(), few.end()));
}

TEST(ChallengedPositions, AreAllWhereThereAreNoMore) {
  EXPECT_THAT(ChallengedPositions(Sha256({}), kBeacon, 10, 3, 3), ElementsAreArray({10, 11, 12}));
  EXPECT_THAT(ChallengedPositions(Sha256({}), kBeacon, 10, 3, 99), ElementsAreArray({10, 11, 12}));
  EXPECT_THAT(ChallengedPositions(Sha256({}), kBeacon, 10, 1, 1), ElementsAreArray({10}));
}

TEST(ChallengedPositions, AreDistinctAscendingAndInRange) {
  for (int i = 0; i < 200; ++i) {
    const std::vector<int> positions = ChallengedPositions(RootOf(i), kBeacon, 50, 40, 1 + i % 39);
    ASSERT_EQ(positions.size(), static_cast<std::size_t>(1 + i % 39));
    for (std::size_t k = 0; k < positions.size(); ++k) {
      EXPECT_GE(positions[k], 50);
      EXPECT_LT(positions[k], 90);
      EXPECT_TRUE(k == 0 || positions[k - 1] < positions[k]);
    }
  }
}

// Chi squared over 100 positions, each drawn 320 times on average of 1000 x 32 draws: 99 degrees of freedom, less (1 - 0.32) as
// draws are without replacement, so 67 +/- 12.
TEST(ChallengedPositions, AreUniform) {
  std::vector<int> counts(100);
  for (int i = 0; i < 1000; ++i) {
    for (const int position : ChallengedPositions(RootOf(i), kBeacon, 0, 100, 32)) ++counts[static_cast<std::size_t>(position)];
  }
  double chi_squared = 0;
  for (const int count : counts) chi_squared += (count - 320.0) * (count - 320.0) / 320;
  EXPECT_GT(chi_squared, 30);
  EXPECT_LT(chi_squared, 115);
}

TEST(ChallengedPositions, ChangeWithEveryInput) {
  const auto draw = [](const Hash& root, const std::vector<std::byte>& beacon, int first, int n) {
    std::vector<int> positions = ChallengedPositions(root, beacon, first, n, 20);
    for (int& position : positions) position -= first;
    return positions;
  };
  const std::vector<int> base = draw(RootOf(0), kBeacon, 100, 1000);
  EXPECT_EQ(draw(RootOf(0), kBeacon, 100, 1000), base);
  EXPECT_NE(draw(RootOf(1), kBeacon, 100, 1000), base);
  EXPECT_NE(draw(RootOf(0), std::vector<std::byte>(32, std::byte{6}), 100, 1000), base);
  EXPECT_NE(draw(RootOf(0), std::vector<std::byte>(33, std::byte{7}), 100, 1000), base);
  EXPECT_NE(draw(RootOf(0), kBeacon, 101, 1000), base);
  EXPECT_NE(draw(RootOf(0), kBeacon, 100, 1001), base);
  for (std::size_t bit = 0; bit < 256; ++bit) {
    const std::byte flip = std::byte{1} << (bit % 8);
    Hash root = RootOf(0);
    root[bit / 8] ^= flip;
    EXPECT_NE(draw(root, kBeacon, 100, 1000), base) << "bit " << bit << " of the root";
    std::vector<std::byte> beacon = kBeacon;
    beacon[bit / 8] ^= flip;
    EXPECT_NE(draw(RootOf(0), beacon, 100, 1000), base) << "bit " << bit << " of the beacon";
  }
}

TEST(ChallengedPositions, RefusesWhatCannotBeDrawn) {
  const auto refused = [](std::size_t beacon_bytes, int first, int n, int count) {
    ExpectError([&] { ChallengedPositions(Sha256({}), std::vector<std::byte>(beacon_bytes), first, n, count); },
                ErrorKind::kUsage, HasSubstr("cannot be drawn"));
  };
  refused(15, 0, 10, 1);
  refused(65, 0, 10, 1);
  refused(32, -1, 10, 1);
  refused(32, 0, 0, 1);
  refused(32, 0, 10, 0);
  refused(32, std::numeric_limits<int>::max() - 8, 10, 1);
}

TEST(ParseBeacon, TakesSixteenToSixtyFourBytes) {
  EXPECT_EQ(ParseBeacon(std::string(32, '0')), std::vector<std::byte>(16));
  EXPECT_EQ(ParseBeacon(std::string(128, 'f')), std::vector<std::byte>(64, std::byte{255}));
  for (const std::string& beacon :
       {std::string(30, '0'), std::string(130, '0'), std::string(33, '0'), std::string(32, 'F'), std::string(32, 'g')}) {
    ExpectError([&] { ParseBeacon(beacon); }, ErrorKind::kInput,
                "beacon: \"" + beacon + "\" is not 32 to 128 lower-case hexadecimal digits");
  }
}

}  // namespace
}  // namespace verillm
