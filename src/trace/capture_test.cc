#include "trace/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/error.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Names(const CapturePlan& plan) {
  std::vector<std::string> names;
  for (const CapturePoint point : plan.points) names.push_back(point.Name());
  return names;
}

template <typename Call>
void ExpectError(Call call, ErrorKind kind, const std::string& part_of_message) {
  try {
    call();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_THAT(error.what(), HasSubstr(part_of_message));
  }
}

TEST(CapturePoint, NamesRoundTrip) {
  for (const char* const name : {"0", "24", "final"}) EXPECT_EQ(CapturePoint::FromName(name).Name(), name);
  EXPECT_TRUE(CapturePoint::FromName("final").is_final());
  EXPECT_FALSE(CapturePoint::FromName("0").is_final());
  EXPECT_EQ(CapturePoint::FromName("24").layer(), 24);
}

TEST(CapturePoint, NonsenseNamesAreAnInputError) {
  for (const char* const name : {"", "-1", "+1", " 1", "1 ", "1.5", "8x", "Final", "2147483647", "99999999999"}) {
    ExpectError([&] { CapturePoint::FromName(name); }, ErrorKind::kInput, name);
  }
}

TEST(CapturePoint, NegativeLayerIsAUsageError) {
  ExpectError([] { CapturePoint::Layer(-1); }, ErrorKind::kUsage, "-1");
}

TEST(CapturePoint, FinalComesAfterEveryLayer) {
  EXPECT_LT(CapturePoint::Layer(0), CapturePoint::Layer(1));
  EXPECT_LT(CapturePoint::Layer(1'000'000), CapturePoint::Final());
  EXPECT_EQ(CapturePoint::Layer(8), CapturePoint::FromName("8"));
}

TEST(PlanEvery, TakesEveryMultipleUpToTheNumberOfBlocks) {
  EXPECT_THAT(Names(PlanEvery(8, 28, true, StateType::kF16)), ElementsAre("0", "8", "16", "24", "final"));
  EXPECT_THAT(Names(PlanEvery(8, 28, false, StateType::kF16)), ElementsAre("0", "8", "16", "24"));
  EXPECT_THAT(Names(PlanEvery(8, 32, true, StateType::kF16)), ElementsAre("0", "8", "16", "24", "32", "final"));
  EXPECT_THAT(Names(PlanEvery(1, 2, false, StateType::kF16)), ElementsAre("0", "1", "2"));
  EXPECT_THAT(Names(PlanEvery(28, 28, false, StateType::kF16)), ElementsAre("0", "28"));
}

TEST(PlanEvery, KeepsTheStateType) { EXPECT_EQ(PlanEvery(8, 28, true, StateType::kF32).type, StateType::kF32); }

TEST(PlanEvery, IntervalsThatDoNotFitAreAUsageError) {
  for (const int layers_every : {0, -8, 29, std::numeric_limits<int>::max()}) {
    ExpectError([&] { PlanEvery(layers_every, 28, true, StateType::kF16); }, ErrorKind::kUsage, std::to_string(layers_every));
  }
}

TEST(CapturePlan, ContainsItsPointsOnly) {
  const CapturePlan plan = PlanEvery(8, 28, true, StateType::kF16);
  EXPECT_TRUE(plan.Contains(CapturePoint::Layer(16)));
  EXPECT_TRUE(plan.Contains(CapturePoint::Final()));
  EXPECT_FALSE(plan.Contains(CapturePoint::Layer(17)));
  EXPECT_FALSE(PlanEvery(8, 28, false, StateType::kF16).Contains(CapturePoint::Final()));
}

TEST(CheckPlan, AcceptsLayersThatTheModelHas) {
  EXPECT_NO_THROW(CheckPlan(PlanEvery(8, 28, true, StateType::kF16), 28));
  EXPECT_NO_THROW(CheckPlan(PlanEvery(8, 28, true, StateType::kF16), 24));
  EXPECT_NO_THROW(CheckPlan({}, 28));
}

TEST(CheckPlan, RejectsLayersThatTheModelLacks) {
  // Descriptions of the published experiments list layer 32, which a model of 28 blocks does not have.
  const CapturePlan plan = {{CapturePoint::Layer(0), CapturePoint::Layer(32), CapturePoint::Final()}, StateType::kF16};
  ExpectError([&] { CheckPlan(plan, 28); }, ErrorKind::kUsage, "layer 32 does not exist: the model has 28 blocks");
}

}  // namespace
}  // namespace verillm
