// Where the library's diagnostics go: a sink that the program sets once, at start. The library itself never prints.
#ifndef VERILLM_BASE_LOG_H_
#define VERILLM_BASE_LOG_H_

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace verillm {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Replaces the sink; until then messages are dropped. Call it before any thread logs.
void SetLogSink(LogSink sink);

void Log(LogLevel level, std::string_view message);

// Says at the end of its life how long it lasted, as a debug message: "WHAT took 0.0123 s".
class LoggedTime {
 public:
  explicit LoggedTime(std::string what) : what_(std::move(what)) {}
  ~LoggedTime();
  LoggedTime(const LoggedTime&) = delete;
  LoggedTime& operator=(const LoggedTime&) = delete;

 private:
  std::string what_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace verillm

#endif  // VERILLM_BASE_LOG_H_
