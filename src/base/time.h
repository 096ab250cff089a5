// Moments as files have them: "2026-01-31T12:00:00Z" (RFC 3339, whole seconds of UTC).
#ifndef VERILLM_BASE_TIME_H_
#define VERILLM_BASE_TIME_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace verillm {

// Seconds since 1970 and back; Error(kInput), naming `what`, for any other form.
std::string FormatTime(std::int64_t seconds);
std::int64_t ParseTime(std::string_view time, std::string_view what);

// The present one.
std::string CurrentTime();

}  // namespace verillm

#endif  // VERILLM_BASE_TIME_H_
