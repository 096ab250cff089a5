#include "base/time.h"

#include <string>

#include "base/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

TEST(ParseTime, IsTheInverseOfFormatTime) {
  for (const std::int64_t seconds :
       {std::int64_t{0}, std::int64_t{951782400}, std::int64_t{1769860800}, std::int64_t{4102444799}}) {
    EXPECT_EQ(ParseTime(FormatTime(seconds), "t"), seconds);
  }
  EXPECT_EQ(FormatTime(951782400), "2000-02-29T00:00:00Z");
  EXPECT_EQ(FormatTime(4102444799), "2099-12-31T23:59:59Z");
}

TEST(ParseTime, RefusesWhatIsNoTime) {
  for (const char* const time : {"", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z",
                                 "2026-01-31T12:00:00+", "2026-01-31T12:00:00z", "2026-1-31T12:00:00Z0"}) {
    ExpectError([&] { ParseTime(time, "beacon_time"); }, ErrorKind::kInput,
                HasSubstr("beacon_time: \"" + std::string(time) + "\" is not a time"));
  }
}

// Later than this test was written, and before its times have five digits.
TEST(CurrentTime, IsATimeOfOurDays) {
  const std::int64_t now = ParseTime(CurrentTime(), "now");
  EXPECT_GT(now, ParseTime("2025-01-01T00:00:00Z", "then"));
  EXPECT_LE(now, ParseTime("9999-12-31T23:59:59Z", "then"));
}

}  // namespace
}  // namespace verillm
