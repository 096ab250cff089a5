#include "page/plot.h"

#include <cmath>
#include <set>
#include <string>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

Chart HandMade() {
  return {.key = "k",
          .title = "t",
          .text = "",
          .x = {.label = "layer"},
          .y = {.label = "error", .is_log = true},
          .places = {0, 8},
          .place_names = {"0", "it's"},
          .series = {{.name = "<a>", .values = {0.002, 0.004}},
                     {.name = "left out", .values = {5, 5}},
                     {.name = "b", .values = {0, std::nan("")}},
                     {.name = "limit", .values = {0.003, 0.003}, .is_guide = true}},
          .drawn = {0, 2}};
}

AcceptMap HandMadeMap() {
  return {.key = "k",
          .title = "t",
          .text = "",
          .points = {"0", "final"},
          .n_positions = 4,
          .positions_per_cell = 2,
          .panels = {{.name = "run", .counts = {{"0", {{0, {1, 1}}, {3, {0, 1}}}}}}}};
}

TEST(Quoted, EndsNeitherEarlyNorInAnotherLine) {
  EXPECT_EQ(Quoted("it's"), "'it''s'");
  EXPECT_EQ(Quoted("a\nsystem('rm')\r`id`"), "'a system(''rm'') `id`'");
}

TEST(LineStyleOf, TellsEightSeriesApart) {
  std::set<std::string_view> dashes;
  std::set<int> markers;
  for (std::size_t i = 0; i < kLineStyles; ++i) {
    dashes.insert(LineStyleOf(i).dashes);
    markers.insert(LineStyleOf(i).marker);
  }
  EXPECT_THAT(dashes, SizeIs(kLineStyles));
  EXPECT_THAT(markers, SizeIs(kLineStyles));
}

TEST(RateClassOf, SetsAllApartFromNearlyAll) {
  EXPECT_EQ(RateClassOf({1000, 1000}), 0u);
  EXPECT_EQ(RateClassOf({999, 1000}), 1u);
  EXPECT_EQ(RateClassOf({989, 1000}), 2u);
  EXPECT_EQ(RateClassOf({80, 100}), 3u);
  EXPECT_EQ(RateClassOf({50, 100}), 4u);
  EXPECT_EQ(RateClassOf({0, 1}), 5u);
}

TEST(ScriptOfChart, DrawsWhatThereIsRoomForAndGuidesBelow) {
  const std::string script = ScriptOf(HandMade());
  EXPECT_THAT(script, HasSubstr("$d0 << EOD\n0 0.003\n8 0.003\nEOD\n"));
  EXPECT_THAT(script, HasSubstr("$d1 << EOD\n0 0.002\n8 0.004\nEOD\n"));
  EXPECT_THAT(script, HasSubstr("$d3 << EOD\n0 0\n8 NaN\nEOD\n"));
  EXPECT_THAT(script, Not(HasSubstr("left out")));
  EXPECT_THAT(script, HasSubstr("'it''s' 8 0"));
}

// No power of ten lies between 0.002 and 0.004, and an axis without a number says nothing.
TEST(ScriptOfChart, LabelsALogarithmicAxisOfLessThanADecade) {
  const std::string script = ScriptOf(HandMade());
  EXPECT_THAT(script, HasSubstr("set logscale y\n"));
  for (const char* const tick : {"'0.002' 0.002 0", "'0.003' 0.003 0", "'0.004' 0.004 0"}) EXPECT_THAT(script, HasSubstr(tick));
}

TEST(ScriptOfChart, LabelsTheFewPlacesOfALogarithmicAxisThemselves) {
  Chart chart = HandMade();
  chart.x.is_log = true;
  chart.places = {1, 64};
  chart.place_names.clear();
  EXPECT_THAT(ScriptOf(chart), HasSubstr("set xtics ('1' 1 0, '64' 64 0)\n"));
}

