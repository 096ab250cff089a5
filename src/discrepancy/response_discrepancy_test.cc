#include "discrepancy/response_discrepancy.h"

#include <gtest/gtest.h>

#include <cmath>

namespace verillm {
namespace {

TEST(LogElementError, HasABottomAndCountsNothingAsOne) {
  PairDiscrepancy pair{.point = CapturePoint::Layer(8), .position = 0, .statistics = {}, .element_error = 0.01};
  EXPECT_DOUBLE_EQ(LogElementError(pair), std::log(0.01));
  pair.element_error = 0;
  EXPECT_DOUBLE_EQ(LogElementError(pair), std::log(1e-9));
  pair.element_error.reset();
  EXPECT_EQ(LogElementError(pair), 0);
}

}  // namespace
}  // namespace verillm
