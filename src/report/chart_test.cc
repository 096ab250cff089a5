#include "report/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace verillm {
namespace {

using testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(TableOfChart, HasARowAPlaceAndAColumnASeries) {
  const Chart chart{.key = "k",
                    .title = "t",
                    .text = "",
                    .x = {.label = "positions"},
                    .y = {.label = "area"},
                    .places = {1, 8},
                    .series = {{.name = "a", .values = {0.123456, kNan}}, {.name = "<b", .values = {1, 2}, .is_guide = true}},
                    .drawn = {0}};
  const Table table = TableOf(chart);
  EXPECT_THAT(table.headers(), ElementsAre("positions", "a", "<b"));
  EXPECT_FALSE(table.is_left(0));
  EXPECT_THAT(table.rows(), ElementsAre(ElementsAre("1", "0.1235", "1"), ElementsAre("8", "-", "2")));
}

TEST(TableOfChart, HasNamesOfPlacesInsteadOfNumbers) {
  const Chart chart{.key = "k",
                    .title = "t",
                    .text = "",
                    .x = {.label = "layer"},
                    .y = {.label = "error"},
                    .places = {8, 16},
                    .place_names = {"8", "final"},
                    .series = {{.name = "a", .values = {1, 2}}}};
  EXPECT_THAT(TableOf(chart).rows(), ElementsAre(ElementsAre("8", "1"), ElementsAre("final", "2")));
}

TEST(TableOfMap, HasARowForEachCellWithPairs) {
  const AcceptMap map{.key = "k",
                      .title = "t",
                      .text = "",
                      .points = {"0", "final"},
                      .n_positions = 5,
                      .positions_per_cell = 2,
                      .panels = {{.name = "run", .counts = {{"0", {{0, {1, 1}}, {1, {0, 1}}, {4, {2, 3}}}}}}}};
  EXPECT_THAT(TableOf(map).rows(), ElementsAre(ElementsAre("run", "0", "1", "2", "1", "2", "50.00"),
                                               ElementsAre("run", "0", "5", "5", "2", "3", "66.67")));
}

}  // namespace
}  // namespace verillm
