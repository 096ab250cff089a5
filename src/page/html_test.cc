#include "page/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Escaped, LeavesNothingThatHtmlReads) {
  EXPECT_EQ(Escaped("<a href=\"x\" b='y'>&amp;"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;");
  EXPECT_EQ(Escaped("水车 é"), "水车 é");
}

TEST(Escaped, ReplacesWhatIsNoText) {
  EXPECT_EQ(Escaped(std::string_view("a\0b\x1B[31m\x7F", 8)), "a\uFFFDb\uFFFD[31m");
  EXPECT_EQ(Escaped("a\xFF"), "a\uFFFD");
  EXPECT_EQ(Escaped("a\n\tb"), "a\n\tb");
}

TEST(EscapedProse, MakesCodeOfWhatStandsBetweenBackticks) {
  EXPECT_EQ(EscapedProse("a `b` <c> `d"), "a <code>b</code> &lt;c&gt; `d");
  EXPECT_EQ(EscapedProse("`<b>`"), "<code>&lt;b&gt;</code>");
}

Table Awkward() {
  Table table({"<name", "value, in %"});
  table.AddRow({"<script>alert(1)</script>", "1"});
  table.AddRow({"say \"hi\"\nthere", "-"});
  return table;
}

TEST(TableHtml, EscapesEveryCell) {
  const std::string html = TableHtml(Awkward());
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\" class=\"left\">name</th><th scope=\"col\">value, in %</th>"));
  EXPECT_THAT(html, HasSubstr("<tr><td class=\"left\">&lt;script&gt;alert(1)&lt;/script&gt;</td><td>1</td></tr>"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
}

TEST(TableHtml, MarksRows) { EXPECT_THAT(TableHtml(Awkward(), {"good", "bad"}), HasSubstr("<tr class=\"bad\"><td")); }

TEST(CsvOf, QuotesWhatNeedsIt) {
  EXPECT_EQ(CsvOf(Awkward()), "name,\"value, in %\"\r\n<script>alert(1)</script>,1\r\n\"say \"\"hi\"\"\nthere\",-\r\n");
}

TEST(CsvLink, HoldsTheDataEncoded) {
  Table table({"<a"});
  table.AddRow({"\"é<"});
  EXPECT_EQ(CsvLink(table, "key"),
            "<a class=\"csv\" download=\"key.csv\" "
            "href=\"data:text/csv;charset=utf-8,a%0D%0A%22%22%22%C3%A9%3C%22%0D%0A\">key.csv</a>");
}

}  // namespace
}  // namespace verillm
