// Manual pages, made of what is declared to CLI11 so that they say what --help says.
#ifndef VERILLM_CLI_MANUAL_H_
#define VERILLM_CLI_MANUAL_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace verillm {

struct ManualPage {
  std::string name;  // "verillm-receipt-check", of section 1
  std::string text;  // for man: roff with the macros of man(7)
};

// Pages of a command and of all that is below it, the command first. `date` and `version` stand in the last line of each.
std::vector<ManualPage> ManualPages(const CLI::App& app, const std::string& date, const std::string& version);

}  // namespace verillm

#endif  // VERILLM_CLI_MANUAL_H_
