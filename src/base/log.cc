#include "base/log.h"

#include <fmt/format.h>

#include <utility>

namespace verillm {
namespace {

LogSink& Sink() {
  static LogSink sink;
  return sink;
}

}  // namespace

void SetLogSink(LogSink sink) { Sink() = std::move(sink); }

void Log(LogLevel level, std::string_view message) {
  if (Sink()) Sink()(level, message);
}

LoggedTime::~LoggedTime() {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  Log(LogLevel::kDebug, fmt::format("{} took {:.4f} s", what_, seconds.count()));
}

}  // namespace verillm
