// What a client sends: read on a thread of its own, so that a cancel is seen while a request is computed.
#ifndef VERILLM_WORKER_INBOX_H_
#define VERILLM_WORKER_INBOX_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "worker/frame.h"

namespace verillm {

class Inbox {
 public:
  explicit Inbox(int descriptor) : reader_([this, descriptor] { Read(descriptor); }) {}
  ~Inbox() { reader_.join(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // The next request; nullopt at the end of the input. Error(kWorker) where the stream is damaged.
  std::optional<Frame> Next();

  // Set while the request under way is to be cancelled, and at the end of the input.
  const std::atomic<bool>& cancel() const { return cancel_; }

 private:
  void Read(int descriptor);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Frame> requests_;
  bool ended_ = false;
  std::exception_ptr failure_;
  std::atomic<bool> cancel_ = false;
  std::thread reader_;
};

}  // namespace verillm

#endif  // VERILLM_WORKER_INBOX_H_
