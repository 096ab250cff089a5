#include "cli/manual.h"

#include <gmock/gmock.h>

#include <memory>

#include "cli/help_formatter.h"

namespace verillm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Manual : public ::testing::Test {
 protected:
  Manual() {
    app.formatter(std::make_shared<HelpFormatter>());
    app.set_help_flag("-h,--help", "Print this help and exit");
    app.footer("Exit codes: 0 done");
    CLI::App* cut = app.add_subcommand("cut", "Cut a plank");
    cut->add_option("plank", plank, ".wood, 'oak' or `beech`")->required();
    cut->add_option("--saw", saw, "Which")->required()->check(CLI::IsMember({"band", "hand"}));
    cut->add_option("--length", length, "Of the piece")->check(CLI::Range(1, 512))->capture_default_str();
    CLI::Option* mark = cut->add_option("--mark", marks, "Where");
    cut->add_flag("--blind", blind, "Without a mark")->excludes(mark);
    app.add_subcommand("tool", "Tools")->add_subcommand("show", "Show one");
  }

  CLI::App app{"Works wood", "shop"};
  std::string plank, saw;
  std::vector<double> marks;
  int length = 30;
  bool blind = false;
};

TEST_F(Manual, HelpSaysInWordsWhatAnOptionTakes) {
  const std::string help = app.get_subcommand("cut")->help();
  EXPECT_THAT(help, HasSubstr("  -h, --help "));
  EXPECT_THAT(help, HasSubstr("--saw band|hand             Which (required)\n"));
  EXPECT_THAT(help, HasSubstr("--length 1..512             Of the piece (default: 30)\n"));
  EXPECT_THAT(help, HasSubstr("--mark NUMBER ...           Where (not with --blind)\n"));
  EXPECT_THAT(help, HasSubstr("--blind                     Without a mark (not with --mark)\n"));
  EXPECT_THAT(help, HasSubstr("  plank                       .wood"));
}

TEST_F(Manual, EveryCommandHasAPage) {
  std::vector<std::string> names;
  for (const ManualPage& page : ManualPages(app, "2026-01-31", "1.2")) names.push_back(page.name);
  EXPECT_THAT(names, ::testing::ElementsAre("shop", "shop-cut", "shop-tool", "shop-tool-show"));
}

TEST_F(Manual, PageSaysWhatHelpSays) {
  const std::string text = ManualPages(app, "2026-01-31", "1.2")[1].text;
  EXPECT_THAT(text, HasSubstr(".TH shop\\-cut 1 \"2026-01-31\" \"verillm 1.2\" \"verillm\"\n"
                              ".SH NAME\nshop\\-cut \\- Cut a plank\n"
                              ".SH SYNOPSIS\n\\fBshop cut\\fR [\\fIOPTIONS\\fR] \\fIplank\\fR\n"));
  EXPECT_THAT(text, HasSubstr(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint this help and exit\n"));
  EXPECT_THAT(text, HasSubstr(".TP\n\\fB\\-\\-saw\\fR \\fIband|hand\\fR\nWhich (required)\n"));
  EXPECT_THAT(text, HasSubstr(".SH EXIT STATUS\nExit codes: 0 done\n.SH SEE ALSO\n\\fBshop\\fR(1)\n"));
  EXPECT_THAT(text, Not(HasSubstr("COMMANDS")));
}

TEST_F(Manual, TextIsNotTakenForRoff) {
  const std::string text = ManualPages(app, "2026-01-31", "1.2")[1].text;
  EXPECT_THAT(text, HasSubstr("\n\\&.wood, \\(aqoak\\(aq or \\(gabeech\\(ga\n"));
}

TEST_F(Manual, CommandOfCommandsRefersToTheirPages) {
  const std::string text = ManualPages(app, "2026-01-31", "1.2")[0].text;
  EXPECT_THAT(text, HasSubstr("\\fBshop\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n"));
  EXPECT_THAT(text, HasSubstr(".SH COMMANDS\n.TP\n\\fBshop\\-cut\\fR(1)\nCut a plank\n.TP\n\\fBshop\\-tool\\fR(1)\nTools\n"));
  EXPECT_THAT(text, Not(HasSubstr("SEE ALSO")));
}

}  // namespace
}  // namespace verillm
