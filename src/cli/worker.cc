#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "engine/model_store.h"
#include "worker/server.h"
#include "worker/turn.h"

namespace verillm {
namespace {

int RunWorker(WorkerOptions options, bool shares) {
  options.model_folders.push_back(ModelFolder());
  // Where ggml aborts it would start a debugger, whose words hide what went wrong.
  ::setenv("GGML_NO_BACKTRACE", "1", 0);
  if (!shares) options.turn_file = TurnFileOfHost();
  // Frames get the real standard output to themselves: whatever a library prints goes to standard error.
  const int output = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (output < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) throw Error(ErrorKind::kIo, "standard output cannot be used");
  ServeRequests(options, STDIN_FILENO, output);
  return 0;
}

}  // namespace

void AddWorkerCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<WorkerOptions>();
  CLI::App* command = app.add_subcommand(
      "worker", "Serve a device over standard input and output; started by the other commands, or by hand over ssh");
  command->add_option("--device", options->device, "Device to own")->required();
  command->add_option("--models", options->model_folders, "Folders in which to look for models, beside the cache");
  const auto shares = std::make_shared<bool>(false);
  command->add_flag("--share", *shares,
                    "Compute while other workers of this host do, instead of in turn: for workers that have cores of their own");
  command->callback([options, shares, &run] { run = [options, shares](Streams&) { return RunWorker(*options, *shares); }; });
}

}  // namespace verillm
