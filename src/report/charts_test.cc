#include "report/charts.h"

#include <cmath>
#include <string>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsNan;
using testing::SizeIs;

Json Point(double relative_error, double pe) { return {{"median_relative_error", relative_error}, {"Pe", pe}}; }

// A verification as far as the figures read it.
Json Verification(const Json& points, const Json& series, const Json& calibrated = nullptr) {
  Json json = {{"policies", {{"paper", {{"policy", "paper"}, {"thresholds", {{"Pe", 0.05}}}, {"per_capture_point", points}}}}},
               {"series", series}};
  if (!calibrated.is_null()) json["policies"]["calibrated"] = calibrated;
  return json;
}

Group GroupOf(const std::string& name, const std::vector<Json>& verifications) {
  Group group{.name = name};
  for (const Json& verification : verifications) group.verifications.push_back(&verification);
  return group;
}

TEST(ErrorByDepth, IsTheGeometricMeanOverVerifications) {
  const std::vector<Json> two = {Verification({{"0", Point(0, 0)}, {"16", Point(0.01, 0)}, {"final", Point(0.04, 0)}}, {}),
                                 Verification({{"0", Point(0, 0)}, {"8", Point(0.5, 0)}, {"16", Point(0.04, 0)}}, {})};
  const Chart chart = ErrorByDepth({GroupOf("a to b", two)});
  EXPECT_THAT(chart.place_names, ElementsAre("0", "8", "16", "final"));
  EXPECT_THAT(chart.places, ElementsAre(0, 8, 16, 24));
  EXPECT_THAT(chart.series[0].values, ElementsAre(0, DoubleNear(0.5, 1e-12), DoubleNear(0.02, 1e-12), DoubleNear(0.04, 1e-12)));
  EXPECT_TRUE(chart.y.is_log);
}

TEST(PeByDepth, IsInPercentWithTheThresholdAsAGuide) {
  const std::vector<Json> one = {Verification({{"8", Point(0, 0.02)}, {"final", Point(0, 0.03)}}, {})};
  const std::vector<Json> other = {Verification({{"8", Point(0, 0.45)}}, {})};
  const Chart chart = PeByDepth({GroupOf("honest", one), GroupOf("cheat", other)});
  ASSERT_THAT(chart.series, SizeIs(3));
  EXPECT_THAT(chart.series[0].values, ElementsAre(2, 3));
  EXPECT_THAT(chart.series[1].values, ElementsAre(45, IsNan()));
  EXPECT_THAT(chart.series[2].values, ElementsAre(5, 5));
  EXPECT_TRUE(chart.series[2].is_guide);
  EXPECT_THAT(chart.drawn, ElementsAre(0, 1));
  EXPECT_TRUE(chart.y.is_log);  // from 2 to 45
}

TEST(ErrorByPosition, AveragesLogarithmsInBlocks) {
  Json errors = Json::array();
  for (int i = 0; i < 80; ++i) errors.push_back(i < 2 ? Json(std::log(0.5)) : Json(nullptr));
  const std::vector<Json> one = {Verification(Json::object(), {{"log_relative_error", errors}})};
  const Chart chart = ErrorByPosition({GroupOf("a", one)});
  ASSERT_THAT(chart.places, SizeIs(40));
  EXPECT_EQ(chart.places[0], 1.5);
  EXPECT_EQ(chart.places[39], 79.5);
  EXPECT_NEAR(chart.series[0].values[0], 0.5, 1e-12);
  EXPECT_TRUE(std::isnan(chart.series[0].values[1]));
}

TEST(AcceptMapOf, SumsPairsOverTheGroupsVerifications) {
  const PairCounts one = {{"final", {{0, {1, 1}}}}, {"8", {{0, {1, 1}}, {63, {0, 1}}}}};
  const PairCounts two = {{"8", {{0, {0, 1}}}}};
  const AcceptMap map = AcceptMapOf({{.name = "a", .pairs = {&one, &two}}, {.name = "b"}});
  EXPECT_THAT(map.points, ElementsAre("8", "final"));
  EXPECT_EQ(map.n_positions, 64);
  EXPECT_EQ(map.positions_per_cell, 2);
  ASSERT_THAT(map.panels, SizeIs(1));
  EXPECT_EQ(CellOf(map, map.panels[0], "8", 0).n_accepted, 1u);
  EXPECT_EQ(CellOf(map, map.panels[0], "8", 0).n, 2u);
  EXPECT_EQ(CellOf(map, map.panels[0], "8", 62).n, 1u);
  EXPECT_EQ(CellOf(map, map.panels[0], "8", 2).n, 0u);
}

TEST(ErrorDistribution, AddsUpToAllPositions) {
  const std::vector<Json> one = {Verification(Json::object(), {{"log_element_error", {-5, -5, -1, nullptr}}})};
  const Chart chart = ErrorDistribution({GroupOf("a", one)});
  ASSERT_THAT(chart.places, SizeIs(40));
  EXPECT_DOUBLE_EQ(chart.places[0], -4.95);
  EXPECT_NEAR(chart.series[0].values[0], 200.0 / 3, 1e-9);
  EXPECT_NEAR(chart.series[0].values[39], 100.0 / 3, 1e-9);
}

