#include "receipt/row_commitment.h"

#include <set>

#include "base/test_support.h"
#include "receipt/merkle.h"
#include "receipt/receipt_test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

std::vector<std::byte> Row(int value, std::size_t n) { return std::vector<std::byte>(n, static_cast<std::byte>(value)); }

// SHA-256 of 00 | 05000000 | 08000000 | 07000000 | 02000000 | 01 02, computed apart.
TEST(RowHash, IsOfThePlaceAndTheRow) {
  const std::vector<std::byte> row = {std::byte{1}, std::byte{2}};
  std::vector<std::byte> leaf = {std::byte{5}, {}, {}, {},           std::byte{8}, {}, {}, {},           std::byte{7},
                                 {},           {}, {}, std::byte{2}, {},           {}, {}, std::byte{1}, std::byte{2}};
  EXPECT_EQ(RowHash(5, CapturePoint::Layer(8), 7, StateType::kBF16, row), LeafHash({leaf}));
  EXPECT_EQ(ToHex(RowHash(5, CapturePoint::Layer(8), 7, StateType::kBF16, row)),
            "2bd91db37aff37da362fe2038bb3dda07e296a994ff1f607fd03e7f7bac2953f");
}

TEST(RowHash, DiffersWithEachPartOfThePlace) {
  const std::vector<std::byte> row = Row(1, 8);
  const std::set<Hash> hashes = {RowHash(5, CapturePoint::Layer(8), 7, StateType::kBF16, row),
                                 RowHash(6, CapturePoint::Layer(8), 7, StateType::kBF16, row),
                                 RowHash(5, CapturePoint::Layer(9), 7, StateType::kBF16, row),
                                 RowHash(5, CapturePoint::Final(), 7, StateType::kBF16, row),
                                 RowHash(5, CapturePoint::Layer(8), 8, StateType::kBF16, row),
                                 RowHash(5, CapturePoint::Layer(8), 7, StateType::kF16, row),
                                 RowHash(5, CapturePoint::Layer(8), 7, StateType::kBF16, Row(2, 8))};
  EXPECT_EQ(hashes.size(), 7u);
}

const CapturePlan kPlan = {.points = {CapturePoint::Layer(0), CapturePoint::Final()}, .type = StateType::kBF16};

// Three positions of width 1, in the order that `append` brings them.
template <typename Append>
Hash RootOf(Append append) {
  RowCommitment commitment(kPlan, 1, 10);
  append(commitment);
  return commitment.Root();
}

TEST(RowCommitment, IsTheSameInWhateverPiecesRowsAndTokensCome) {
  const auto rows = [](std::initializer_list<int> values) {
    std::vector<std::byte> bytes;
    for (const int value : values) bytes.insert(bytes.end(), 2, static_cast<std::byte>(value));
    return bytes;
  };
  const Hash step_by_step = RootOf([&](RowCommitment& commitment) {
    for (int i = 0; i < 3; ++i) {
      commitment.AppendRows(CapturePoint::Layer(0), rows({i}));
      commitment.AppendRows(CapturePoint::Final(), rows({10 + i}));
      commitment.AppendToken(i);
    }
  });
  EXPECT_EQ(step_by_step, RootOf([&](RowCommitment& commitment) {
              for (int i = 0; i < 3; ++i) commitment.AppendToken(i);
              commitment.AppendRows(CapturePoint::Final(), rows({10, 11, 12}));
              commitment.AppendRows(CapturePoint::Layer(0), rows({0, 1}));
              commitment.AppendRows(CapturePoint::Layer(0), rows({2}));
            }));
  // The same rows of other positions, or exchanged, are another commitment.
  EXPECT_NE(step_by_step, RootOf([&](RowCommitment& commitment) {
              for (int i = 0; i < 3; ++i) commitment.AppendToken(i);
              commitment.AppendRows(CapturePoint::Final(), rows({11, 10, 12}));
              commitment.AppendRows(CapturePoint::Layer(0), rows({0, 1, 2}));
            }));
  EXPECT_NE(step_by_step, RootOf([&](RowCommitment& commitment) {
              for (int i = 0; i < 3; ++i) commitment.AppendToken(i);
              commitment.AppendRows(CapturePoint::Layer(0), rows({10, 11, 12}));
              commitment.AppendRows(CapturePoint::Final(), rows({0, 1, 2}));
            }));
}

TEST(RowCommitment, RefusesToCommitToNothing) {
  ExpectError([] { RowCommitment(kPlan, 1, 10).Root(); }, ErrorKind::kInput, HasSubstr("no states to commit to"));
}

TEST(RowCommitment, RefusesPositionsThatLackATokenOrARow) {
  for (const int missing : {0, 1, 2}) {
    RowCommitment commitment(kPlan, 1, 10);
    if (missing != 0) commitment.AppendRows(CapturePoint::Layer(0), Row(1, 2));
    if (missing != 1) commitment.AppendRows(CapturePoint::Final(), Row(1, 2));
    if (missing != 2) commitment.AppendToken(1);
    ExpectError([&] { commitment.Root(); }, ErrorKind::kInput, HasSubstr("position 10 lacks"));
  }
}

TEST(RowCommitment, RefusesRowsThatNobodyPlanned) {
  RowCommitment commitment(kPlan, 4, 10);
  ExpectError([&] { commitment.AppendRows(CapturePoint::Layer(8), Row(1, 8)); }, ErrorKind::kInput, HasSubstr("capture point 8"));
  ExpectError([&] { commitment.AppendRows(CapturePoint::Layer(0), Row(1, 9)); }, ErrorKind::kInput, HasSubstr("9 bytes"));
}

}  // namespace
}  // namespace verillm