// A file may hold any number; an axis of 300 decades shows nothing.
TEST(ScriptOfChart, LeavesAbsurdNumbersOffALogarithmicAxis) {
  Chart chart = HandMade();
  chart.series[0].values = {1e-300, 1e308};
  EXPECT_THAT(ScriptOf(chart), HasSubstr("set yrange [1e-30:1e+30]\n"));
  chart.series[0].values = {1e300, 1e308};
  EXPECT_EQ(Draw({ScriptOf(chart)}).size(), 1u);
}

// States that are equal to the last bit: every error is 0, which has no logarithm.
TEST(ScriptOfChart, DrawsEmptyAxesWhereThereIsNoValueToDraw) {
  Chart chart = HandMade();
  chart.series = {{.name = "a", .values = {0, 0}}};
  chart.drawn = {0};
  EXPECT_EQ(Draw({ScriptOf(chart)}).size(), 1u);
  chart.y.is_log = false;
  chart.series[0].values = {std::nan(""), std::nan("")};
  EXPECT_EQ(Draw({ScriptOf(chart)}).size(), 1u);
}

TEST(ScriptOfMap, HasABoxForEachCellWithPairs) {
  const AcceptMap map = HandMadeMap();
  EXPECT_THAT(ScriptOf(map, map.panels[0]),
              HasSubstr("$d << EOD\n1.5 0 0.5 2.5 -0.46 0.46 0x10064\n3.5 0 2.5 4.5 -0.46 0.46 0x10069\nEOD\n"));
}

TEST(Draw, OfNothingNeedsNoGnuplot) {
  const Environment environment{{{"PATH", "/nowhere"}}};
  EXPECT_TRUE(Draw({}).empty());
}

TEST(Draw, NamesThePackageWhereGnuplotIsMissing) {
  const Environment environment{{{"PATH", "/nowhere"}}};
  ExpectError([] { Draw({"plot x\n"}); }, ErrorKind::kIo, HasSubstr("install the package gnuplot-nox"));
}

TEST(Draw, SaysWhatGnuplotDidNotLike) {
  ExpectError([] { Draw({"nonsense\n"}); }, ErrorKind::kIo, HasSubstr("nonsense"));
}

TEST(Inlined, UsesThePagesColoursAndItsNames) {
  const AcceptMap map = HandMadeMap();
  const std::vector<std::string> drawn = Draw({ScriptOf(HandMade()), ScriptOf(map, map.panels[0])});
  ASSERT_THAT(drawn, SizeIs(2));
  EXPECT_THAT(MarkersOf(drawn[0]), AllOf(StartsWith("<svg class=\"markers\""), HasSubstr("gpPt6")));

  const std::string chart = Inlined(drawn[0], "black & 'black'", DrawnNames(HandMade()));
  EXPECT_THAT(chart, StartsWith("<svg viewBox=\"0 0 480 330\" role=\"img\" aria-label=\"black &amp; &#39;black&#39;\">"));
  for (const char* const part :
       {"var(--c0)", "var(--c1)", "var(--dim)", "currentColor", "<title>&lt;a&gt;</title>", "<title>limit</title>", ">it's<"})
    EXPECT_THAT(chart, HasSubstr(part));
  for (const char* const part : {"<defs", "gnuplot_plot", "rgb(", "'black'", "<title>s", "<?xml", "DOCTYPE"})
    EXPECT_THAT(chart, Not(HasSubstr(part))) << part;

  const std::string panel = Inlined(drawn[1], "map", {"run"});
  EXPECT_THAT(panel, AllOf(HasSubstr("var(--m0)"), HasSubstr("var(--m5)"), Not(HasSubstr("rgb("))));
}

TEST(Inlined, EscapesWhatGnuplotWrites) {
  Chart chart = HandMade();
  chart.place_names = {"<b>&", "</svg><script>"};
  const std::string svg = Inlined(Draw({ScriptOf(chart)}).at(0), "", DrawnNames(chart));
  EXPECT_THAT(svg, AllOf(HasSubstr("&lt;script>"), Not(HasSubstr("<script"))));
}

TEST(Inlined, RefusesAnotherFormOfSvg) {
  ExpectError([] { Inlined("<svg></svg>", "", {}); }, ErrorKind::kInput, HasSubstr("gnuplot"));
}

}  // namespace
}  // namespace verillm
