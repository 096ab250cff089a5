#include "base/process.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "base/test_support.h"

namespace verillm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// Long enough for a busy machine, short against the hour that the sleeping children below would take.
constexpr seconds kPatience(30);

std::vector<std::string> Shell(const std::string& script) { return {"sh", "-c", script}; }

// What the child writes until the end of its output.
std::string ReadAll(const ChildProcess& child) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(child.output(), buffer.data(), buffer.size());
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

// Whether nobody holds the child's standard output any more.
bool OutputEnds(const ChildProcess& child) {
  pollfd poll{.fd = child.output(), .events = POLLIN, .revents = 0};
  std::array<char, 1> byte;
  return ::poll(&poll, 1, 30'000) == 1 && ::read(child.output(), byte.data(), byte.size()) == 0;
}

TEST(ChildProcess, EchoesThroughCat) {
  ChildProcess child({"cat"});
  ASSERT_EQ(::write(child.input(), "hello\n", 6), 6);
  child.CloseInput();
  EXPECT_EQ(ReadAll(child), "hello\n");
  EXPECT_EQ(child.WaitForEnd(kPatience), "exited with 0");
}

TEST(ChildProcess, WaitingClosesItsInput) {
  ChildProcess child({"cat"});
  EXPECT_EQ(child.WaitForEnd(kPatience), "exited with 0");
}

TEST(ChildProcess, SaysHowItEnded) {
  EXPECT_EQ(ChildProcess(Shell("exit 3")).WaitForEnd(kPatience), "exited with 3");
  EXPECT_EQ(ChildProcess(Shell("kill -9 $$")).WaitForEnd(kPatience), "was killed by signal 9 (Killed)");
  EXPECT_EQ(ChildProcess(Shell("kill -TERM $$")).WaitForEnd(kPatience), "was killed by signal 15 (Terminated)");
}

TEST(ChildProcess, SaysItAgainWhenAskedAgain) {
  ChildProcess child(Shell("exit 3"));
  EXPECT_EQ(child.WaitForEnd(kPatience), "exited with 3");
  EXPECT_EQ(child.WaitForEnd(kPatience), "exited with 3");
}

TEST(ChildProcess, WordsAreGivenAsTheyAre) {
  ChildProcess child({"printf", "%s|", "a b", "$HOME", "", "*"});
  EXPECT_EQ(ReadAll(child), "a b|$HOME||*|");
}

TEST(ChildProcess, IsKilledWhenPatienceEnds) {
  ChildProcess child({"sleep", "3600"});
  EXPECT_EQ(child.WaitForEnd(milliseconds(50)), "was killed by signal 9 (Killed)");
}

TEST(ChildProcess, KillEndsIt) {
  ChildProcess child({"sleep", "3600"});
  child.Kill();
  EXPECT_EQ(child.WaitForEnd(kPatience), "was killed by signal 9 (Killed)");
}

TEST(ChildProcess, DestructorEndsIt) {
  const auto start = std::chrono::steady_clock::now();
  { const ChildProcess child({"sleep", "3600"}); }
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
}

TEST(ChildProcess, KillReachesWhatAWrapperStarted) {
  ChildProcess child(Shell("sleep 3600 & wait"));
  child.Kill();
  EXPECT_EQ(child.WaitForEnd(kPatience), "was killed by signal 9 (Killed)");
  EXPECT_TRUE(OutputEnds(child));
}

TEST(ChildProcess, WhatAWrapperLeftBehindIsKilledToo) {
  ChildProcess child(Shell("sleep 3600 & exit 0"));
  EXPECT_EQ(child.WaitForEnd(kPatience), "exited with 0");
  EXPECT_TRUE(OutputEnds(child));
}

// As ssh does with ControlPersist: what stays is in a session of its own and keeps standard error open.
TEST(ChildProcess, ProcessThatEscapedDoesNotHoldUpTheEnd) {
  ChildProcess child(Shell("echo last >&2; setsid sh -c 'echo $$; exec sleep 60' & wait"));
  std::array<char, 32> text{};
  if (::read(child.output(), text.data(), text.size() - 1) <= 0) GTEST_SKIP() << "there is no setsid here";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(child.WaitForEnd(milliseconds(1)), "was killed by signal 9 (Killed)");
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
  EXPECT_EQ(child.LastWords(), "last");
  ::kill(std::stoi(text.data()), SIGKILL);
}

TEST(ChildProcess, LastWordsAreWhatItWroteToStandardError) {
  ChildProcess child(Shell("echo one >&2; echo no; echo >&2; printf two >&2; exit 1"));
  EXPECT_EQ(child.WaitForEnd(kPatience), "exited with 1");
  EXPECT_EQ(child.LastWords(), "one\ntwo");
}

TEST(ChildProcess, LastWordsAreTheLastTwelveLines) {
  ChildProcess child(Shell("for i in 01 02 03 04 05 06 07 08 09 10 11 12 13 14; do echo line $i >&2; done"));
  child.WaitForEnd(kPatience);
  const std::string words = child.LastWords();
  EXPECT_EQ(words.substr(0, 8), "line 03\n");
  EXPECT_EQ(words.substr(words.size() - 8), "\nline 14");
}

TEST(ChildProcess, LongLinesOfStandardErrorAreCut) {
  ChildProcess child(Shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2"));
  child.WaitForEnd(kPatience);
  EXPECT_EQ(child.LastWords(), std::string(500, 'x') + "\nend");
}

TEST(ChildProcess, QuietChildLeavesNoWords) {
  ChildProcess child({"true"});
  child.WaitForEnd(kPatience);
  EXPECT_EQ(child.LastWords(), "");
}

TEST(ChildProcess, CommandThatIsNotFoundIsAWorkerError) {
  ExpectError(
      [] {
        ChildProcess({"verillm-no-such-command", "worker"});
      },
      ErrorKind::kWorker, "cannot start \"verillm-no-such-command worker\": No such file or directory");
  ExpectError([] { ChildProcess(std::vector<std::string>{}); }, ErrorKind::kWorker, HasSubstr("cannot start \"\""));
}

TEST(RunCommand, EndsQuietlyOnSuccess) { EXPECT_NO_THROW(RunCommand({"true"})); }

TEST(RunCommand, OutputBeyondAPipeDoesNotBlockIt) { EXPECT_NO_THROW(RunCommand({"head", "-c", "1000000", "/dev/zero"})); }

TEST(RunCommand, HasNothingOnStandardInput) { EXPECT_NO_THROW(RunCommand(Shell("test -z \"$(cat)\""))); }

TEST(RunCommand, FailureIsAnIoErrorWithTheLastWords) {
  ExpectError([] { RunCommand(Shell("echo no such luck >&2; exit 2")); }, ErrorKind::kIo,
              "\"sh -c echo no such luck >&2; exit 2\" exited with 2: no such luck");
}

}  // namespace
}  // namespace verillm
