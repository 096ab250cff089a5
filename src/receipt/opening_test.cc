#include "receipt/opening.h"

#include "base/test_support.h"
#include "receipt/receipt_test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::vector<int> kPositions = {3, 7, 8, 12};

OpenedRows Check(const SmallResponse& response, const std::vector<std::byte>& opening,
                 const std::vector<int>& challenged = kPositions) {
  return CheckOpening(opening, response.receipt, response.digest(), challenged);
}

TEST(CheckOpening, GivesTheRowsThatWereCommittedTo) {
  const SmallResponse response;
  const std::vector<std::byte> opening = response.Open(kPositions);
  const OpenedRows opened = Check(response, opening);
  EXPECT_EQ(opened.positions, kPositions);
  ASSERT_EQ(opened.rows.size(), 12u);
  for (std::size_t i = 0; i < kPositions.size(); ++i) {
    for (std::size_t point = 0; point < 3; ++point) {
      const auto row = opened.Row(i, point, 3);
      const auto expected = response.Row(response.receipt.plan.points[point], kPositions[i]);
      EXPECT_TRUE(std::equal(row.begin(), row.end(), expected.begin(), expected.end()));
    }
  }
}

TEST(CheckOpening, OpensAllPositionsOrOne) {
  const SmallResponse response;
  std::vector<int> all;
  for (int i = 3; i < 13; ++i) all.push_back(i);
  for (const std::vector<int>& positions : {all, {3}, {12}})
    EXPECT_EQ(Check(response, response.Open(positions), positions).positions, positions);
}

TEST(CheckOpening, RefusesEveryChangedBit) {
  const SmallResponse response(4);
  const std::vector<int> positions = {4, 5};
  const std::vector<std::byte> opening = response.Open(positions);
  for (std::size_t i = 0; i < opening.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> changed = opening;
      changed[i] ^= static_cast<std::byte>(1 << bit);
      ExpectError([&] { Check(response, changed, positions); }, ErrorKind::kInput, StartsWith("opening"));
    }
  }
}

TEST(CheckOpening, RefusesEveryTruncationAndPadding) {
  const SmallResponse response(4);
  const std::vector<int> positions = {4, 5};
  std::vector<std::byte> opening = response.Open(positions);
  for (std::size_t n = 0; n < opening.size(); ++n) {
    const std::vector<std::byte> cut(opening.begin(), opening.begin() + static_cast<std::ptrdiff_t>(n));
    ExpectError([&] { Check(response, cut, positions); }, ErrorKind::kInput, StartsWith("opening"));
  }
  opening.push_back({});
  ExpectError([&] { Check(response, opening, positions); }, ErrorKind::kInput, HasSubstr("bytes of rows and proof"));
}

TEST(CheckOpening, RefusesRowsSwappedBetweenPositionsOrCapturePoints) {
  const SmallResponse response;
  const std::vector<std::byte> opening = response.Open(kPositions);
  const std::size_t proof = opening.size() - 12 * 8;  // at least: rows begin before it
  const OpenedRows opened = Check(response, opening);
  const auto offset = static_cast<std::size_t>(opened.rows.front().data() - opening.data());
  ASSERT_LT(offset, proof);
  for (const auto& [a, b] : {std::pair{0, 3}, std::pair{0, 1}, std::pair{4, 11}}) {
    std::vector<std::byte> swapped = opening;
    std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(offset) + 8 * a,
                     swapped.begin() + static_cast<std::ptrdiff_t>(offset) + 8 * (a + 1),
                     swapped.begin() + static_cast<std::ptrdiff_t>(offset) + 8 * b);
    ExpectError([&] { Check(response, swapped); }, ErrorKind::kInput,
                "opening: the rows are not those that the receipt commits to");
  }
}

TEST(CheckOpening, RefusesAnOpeningOfAnotherReceipt) {
  const SmallResponse response;
  const SmallResponse other(10, 1);
  ExpectError([&] { Check(response, other.Open(kPositions)); }, ErrorKind::kInput, HasSubstr("opening: is of the receipt"));
  // Relabelled, its rows are still those of another sequence.
  const std::vector<std::byte> relabelled =
      MakeOpening(other.receipt, response.digest(), kPositions, other.hashes,
                  [&](CapturePoint point, int position) { return other.Row(point, position); });
  ExpectError([&] { Check(response, relabelled); }, ErrorKind::kInput, HasSubstr("not those that the receipt commits to"));
}

