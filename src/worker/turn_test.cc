#include "worker/turn.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::HasSubstr;

class TurnTest : public testing::Test {
 protected:
  // Whether nobody has the turn.
  bool IsFree() const {
    try {
      const Turn turn(path_, [] { throw Error(ErrorKind::kCancelled, "not now"); });
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  // Waits until somebody holds the lock that says who is next.
  void AwaitNext() const {
    for (bool waits = false; !waits;) {
      try {
        const FileLock next(path_.string() + ".next", [] { throw Error(ErrorKind::kCancelled, "it is taken"); });
      } catch (const Error&) {
        waits = true;
      }
      std::this_thread::yield();
    }
  }

  static void Wait() {}

  const TestFolder folder_;
  const std::filesystem::path path_ = folder_ / "cache" / "turn";
};

TEST_F(TurnTest, OneThatIsFreeIsTakenAtOnce) {
  const Turn turn(path_, [] { FAIL() << "there was nobody to wait for"; });
  EXPECT_GE(turn.waited_seconds(), 0);
  EXPECT_LT(turn.waited_seconds(), 5);
  EXPECT_FALSE(IsFree());
}

TEST_F(TurnTest, IsGivenUpWithTheObject) {
  {
    const Turn turn(path_, Wait);
    EXPECT_FALSE(IsFree());
  }
  EXPECT_TRUE(IsFree());
}

TEST_F(TurnTest, OtherFilesAreOtherTurns) {
  const Turn turn(path_, Wait);
  const Turn other(folder_ / "other", [] { FAIL() << "that is another file"; });
}

TEST_F(TurnTest, TwoComputeOneAfterTheOther) {
  std::atomic<int> n_computing = 0;
  std::atomic<int> n_overlaps = 0;
  std::atomic<int> n_waits = 0;
  const auto compute = [&] {
    for (int i = 0; i < 5; ++i) {
      const Turn turn(path_, [&] { ++n_waits; });
      if (++n_computing > 1) ++n_overlaps;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      --n_computing;
    }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) workers.emplace_back(compute);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(n_overlaps, 0);
  EXPECT_GT(n_waits, 0);
}

TEST_F(TurnTest, TimeWaitedIsMeasured) {
  auto first = std::make_unique<Turn>(path_, Wait);
  int n_calls = 0;
  const Turn second(path_, [&] {
    if (++n_calls == 5) first.reset();
  });
  EXPECT_EQ(n_calls, 5);
  EXPECT_GE(second.waited_seconds(), 0.05);
  EXPECT_LT(second.waited_seconds(), 5);
}

TEST_F(TurnTest, WhoGivesUpWaitingLeavesTheOthersTheirPlaces) {
  auto first = std::make_unique<Turn>(path_, Wait);
  ExpectError([&] { Turn(path_, [] { throw Error(ErrorKind::kCancelled, "cancelled"); }); }, ErrorKind::kCancelled, "cancelled");
  EXPECT_FALSE(IsFree());
  first.reset();
  EXPECT_TRUE(IsFree());
}

// One that computes again and again, with no pause in which a lock that is tried now and then could be had.
TEST_F(TurnTest, WhoComputesAgainAndAgainLetsOthersIn) {
  std::atomic<bool> done = false;
  auto turn = std::make_unique<Turn>(path_, Wait);
  std::thread other([&] {
    const Turn others(path_, Wait);
    done = true;
  });
  AwaitNext();
  turn.reset();
  turn = std::make_unique<Turn>(path_, Wait);
  EXPECT_TRUE(done);
  other.join();
}

TEST_F(TurnTest, OwnerThatIsKilledGivesItUp) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t owner = ::fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    const Turn turn(path_, Wait);
    if (::write(ends[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_FALSE(IsFree());
  int n_calls = 0;
  const Turn turn(path_, [&] {
    if (++n_calls == 3) ::kill(owner, SIGKILL);
  });
  EXPECT_GE(n_calls, 3);
  EXPECT_EQ(::waitpid(owner, nullptr, 0), owner);
  for (const int end : ends) ::close(end);
}

TEST_F(TurnTest, FileThatCannotBeMadeIsAnError) {
  WriteFile(folder_ / "file", "");
  ExpectError([&] { Turn(folder_ / "file" / "turn", Wait); }, ErrorKind::kIo, HasSubstr((folder_ / "file").string()));
}

TEST(TurnFileOfHost, IsInTheCacheAndOfThisHostOnly) {
  const Environment environment{{{"VERILLM_CACHE", "/the/cache"}}};
  const std::filesystem::path path = TurnFileOfHost();
  EXPECT_EQ(path.parent_path(), "/the/cache");
  EXPECT_GT(path.filename().string().size(), std::string("turn.").size());
}

}  // namespace
}  // namespace verillm
