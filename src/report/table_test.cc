#include "report/table.h"

#include <cmath>
#include <limits>
#include <sstream>

#include "base/test_support.h"

namespace verillm {
namespace {

std::string Printed(const Table& table) {
  std::ostringstream out;
  table.Print(out);
  return out.str();
}

TEST(Table, AlignsNumbersRightAndMarkedColumnsLeft) {
  Table table({"<layer", "Pe", "<note"});
  table.AddRow({"0", "0.125", "ok"});
  table.AddRow({"final", "1", "a longer note"});
  EXPECT_EQ(Printed(table),
            "layer     Pe  note\n"
            "0      0.125  ok\n"
            "final      1  a longer note\n");
}

TEST(Table, HeadersMakeColumnsWideToo) {
  Table table({"a wide header", "<x"});
  table.AddRow({"1", "y"});
  EXPECT_EQ(Printed(table),
            "a wide header  x\n"
            "            1  y\n");
}

TEST(Table, LinesEndWithoutSpaces) {
  Table table({"<", "<b"});
  table.AddRow({"row", ""});
  EXPECT_EQ(Printed(table),
            "     b\n"
            "row\n");
}

TEST(Table, WithoutRowsIsItsHeaders) { EXPECT_EQ(Printed(Table({"<a", "b"})), "a  b\n"); }

TEST(FormatNumber, HasSignificantDigits) {
  EXPECT_EQ(FormatNumber(0.00123456), "0.00123");
  EXPECT_EQ(FormatNumber(1234567.0), "1.23e+06");
  EXPECT_EQ(FormatNumber(0.5), "0.5");
  EXPECT_EQ(FormatNumber(-0.123456, 5), "-0.12346");
}

TEST(FormatNumber, NothingIsADash) {
  EXPECT_EQ(FormatNumber(std::nullopt), "-");
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::infinity()), "-");
}

TEST(FormatPercent, HasTwoDecimals) {
  EXPECT_EQ(FormatPercent(0.9979), "99.79 %");
  EXPECT_EQ(FormatPercent(1.0), "100.00 %");
  EXPECT_EQ(FormatPercent(0.0), "0.00 %");
  EXPECT_EQ(FormatPercent(std::nullopt), "-");
}

TEST(FormatSeconds, GrowsCoarserWithTheTime) {
  EXPECT_EQ(FormatSeconds(0), "0.00 s");
  EXPECT_EQ(FormatSeconds(0.844), "0.84 s");
  EXPECT_EQ(FormatSeconds(12.34), "12.3 s");
  EXPECT_EQ(FormatSeconds(100), "1 min 40 s");
  EXPECT_EQ(FormatSeconds(245.2), "4 min 05 s");
  EXPECT_EQ(FormatSeconds(179.6), "3 min 00 s");
}

TEST(FormatBytes, CountsInThousands) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1 kB");
  EXPECT_EQ(FormatBytes(270'885'000), "271 MB");
  EXPECT_EQ(FormatBytes(1.5e9), "1.5 GB");
}

}  // namespace
}  // namespace verillm
