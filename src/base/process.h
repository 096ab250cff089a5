// Child processes: one that we talk to over its standard input and output, and one that we only run to its end.
#ifndef VERILLM_BASE_PROCESS_H_
#define VERILLM_BASE_PROCESS_H_

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace verillm {

// A running child. Its standard error is read by a thread that keeps the last lines, so that a child that dies leaves its last
// words; they go to the log too. The destructor closes the pipes, waits a moment and then kills.
class ChildProcess {
 public:
  // Starts `command` (looked up in PATH). Error(kWorker) where it cannot be started.
  explicit ChildProcess(const std::vector<std::string>& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int input() const { return input_; }    // descriptor of the child's standard input, for writing
  int output() const { return output_; }  // descriptor of the child's standard output, for reading

  void CloseInput();
  void Kill();

  // Waits for the end at most `patience`, then kills. How it ended: "exited with 1", "was killed by signal 9 (Killed)".
  std::string WaitForEnd(std::chrono::milliseconds patience);

  // The last lines of standard error, the oldest first; complete once the child has ended.
  std::string LastWords();

 private:
  void ReadErrors(int descriptor);

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string ending_;               // empty while it runs
  std::atomic<bool> ended_ = false;  // the same for the thread below
  std::mutex mutex_;
  std::deque<std::string> last_lines_;
  std::thread error_reader_;
};

// Runs `command` to its end with nothing on standard input. Error(kIo) with its last words unless it exits with 0.
void RunCommand(const std::vector<std::string>& command);

}  // namespace verillm

#endif  // VERILLM_BASE_PROCESS_H_
