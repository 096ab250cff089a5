// How --help and the manual show an option: its names, what it takes in words (a choice, a range, a number), and behind its
// description whether it must be given, what it is otherwise, and which others it goes with.
#ifndef VERILLM_CLI_HELP_FORMATTER_H_
#define VERILLM_CLI_HELP_FORMATTER_H_

#include <CLI/CLI.hpp>
#include <string>

namespace verillm {

// What an option or positional takes: "auto|on|off", "1..512", "NUMBER", "TEXT ..."; empty for a flag.
std::string ArgumentOf(const CLI::Option& option);

// Its description, with what else there is to know: "(required)", "(default: 200)", "(not with --prompt)", "(only with
// --prompt-file)".
std::string DescriptionOf(const CLI::Option& option);

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace verillm

#endif  // VERILLM_CLI_HELP_FORMATTER_H_