TEST(ErrorByDepth, PutsNamesThatAreNoLayersLast) {
  const std::vector<Json> one = {Verification({{"final", Point(1, 0)}, {"nan", Point(1, 0)}, {"8", Point(1, 0)}}, {})};
  EXPECT_THAT(ErrorByDepth({GroupOf("a", one)}).place_names, ElementsAre("8", "final", "nan"));
}

TEST(ErrorDistribution, OfOneValueHasNothingToShow) {
  const std::vector<Json> one = {Verification(Json::object(), {{"log_element_error", {-5, -5}}})};
  EXPECT_THAT(ErrorDistribution({GroupOf("a", one)}).places, IsEmpty());
}

// Of ten honest values one lies above 8, so a threshold there flags 10 %, and finds what lies above it.
TEST(RocByPosition, CountsWhatLiesAboveEachHonestValue) {
  const std::vector<Json> honest = {Verification(Json::object(), {{"log_element_error", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}})};
  const std::vector<Json> cheat = {Verification(Json::object(), {{"log_element_error", {0, 8.5, 9.5, 20}}})};
  const Chart chart = RocByPosition({GroupOf("honest", honest), GroupOf("cheat", cheat)});
  ASSERT_THAT(chart.series, SizeIs(2));
  EXPECT_EQ(chart.places.front(), 10);
  EXPECT_EQ(chart.places.back(), 100);
  EXPECT_EQ(chart.series[0].values.front(), 75);
  EXPECT_EQ(chart.series[0].values.back(), 100);
  EXPECT_EQ(chart.series[1].name, "chance");
  EXPECT_EQ(chart.series[1].values, chart.places);
  EXPECT_THAT(chart.drawn, ElementsAre(0));
}

TEST(RocByPosition, OfEqualHonestValuesIsAPoint) {
  const std::vector<Json> honest = {Verification(Json::object(), {{"log_element_error", {1, 1, 1}}})};
  const Chart chart = RocByPosition({GroupOf("honest", honest), GroupOf("cheat", honest)});
  EXPECT_THAT(chart.places, ElementsAre(100));
}

TEST(RocByPosition, NeedsHonestRuns) {
  const std::vector<Json> cheat = {Verification(Json::object(), {{"log_element_error", {1, 2}}})};
  EXPECT_THAT(RocByPosition({GroupOf("cheat", cheat)}).places, IsEmpty());
  EXPECT_THAT(RocByPosition({}).places, IsEmpty());
}

TEST(AreaByPositions, ReadsTheAreasOfDetection) {
  const Json detection = {{{"attack", "none"}},
                          {{"attack", "x"},
                           {"element_error_one_position", {{"auc", 0.75}}},
                           {"element_error_8_positions", {{"auc", 1.0}}},
                           {"element_error_64_positions", nullptr}}};
  const Chart chart = AreaByPositions({{.name = "honest"}, {.name = "x"}, {.name = "lazy"}}, detection);
  ASSERT_THAT(chart.series, SizeIs(2));
  EXPECT_THAT(chart.series[0].values, ElementsAre(0.75, 1, IsNan()));
  EXPECT_THAT(chart.series[1].values, ElementsAre(IsNan(), IsNan(), IsNan()));
  EXPECT_THAT(chart.drawn, ElementsAre(0, 1));
  EXPECT_THAT(AreaByPositions({{.name = "x"}}, detection).places, IsEmpty());
}

TEST(RejectedWithin, CountsRejectionsUpToEachNumberOfPositions) {
  const Json series = {{"log_element_error", {-1, -1, -1, -1, -1, -1}}};
  const auto rejected = [](int after) { return Json{{"verdict", "reject"}, {"decided_after", after}}; };
  const std::vector<Json> honest = {Verification({}, series, {{"verdict", "accept"}, {"decided_after", 6}})};
  const std::vector<Json> cheat = {Verification({}, series, rejected(0)), Verification({}, series, rejected(3))};
  const Chart chart = RejectedWithin({GroupOf("honest", honest), GroupOf("cheat", cheat)});
  EXPECT_THAT(chart.places, ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(chart.series[0].values, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(chart.series[1].values, ElementsAre(50, 50, 100, 100));
}

TEST(RejectedWithin, NeedsACalibration) {
  const std::vector<Json> one = {Verification({}, {{"log_element_error", {-1}}})};
  EXPECT_THAT(RejectedWithin({GroupOf("honest", one)}).places, IsEmpty());
}

TEST(MarginByPosition, HasAPlaceForEachPosition) {
  const Chart chart = MarginByPosition({0.5, nullptr});
  EXPECT_THAT(chart.places, ElementsAre(1, 2));
  EXPECT_THAT(chart.series[0].values, ElementsAre(0.5, IsNan()));
}

}  // namespace
}  // namespace verillm
