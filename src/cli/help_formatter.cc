#include "cli/help_formatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

namespace verillm {
namespace {

// "TEXT" -> "TEXT", "INT:INT in [1 - 512]" -> "1..512", "TEXT:{auto,on,off}" -> "auto|on|off", "UINT:NONNEGATIVE" -> "NUMBER".
std::string InWords(std::string type) {
  const std::size_t colon = type.find(':');
  const std::string constraint = colon == std::string::npos ? "" : type.substr(colon + 1);
  if (constraint.starts_with('{')) {
    std::string choices = constraint.substr(1, constraint.size() - 2);
    std::ranges::replace(choices, ',', '|');
    return choices;
  }
  if (const std::size_t range = constraint.find(" in ["); range != std::string::npos) {
    std::string bounds = constraint.substr(range + 5, constraint.size() - range - 6);
    return bounds.replace(bounds.find(" - "), 3, "..");
  }
  type.resize(std::min(colon, type.size()));
  return type == "INT" || type == "UINT" || type == "FLOAT" ? "NUMBER" : type;
}

// " (not with --prompt --prompt-file)", or nothing.
std::string Others(std::string_view relation, const std::set<CLI::Option*>& others) {
  std::vector<std::string> names;
  for (const CLI::Option* other : others) names.push_back(other->get_name());
  std::ranges::sort(names);
  return names.empty() ? "" : fmt::format(" ({} {})", relation, fmt::join(names, " "));
}

}  // namespace

std::string ArgumentOf(const CLI::Option& option) {
  if (option.get_type_size() == 0) return "";
  const bool many = option.get_expected_max() == CLI::detail::expected_max_vector_size;
  return InWords(option.get_type_name()) + (many ? " ..." : "");
}

std::string DescriptionOf(const CLI::Option& option) {
  std::string text = option.get_description();
  if (option.get_required() && option.nonpositional()) text += " (required)";
  if (!option.get_default_str().empty()) text += fmt::format(" (default: {})", option.get_default_str());
  return text + Others("not with", option.get_excludes()) + Others("only with", option.get_needs());
}

std::string HelpFormatter::make_option_name(const CLI::Option* option, bool is_positional) const {
  return CLI::detail::find_and_replace(CLI::Formatter::make_option_name(option, is_positional), ",", ", ");
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  // What a positional takes is said by its name.
  const std::string argument = option->get_positional() ? "" : ArgumentOf(*option);
  return argument.empty() ? "" : " " + argument;
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const { return DescriptionOf(*option); }

}  // namespace verillm
