// The one exception type of verillm. It is thrown wherever an operation cannot go on and caught in few places: the command's
// main, the worker's request loop. What is expected (a verdict, a missing optional file) is a return value instead.
#ifndef VERILLM_BASE_ERROR_H_
#define VERILLM_BASE_ERROR_H_

#include <exception>
#include <string>
#include <string_view>

namespace verillm {

// What went wrong, as far as a caller may want to act on it. The command's exit code follows from it (see ExitCode).
enum class ErrorKind {
  kUsage,      // a request that makes no sense: unknown option, device, layer
  kInput,      // a file or message whose content is not what it should be
  kIo,         // the operating system refused: missing file, full disk
  kWorker,     // a worker or its device failed: died, spoke nonsense, ran out of memory
  kCancelled,  // somebody asked to stop
};

// "usage", "input", ...: used in messages between processes. ErrorKindFromName throws Error(kInput) for an unknown name.
std::string_view ErrorKindName(ErrorKind kind);
ErrorKind ErrorKindFromName(std::string_view name);

class Error : public std::exception {
 public:
  // `message` names the value that is wrong and, where there is one, the next step.
  Error(ErrorKind kind, std::string message);

  // Puts `context` (a file, an offset, a worker) in front of the message; each layer adds its own while the error passes up.
  Error& Within(std::string_view context);

  ErrorKind kind() const { return kind_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
};

// 2 for usage, input and input/output, 4 for workers and devices, 130 for an interruption.
int ExitCode(ErrorKind kind);

}  // namespace verillm

#endif  // VERILLM_BASE_ERROR_H_