TEST(CheckOpening, RefusesOtherPositionsThanTheChallengedOnes) {
  const SmallResponse response;
  for (const std::vector<int>& positions : {std::vector<int>{3, 7, 8}, {3, 7, 8, 11}, {4, 7, 8, 12}, {3, 4, 7, 8, 12}}) {
    ExpectError([&] { Check(response, response.Open(positions)); }, ErrorKind::kInput,
                HasSubstr("are not the 4 challenged ones"));
  }
}

TEST(CheckOpening, RefusesEditedTokens) {
  SmallResponse response;
  const std::vector<std::byte> opening = response.Open(kPositions);
  const Hash digest = response.digest();
  response.receipt.tokens[7] += 1;
  ExpectError([&] { CheckOpening(opening, response.receipt, digest, kPositions); }, ErrorKind::kInput,
              HasSubstr("not those that the receipt commits to"));
}

// Of 9 positions a root may be that of 10 as well; the receipt signs the number, and the tokens with it.
TEST(CheckOpening, RefusesAnotherNumberOfRows) {
  SmallResponse response;
  const std::vector<int> positions = {3};
  const std::vector<std::byte> opening = response.Open(positions);
  const Hash digest = response.digest();
  response.receipt.tokens.resize(8);
  ExpectError([&] { CheckOpening(opening, response.receipt, digest, positions); }, ErrorKind::kInput, StartsWith("opening"));
}

TEST(MakeOpening, RefusesStatesThatAreNotCommittedTo) {
  const SmallResponse response;
  const SmallResponse other(10, 1);
  const auto row = [&](CapturePoint point, int position) { return response.Row(point, position); };
  ExpectError([&] { MakeOpening(response.receipt, response.digest(), kPositions, other.hashes, row); }, ErrorKind::kUsage,
              HasSubstr("not those that the receipt commits to"));
  ExpectError([&] { MakeOpening(response.receipt, response.digest(), kPositions, {}, row); }, ErrorKind::kUsage,
              HasSubstr("not those"));
}

TEST(MakeOpening, RefusesPositionsOutsideTheOutput) {
  const SmallResponse response;
  for (const int position : {2, 13, -1})
    ExpectError([&] { response.Open({position}); }, ErrorKind::kUsage, HasSubstr("is not one of the output's, 3 to 12"));
}

// 32 positions at 4 capture points of width 3584 in 1000 tokens: rows of 917,504 bytes, and less than 131,072 for all the rest.
TEST(MakeOpening, StaysUnderAMebibyteAtThePublishedSize) {
  Receipt receipt = SmallResponse().receipt;
  receipt.model.width = 3584;
  receipt.model.n_layer = 28;
  receipt.plan.points = {CapturePoint::Layer(8), CapturePoint::Layer(16), CapturePoint::Layer(24), CapturePoint::Final()};
  receipt.tokens.assign(3 + 1000, 1);
  const std::vector<std::byte> row(2 * 3584);
  std::vector<Hash> hashes;
  MerkleAccumulator tree;
  for (int position = 3; position < 1003; ++position) {
    for (const CapturePoint point : receipt.plan.points) {
      hashes.push_back(RowHash(position, point, 1, receipt.plan.type, row));
      tree.Add(hashes.back());
    }
  }
  receipt.root = tree.Root();
  std::vector<int> positions;
  for (int i = 0; i < 32; ++i) positions.push_back(3 + 31 * i);  // far apart, which makes the proof long
  const std::vector<std::byte> opening =
      MakeOpening(receipt, Sha256({}), positions, hashes, [&](CapturePoint, int) { return std::span<const std::byte>(row); });
  EXPECT_GT(opening.size(), 917504u);
  EXPECT_LT(opening.size(), 1u << 20);
  EXPECT_EQ(CheckOpening(opening, receipt, Sha256({}), positions).rows.size(), 128u);
}

}  // namespace
}  // namespace verillm
