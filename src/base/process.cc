#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/log.h"

extern char** environ;

namespace verillm {
namespace {

constexpr std::size_t kMaxLastLines = 12;
constexpr std::size_t kMaxLineLength = 500;
constexpr int kErrorPollMilliseconds = 100;

// Both ends of a pipe, closed when it goes out of scope unless taken.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0)
      throw Error(ErrorKind::kIo, fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  }
  ~Pipe() {
    for (const int end : ends_) {
      if (end >= 0) ::close(end);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  int TakeReading() { return std::exchange(ends_[0], -1); }
  int TakeWriting() { return std::exchange(ends_[1], -1); }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

std::string DescribeStatus(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return "ended";
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command) {
  Pipe input;
  Pipe output;
  Pipe errors;
#ifdef F_SETPIPE_SZ
  // Room for a batch of what a child sends, so that it need not wait for us in the middle of its work. Less will do.
  ::fcntl(output.writing(), F_SETPIPE_SZ, 1 << 20);
#endif
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.reading(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.writing(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.writing(), STDERR_FILENO);
  // A group of its own, so that Ctrl-C reaches us alone and we end the child in our order; and so that Kill reaches what a
  // wrapper command started. Signals that we ignore or block are back to their defaults there.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int error =
      command.empty() ? ENOENT : ::posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw Error(ErrorKind::kWorker, fmt::format("cannot start \"{}\": {}", fmt::join(command, " "), std::strerror(error)));
  }
  input_ = input.TakeWriting();
  output_ = output.TakeReading();
  error_reader_ = std::thread(&ChildProcess::ReadErrors, this, errors.TakeReading());
}

ChildProcess::~ChildProcess() {
  const LoggedTime timed("end of a process that was started");
  WaitForEnd(std::chrono::milliseconds(500));
  if (output_ >= 0) ::close(output_);
}

void ChildProcess::CloseInput() {
  if (input_ >= 0) ::close(std::exchange(input_, -1));
}

void ChildProcess::Kill() {
  if (ending_.empty()) ::kill(-pid_, SIGKILL);
}

std::string ChildProcess::WaitForEnd(std::chrono::milliseconds patience) {
  if (!ending_.empty()) return ending_;
  CloseInput();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(-pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // What a wrapper command left behind would hold the pipe of standard error open.
  ::kill(-pid_, SIGKILL);
  ending_ = DescribeStatus(status);
  ended_ = true;
  error_reader_.join();
  return ending_;
}

std::string ChildProcess::LastWords() {
  const std::lock_guard lock(mutex_);
  return fmt::format("{}", fmt::join(last_lines_, "\n"));
}

void ChildProcess::ReadErrors(int descriptor) {
  std::string line;
  const auto finish_line = [&] {
    if (line.empty()) return;
    Log(LogLevel::kDebug, line);
    const std::lock_guard lock(mutex_);
    last_lines_.push_back(std::exchange(line, {}));
    if (last_lines_.size() > kMaxLastLines) last_lines_.pop_front();
  };
  std::array<char, 4096> buffer;
  for (;;) {
    // A process that left our group (ssh's ControlPersist) may hold the pipe open for hours: once the child has ended, what is in
    // the pipe is all that counts.
    const bool ended = ended_;
    pollfd poll{.fd = descriptor, .events = POLLIN, .revents = 0};
    if (::poll(&poll, 1, ended ? 0 : kErrorPollMilliseconds) == 0) {
      if (ended) break;
      continue;
    }
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(count))) {
      if (c == '\n') {
        finish_line();
      } else if (line.size() < kMaxLineLength) {
        line += c;
      }
    }
  }
  finish_line();
  ::close(descriptor);
}

void RunCommand(const std::vector<std::string>& command) {
  ChildProcess child(command);
  child.CloseInput();
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(child.output(), buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno != EINTR)) break;
  }
  const std::string ending = child.WaitForEnd(std::chrono::minutes(1));
  if (ending != "exited with 0") {
    throw Error(ErrorKind::kIo, fmt::format("\"{}\" {}: {}", fmt::join(command, " "), ending, child.LastWords()));
  }
}

}  // namespace verillm
