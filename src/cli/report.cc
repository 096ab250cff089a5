#include <fmt/format.h>
#include <fmt/ostream.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "audit/recording.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "page/report_pages.h"

namespace verillm {
namespace {

struct ReportOptions {
  std::string results;
  std::string out;
};

int RunReport(const ReportOptions& options, Streams& streams) {
  const std::filesystem::path results = options.results;
  std::error_code ignored;
  const bool is_folder = !std::filesystem::is_regular_file(results, ignored);
  if (is_folder && std::filesystem::exists(FilesIn(results).inference, ignored)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{0}: is a recorded inference; run verillm verify {0} --json > FILE with a model and "
                            "a device, and report that file",
                            results.string()));
  }
  std::filesystem::path out = options.out;
  if (out.empty()) out = is_folder ? results / "report.html" : std::filesystem::path(results).replace_extension(".html");
  WriteFile(out, is_folder ? ExperimentPage(results) : VerificationPage(results));
  fmt::print(streams.out, "{}\n", out.string());
  return 0;
}

}  // namespace

void AddReportCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "Write results as one HTML page with figures, which opens in any browser");
  command
      ->add_option("results", options->results,
                   "Folder that verillm experiment run has written, or a file with what verillm verify --json printed")
      ->required();
  command->add_option("--out", options->out, "File to write (default: report.html in the folder, or beside the file)");
  command->callback([options, &run] { run = [options](Streams& streams) { return RunReport(*options, streams); }; });
}

}  // namespace verillm
