#include "engine/engine_log.h"

#include <llama.h>

#include <atomic>
#include <string_view>

#include "base/log.h"

namespace verillm {
namespace {

std::atomic<int> n_quiet = 0;

void ForwardLog(ggml_log_level level, const char* text, void*) {
  std::string_view message(text);
  while (message.ends_with('\n')) message.remove_suffix(1);
  if (message.empty()) return;
  switch (level) {
    case GGML_LOG_LEVEL_ERROR:
      return Log(LogLevel::kError, message);
    case GGML_LOG_LEVEL_WARN:
      return Log(n_quiet > 0 ? LogLevel::kDebug : LogLevel::kWarning, message);
    default:
      return Log(LogLevel::kDebug, message);
  }
}

}  // namespace

void RedirectEngineLog() { llama_log_set(ForwardLog, nullptr); }

QuietEngineLog::QuietEngineLog() { ++n_quiet; }
QuietEngineLog::~QuietEngineLog() { --n_quiet; }

}  // namespace verillm
