#include "cli/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cli/help_formatter.h"

namespace verillm {
namespace {

// Text as it is: no requests, no escapes, hyphens that can be copied, no curled quotes.
std::string Literal(std::string_view text) {
  std::string roff;
  for (const char c : text) {
    switch (c) {
      case '\\':
        roff += "\\e";
        break;
      case '-':
        roff += "\\-";
        break;
      case '\'':
        roff += "\\(aq";
        break;
      case '`':
        roff += "\\(ga";
        break;
      default:
        roff += c;
    }
  }
  return roff.starts_with('.') ? "\\&" + roff : roff;
}

std::string Bold(std::string_view text) { return "\\fB" + Literal(text) + "\\fR"; }
std::string Italic(std::string_view text) { return "\\fI" + Literal(text) + "\\fR"; }

// "verillm receipt check".
std::string Words(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : Words(*app.get_parent()) + " " + app.get_name();
}

std::string PageName(const CLI::App& app) {
  std::string name = Words(app);
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string Reference(const CLI::App& app) { return Bold(PageName(app)) + "(1)"; }

std::vector<const CLI::App*> Below(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& app, bool positional) {
  return app.get_options([&](const CLI::Option* option) { return option->get_positional() == positional; });
}

std::string Synopsis(const CLI::App& app) {
  std::string text = Bold(Words(app)) + " [" + Italic("OPTIONS") + "]";
  for (const CLI::Option* option : OptionsOf(app, true)) {
    const std::string argument = Italic(option->get_name(true)) + (ArgumentOf(*option).ends_with("...") ? " ..." : "");
    text += option->get_required() ? " " + argument : " [" + argument + "]";
  }
  if (!Below(app).empty()) text += " " + Italic("COMMAND");
  return text;
}

// "-h, --help", "--device TEXT".
std::string Signature(const CLI::Option& option) {
  if (option.get_positional()) return Italic(option.get_name(true));
  std::string names;
  for (const std::string& name : CLI::detail::split(option.get_name(false, true), ','))
    names += (names.empty() ? "" : ", ") + Bold(name);
  const std::string argument = ArgumentOf(option);
  return argument.empty() ? names : names + " " + Italic(argument);
}

void AddItem(std::string& roff, std::string_view signature, std::string_view description) {
  roff += fmt::format(".TP\n{}\n{}\n", signature, Literal(description));
}

void AddOptions(std::string& roff, std::string_view title, const std::vector<const CLI::Option*>& options) {
  if (options.empty()) return;
  roff += fmt::format(".SH {}\n", title);
  for (const CLI::Option* option : options) AddItem(roff, Signature(*option), DescriptionOf(*option));
}

std::string Page(const CLI::App& app, const std::string& date, const std::string& version) {
  std::string roff = fmt::format(".TH {} 1 \"{}\" \"verillm {}\" \"verillm\"\n", Literal(PageName(app)), date, version);
  roff += fmt::format(".SH NAME\n{} \\- {}\n", Literal(PageName(app)), Literal(app.get_description()));
  roff += fmt::format(".SH SYNOPSIS\n{}\n", Synopsis(app));
  AddOptions(roff, "ARGUMENTS", OptionsOf(app, true));
  AddOptions(roff, "OPTIONS", OptionsOf(app, false));
  if (!Below(app).empty()) roff += ".SH COMMANDS\n";
  for (const CLI::App* command : Below(app)) AddItem(roff, Reference(*command), command->get_description());
  if (!app.get_footer().empty()) roff += fmt::format(".SH EXIT STATUS\n{}\n", Literal(app.get_footer()));
  if (app.get_parent() != nullptr) roff += fmt::format(".SH SEE ALSO\n{}\n", Reference(*app.get_parent()));
  return roff;
}

}  // namespace

std::vector<ManualPage> ManualPages(const CLI::App& app, const std::string& date, const std::string& version) {
  std::vector<ManualPage> pages = {{PageName(app), Page(app, date, version)}};
  for (const CLI::App* command : Below(app)) std::ranges::move(ManualPages(*command, date, version), std::back_inserter(pages));
  return pages;
}

}  // namespace verillm
