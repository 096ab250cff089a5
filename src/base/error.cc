#include "base/error.h"

#include <array>
#include <utility>

namespace verillm {
namespace {

constexpr std::array<std::pair<ErrorKind, std::string_view>, 5> kNames = {{
    {ErrorKind::kUsage, "usage"},
    {ErrorKind::kInput, "input"},
    {ErrorKind::kIo, "io"},
    {ErrorKind::kWorker, "worker"},
    {ErrorKind::kCancelled, "cancelled"},
}};

}  // namespace

std::string_view ErrorKindName(ErrorKind kind) {
  for (const auto& [candidate, name] : kNames) {
    if (candidate == kind) return name;
  }
  return "unknown";
}

ErrorKind ErrorKindFromName(std::string_view name) {
  for (const auto& [kind, candidate] : kNames) {
    if (candidate == name) return kind;
  }
  throw Error(ErrorKind::kInput, "unknown error kind \"" + std::string(name) + "\"");
}

Error::Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

Error& Error::Within(std::string_view context) {
  message_ = std::string(context) + ": " + message_;
  return *this;
}

int ExitCode(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kInput:
    case ErrorKind::kIo:
      return 2;
    case ErrorKind::kWorker:
      return 4;
    case ErrorKind::kCancelled:
      return 130;
  }
  return 2;
}

}  // namespace verillm
