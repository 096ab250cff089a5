// The command: parses the arguments, runs the subcommand, turns errors into a line and an exit code.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <new>

#include "base/error.h"
#include "base/log.h"
#include "cli/command_line.h"

namespace {

std::atomic<bool> cancel = false;

// The first Ctrl-C lets the work end in order, the second ends at once.
void HandleInterrupt(int signal) {
  if (cancel.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

void UseLog(bool verbose) {
  const auto logger = spdlog::stderr_color_mt("verillm");
  logger->set_pattern("%^%l%$: %v");
  logger->set_level(verbose ? spdlog::level::debug : spdlog::level::warn);
  verillm::SetLogSink([logger](verillm::LogLevel level, std::string_view message) {
    switch (level) {
      case verillm::LogLevel::kDebug:
        return logger->debug("{}", message);
      case verillm::LogLevel::kInfo:
        return logger->info("{}", message);
      case verillm::LogLevel::kWarning:
        return logger->warn("{}", message);
      case verillm::LogLevel::kError:
        return logger->error("{}", message);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(verillm::kProgramSummary, "verillm");
  verillm::Run run;
  bool verbose = false;
  verillm::DeclareCommandLine(app, VERILLM_VERSION, run, verbose);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  // Workers that this process starts inherit it.
  if (verbose) ::setenv("VERILLM_VERBOSE", "1", 1);
  UseLog(std::getenv("VERILLM_VERBOSE") != nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, HandleInterrupt);
  std::signal(SIGTERM, HandleInterrupt);

  verillm::Streams streams{std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1, cancel};
  try {
    const int code = run(streams);
    std::cout.flush();
    return code;
  } catch (const verillm::Error& error) {
    if (error.kind() == verillm::ErrorKind::kCancelled) {
      std::cerr << "interrupted; what was finished is kept\n";
    } else {
      std::cerr << "verillm: " << error.what() << "\n";
    }
    return verillm::ExitCode(error.kind());
  } catch (const std::bad_alloc&) {
    std::cerr << "verillm: out of memory\n";
    return 4;
  } catch (const std::exception& error) {
    // A file that is JSON, but not of our making, can still surprise us.
    std::cerr << "verillm: unexpected: " << error.what() << "\n";
    return 2;
  }
}
