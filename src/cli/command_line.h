// The whole command line: every subcommand with its options, as both the command and its manual know it.
#ifndef VERILLM_CLI_COMMAND_LINE_H_
#define VERILLM_CLI_COMMAND_LINE_H_

#include <CLI/CLI.hpp>
#include <string>

#include "cli/command.h"

namespace verillm {

constexpr const char* kProgramSummary = "Checks that a machine really ran the language model it claims to have run.";

// Declares everything to an `app` named verillm. Once it has parsed, `run` is the chosen subcommand, and `verbose` what the user
// said.
void DeclareCommandLine(CLI::App& app, const std::string& version, Run& run, bool& verbose);

}  // namespace verillm

#endif  // VERILLM_CLI_COMMAND_LINE_H_
