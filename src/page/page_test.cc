#include "page/page.h"

#include <algorithm>
#include <string>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::size_t CountOf(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) n += 1;
  return n;
}

Chart HandMade(std::size_t n_series) {
  Chart chart{.key = "error", .title = "Error", .text = "Read <it>.", .x = {.label = "x"}, .y = {.label = "y"}, .places = {1, 2}};
  for (std::size_t i = 0; i < n_series; ++i) {
    chart.series.push_back({.name = "run " + std::to_string(i), .values = {1, 2}});
    if (i < 8) chart.drawn.push_back(i);
  }
  chart.series.push_back({.name = "limit", .values = {1, 1}, .is_guide = true});
  return chart;
}

TEST(Page, IsOneFileThatAsksForNothing) {
  Page page("A <title>", "facts & more");
  page.AddSection("Section");
  page.AddParagraph("<p>");
  page.AddText("Prompt", "</pre><script>");
  page.AddList({{"name", "<value>"}});
  const std::string html = page.Html();
  EXPECT_THAT(html, AllOf(StartsWith("<!DOCTYPE html>"), EndsWith("</html>\n"), HasSubstr("<h1>A &lt;title&gt;</h1>"),
                          HasSubstr("facts &amp; more"), HasSubstr("&lt;/pre&gt;&lt;script&gt;"),
                          HasSubstr("<dt>name</dt><dd>&lt;value&gt;</dd>")));
  for (const char* const part : {"<script", "http://", "https://", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(part))) << part;
}

TEST(Page, ShowsHowItCameOutInWordsAndMarks) {
  Page page("t", "");
  page.AddVerdict(Outcome::kBad, "rejected");
  Table table({"<a"});
  table.AddRow({"1"});
  table.AddRow({"2"});
  page.AddTable("key", table, {Outcome::kGood, Outcome::kMixed});
  EXPECT_THAT(page.Html(), AllOf(HasSubstr("<p class=\"verdict bad\">rejected</p>"), HasSubstr("<tr class=\"good\">"),
                                 HasSubstr("<tr class=\"mixed\">"), HasSubstr("download=\"key.csv\"")));
}

TEST(Page, GivesEachFigureALegendAndItsData) {
  Page page("t", "");
  page.AddCharts("honest runs", {HandMade(2)});
  const std::string html = page.Html();
  EXPECT_THAT(html, AllOf(HasSubstr("<figure id=\"error-honest-runs\">"), HasSubstr("<h3>Error: honest runs</h3>"),
                          HasSubstr("Read &lt;it&gt;."), HasSubstr("<span>run 1</span>"), HasSubstr("<span>limit</span>"),
                          HasSubstr("<title>run 1</title>"), HasSubstr("download=\"error-honest-runs.csv\"")));
  EXPECT_THAT(html, Not(HasSubstr("are drawn")));
  EXPECT_EQ(CountOf(html, "class=\"markers\""), 1u);
}

TEST(Page, SaysHowManySeriesAFigureLeavesToItsTable) {
  Page page("t", "");
  page.AddCharts("", {HandMade(12)});
  const std::string html = page.Html();
  EXPECT_THAT(html, HasSubstr("8 of 12 are drawn; the table has all."));
  EXPECT_THAT(html, HasSubstr(">run 11</th>"));
  EXPECT_THAT(html, Not(HasSubstr("<span>run 11</span>")));
}

TEST(Page, LeavesFiguresWithoutDataOut) {
  Page page("t", "");
  Chart chart = HandMade(1);
  chart.places.clear();
  page.AddCharts("", {chart});
  page.AddMap("", {.key = "k", .title = "t", .text = ""});
  EXPECT_THAT(page.Html(), Not(HasSubstr("<figure")));
}

TEST(Page, DrawsAPanelForEachRunOfAMap) {
  Page page("t", "");
  page.AddMap("cheats",
              {.key = "accepted",
               .title = "Where",
               .text = "",
               .points = {"0"},
               .n_positions = 1,
               .panels = {{.name = "a", .counts = {{"0", {{0, {1, 1}}}}}}, {.name = "b", .counts = {{"0", {{0, {0, 1}}}}}}},
               .drawn = {1}});
  const std::string html = page.Html();
  EXPECT_THAT(html, AllOf(HasSubstr("<h4>b</h4>"), Not(HasSubstr("<h4>a</h4>")), HasSubstr("1 of 2 are drawn"),
                          HasSubstr("less than 50 %"), HasSubstr("<td class=\"left\">a</td>")));
}

}  // namespace
}  // namespace verillm
