// The parts of `verillm receipt`, which is two files long.
#ifndef VERILLM_CLI_RECEIPT_COMMANDS_H_
#define VERILLM_CLI_RECEIPT_COMMANDS_H_

#include "cli/command.h"

namespace verillm {

// check and recheck.
void AddReceiptCheckCommands(CLI::App& receipt, Run& run);

}  // namespace verillm

#endif  // VERILLM_CLI_RECEIPT_COMMANDS_H_
