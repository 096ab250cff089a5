// What the subcommands share. Each lives in a file of its own: an options struct, an Add function that declares it to CLI11, and
// a run function that does it; the streams are passed in.
#ifndef VERILLM_CLI_COMMAND_H_
#define VERILLM_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "policy/policy.h"

namespace verillm {

// Exit codes beside those of errors (ExitCode).
constexpr int kExitAccepted = 0;
constexpr int kExitRejected = 1;
constexpr int kExitInconclusive = 3;

int ExitCode(Verdict verdict);

// The prompt in a file. Error(kIo), or Error(kInput) where it is absurdly long.
std::string ReadPromptFile(const std::string& path);

// Where a command writes: data on `out`, talk and progress on `talk`. `cancel` is set by Ctrl-C.
struct Streams {
  std::ostream& out;
  std::ostream& talk;
  bool talk_is_terminal;
  const std::atomic<bool>& cancel;
};

// The chosen subcommand; gives the exit code.
using Run = std::function<int(Streams& streams)>;

// A line on `talk` that is redrawn while something lasts; nothing at all where talk is no terminal.
class ProgressLine {
 public:
  explicit ProgressLine(Streams& streams) : streams_(streams) {}
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(std::string_view text);
  // What is being done, with tokens done of all where a total is known (not 0).
  void ShowTokens(std::string_view phase, int done, int total);
  void Clear();

 private:
  Streams& streams_;
  bool shown_ = false;
};

void AddDevicesCommand(CLI::App& app, Run& run);
void AddModelCommand(CLI::App& app, Run& run);
void AddInferCommand(CLI::App& app, Run& run);
void AddAttackCommand(CLI::App& app, Run& run);
void AddCalibrateCommand(CLI::App& app, Run& run);
void AddVerifyCommand(CLI::App& app, Run& run);
void AddCompareCommand(CLI::App& app, Run& run);
void AddProofCommand(CLI::App& app, Run& run);
void AddExperimentCommand(CLI::App& app, Run& run);
void AddReportCommand(CLI::App& app, Run& run);
void AddKeyCommand(CLI::App& app, Run& run);
void AddReceiptCommand(CLI::App& app, Run& run);
void AddWorkerCommand(CLI::App& app, Run& run);
void AddRpcServerCommand(CLI::App& app, Run& run);

}  // namespace verillm

#endif  // VERILLM_CLI_COMMAND_H_
