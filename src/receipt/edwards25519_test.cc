#include "receipt/edwards25519.h"

#include <cstdint>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"
#include "receipt/sodium.h"
#include "receipt/vrf_test_support.h"

namespace verillm {
namespace {

EdwardsScalar Scalar(std::uint64_t value) {
  EdwardsScalar scalar{};
  StoreLittleEndian(value, scalar.data());
  return scalar;
}

// q = 2^252 + 27742317777372353535851937790883648493.
const EdwardsScalar kOrder = ArrayOfHex<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

// A point of order 8: q times the point with y = 3.
const EdwardsPoint kOrderEight = ArrayOfHex<32>("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");

EdwardsPoint Sum(std::uint64_t n, const EdwardsPoint& point) {
  EdwardsPoint sum = kNeutralPoint;
  for (std::uint64_t i = 0; i < n; ++i) sum = Add(sum, point);
  return sum;
}

// The base point, points of each small order, and sums of both.
std::vector<EdwardsPoint> PointsOfEveryOrder() {
  std::vector<EdwardsPoint> points;
  for (std::uint64_t i = 0; i < 8; ++i) {
    points.push_back(Sum(i, kOrderEight));
    points.push_back(Add(kBasePoint, points.back()));
  }
  return points;
}

TEST(IsPoint, TakesPointsOfEveryOrder) {
  for (const EdwardsPoint& point : PointsOfEveryOrder()) EXPECT_TRUE(IsPoint(point)) << ToHex(point);
}

TEST(IsPoint, RefusesWhatIsNotOnTheCurve) {
  const EdwardsPoint off_curve = {std::byte{2}};
  EXPECT_FALSE(IsPoint(off_curve));
  ExpectError([&] { Add(off_curve, kBasePoint); }, ErrorKind::kInput, "edwards25519: is no point of the curve");
  ExpectError([&] { Subtract(kBasePoint, off_curve); }, ErrorKind::kInput, "edwards25519: is no point of the curve");
  ExpectError([&] { Times(Scalar(8), off_curve); }, ErrorKind::kInput, "edwards25519: is no point of the curve");
}

// p = 2^255 - 19.
TEST(IsPoint, RefusesSecondEncodings) {
  for (const std::string_view encoding : {
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // y = p
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // y = p + 1
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
           "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // y = p + 3
           "0100000000000000000000000000000000000000000000000000000000000080",  // x = 0 with a sign
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
       }) {
    EXPECT_FALSE(IsPoint(ArrayOfHex<32>(encoding))) << encoding;
  }
  EXPECT_TRUE(IsPoint(Scalar(3)));
}

TEST(Subtract, UndoesAdd) {
  for (const EdwardsPoint& a : PointsOfEveryOrder()) {
    for (const EdwardsPoint& b : PointsOfEveryOrder()) EXPECT_EQ(Subtract(Add(a, b), b), a);
  }
}

TEST(TimesCofactor, IsEightTimes) {
  for (const EdwardsPoint& point : PointsOfEveryOrder()) EXPECT_EQ(TimesCofactor(point), Sum(8, point));
}

TEST(Times, EqualsRepeatedAdditionForPointsOfEveryOrder) {
  for (const EdwardsPoint& point : PointsOfEveryOrder()) {
    for (const std::uint64_t n : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 77}) {
      EXPECT_EQ(Times(Scalar(n), point), Sum(n, point)) << n << " times " << ToHex(point);
    }
  }
}

TEST(Times, GivesTheNeutralElementAtTheOrder) {
  EXPECT_EQ(Times(kOrder, kBasePoint), kNeutralPoint);
  // q = 5 modulo 8.
  EXPECT_EQ(Times(kOrder, kOrderEight), Sum(5, kOrderEight));
  EXPECT_EQ(Times(kOrder, Add(kBasePoint, kOrderEight)), Sum(5, kOrderEight));
}

TEST(Times, IsDistributive) {
  for (const EdwardsPoint& point : PointsOfEveryOrder()) {
    EdwardsScalar one_less = kOrder;
    one_less[0] = std::byte{0xec};
    EXPECT_EQ(Add(Times(one_less, point), point), Times(kOrder, point));
    EXPECT_EQ(
        Add(Times(Scalar(~std::uint64_t{0}), point), Times(Scalar(3), point)),
        Add(Times(Scalar(std::uint64_t{1} << 63), point), Add(Times(Scalar(std::uint64_t{1} << 63), point), Sum(2, point))));
  }
}

// Secret scalars and public keys (RFC 9381 appendix B.3): 255 bits, beyond the order.
TEST(Times, MakesPublicKeys) {
  for (const VrfExample& example : VrfExamples()) {
    EXPECT_EQ(ToHex(Times(ArrayOfHex<32>(example.x), kBasePoint)), example.pk);
  }
}

TEST(IsReduced, IsBelowTheOrder) {
  EXPECT_TRUE(IsReduced({}));
  EdwardsScalar scalar = kOrder;
  scalar[0] = std::byte{0xec};
  EXPECT_TRUE(IsReduced(scalar));
  EXPECT_FALSE(IsReduced(kOrder));
  scalar.fill(std::byte{0xff});
  EXPECT_FALSE(IsReduced(scalar));
}

}  // namespace
}  // namespace verillm
