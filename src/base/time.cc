#include "base/time.h"

#include <fmt/format.h>

#include <chrono>

#include "base/error.h"

namespace verillm {

std::string FormatTime(std::int64_t seconds) {
  namespace chrono = std::chrono;
  const auto time = chrono::sys_seconds(chrono::seconds(seconds));
  const auto days = chrono::floor<chrono::days>(time);
  const chrono::year_month_day day(days);
  const chrono::hh_mm_ss clock(time - days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::int64_t ParseTime(std::string_view time, std::string_view what) {
  const auto refuse = [&]() -> Error {
    return Error(ErrorKind::kInput, fmt::format("{}: \"{}\" is not a time such as 2026-01-31T12:00:00Z", what, time));
  };
  constexpr std::string_view kPattern = "dddd-dd-ddTdd:dd:ddZ";
  if (time.size() != kPattern.size()) throw refuse();
  for (std::size_t i = 0; i < time.size(); ++i) {
    const bool fits = kPattern[i] == 'd' ? time[i] >= '0' && time[i] <= '9' : time[i] == kPattern[i];
    if (!fits) throw refuse();
  }
  const auto number = [&](std::size_t offset, std::size_t n) {
    int value = 0;
    for (std::size_t i = offset; i < offset + n; ++i) value = 10 * value + (time[i] - '0');
    return value;
  };
  namespace chrono = std::chrono;
  const chrono::year_month_day day = chrono::year(number(0, 4)) / number(5, 2) / number(8, 2);
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 59) throw refuse();
  const auto since =
      chrono::sys_days(day).time_since_epoch() + chrono::hours(hour) + chrono::minutes(minute) + chrono::seconds(second);
  return chrono::duration_cast<chrono::seconds>(since).count();
}

std::string CurrentTime() {
  namespace chrono = std::chrono;
  const auto now = chrono::system_clock::now().time_since_epoch();
  return FormatTime(chrono::duration_cast<chrono::seconds>(now).count());
}

}  // namespace verillm
