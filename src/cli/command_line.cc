#include "cli/command_line.h"

#include <memory>

#include "cli/help_formatter.h"

namespace verillm {

void DeclareCommandLine(CLI::App& app, const std::string& version, Run& run, bool& verbose) {
  // Subcommands take over what is set before them.
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.footer(
      "Exit codes: 0 accepted or done, 1 rejected, 2 usage, input or input/output, 3 inconclusive, 4 a worker or device failed.");
  app.require_subcommand(1);
  app.set_version_flag("--version", "verillm " + version, "Print the version and exit");
  app.add_flag("--verbose", verbose, "Show what the engine and the workers say, and how long each step took");

  AddDevicesCommand(app, run);
  AddModelCommand(app, run);
  AddInferCommand(app, run);
  AddVerifyCommand(app, run);
  AddCompareCommand(app, run);
  AddProofCommand(app, run);
  AddAttackCommand(app, run);
  AddCalibrateCommand(app, run);
  AddExperimentCommand(app, run);
  AddReportCommand(app, run);
  AddKeyCommand(app, run);
  AddReceiptCommand(app, run);
  AddWorkerCommand(app, run);
  AddRpcServerCommand(app, run);
}

}  // namespace verillm
