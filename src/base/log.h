// Where the library's diagnostics go: a sink that the program sets once, at start. The library itself never prints.
#ifndef VERILLM_BASE_LOG_H_
#define VERILLM_BASE_LOG_H_

#include <functional>
#include <string_view>

namespace verillm {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Replaces the sink; until then messages are dropped. Call it before any thread logs.
void SetLogSink(LogSink sink);

void Log(LogLevel level, std::string_view message);

}  // namespace verillm

#endif  // VERILLM_BASE_LOG_H_
