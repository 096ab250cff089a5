#include "cli/command.h"

#include <fmt/format.h>

#include "base/file.h"

namespace verillm {
namespace {

constexpr std::uint64_t kMaxPromptBytes = std::uint64_t{64} << 20;

}  // namespace

std::string ReadPromptFile(const std::string& path) { return ReadFile(path, kMaxPromptBytes); }

int ExitCode(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAccept:
      return kExitAccepted;
    case Verdict::kReject:
      return kExitRejected;
    case Verdict::kInconclusive:
      return kExitInconclusive;
  }
  return kExitInconclusive;
}

void ProgressLine::Show(std::string_view text) {
  if (!streams_.talk_is_terminal) return;
  streams_.talk << "\r\x1b[K" << text.substr(0, 110) << std::flush;
  shown_ = true;
}

void ProgressLine::ShowTokens(std::string_view phase, int done, int total) {
  Show(total > 0 ? fmt::format("{}: {} of {} tokens", phase, done, total) : std::string(phase));
}

void ProgressLine::Clear() {
  if (shown_) streams_.talk << "\r\x1b[K" << std::flush;
  shown_ = false;
}

}  // namespace verillm
