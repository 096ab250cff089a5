// Writes the manual pages of the command into a folder, a file each: make_manual FOLDER DATE.
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "cli/command_line.h"
#include "cli/manual.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "make_manual: say FOLDER and DATE\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  CLI::App app(verillm::kProgramSummary, "verillm");
  verillm::Run run;
  bool verbose = false;
  verillm::DeclareCommandLine(app, VERILLM_VERSION, run, verbose);
  try {
    verillm::MakeFolder(folder);
    for (const verillm::ManualPage& page : verillm::ManualPages(app, argv[2], VERILLM_VERSION))
      verillm::WriteFile(folder / (page.name + ".1"), page.text);
  } catch (const verillm::Error& error) {
    std::cerr << "make_manual: " << error.what() << "\n";
    return 2;
  }
  return 0;
}
