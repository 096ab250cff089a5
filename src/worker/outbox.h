// What a worker sends, from more than one thread.
#ifndef VERILLM_WORKER_OUTBOX_H_
#define VERILLM_WORKER_OUTBOX_H_

#include <condition_variable>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "worker/frame.h"
#include "worker/protocol.h"

namespace verillm {

// Sends frames, whole, whichever thread they come from.
class Outbox {
 public:
  explicit Outbox(int descriptor) : descriptor_(descriptor) {}

  void Send(const Json& head, std::span<const std::byte> payload = {}) {
    const std::lock_guard lock(mutex_);
    WriteFrame(descriptor_, head, payload);
  }

  // A total of 0 says that there is nothing to count.
  void SendProgress(std::string_view phase, double done, double total) {
    Send({{"type", "progress"}, {"phase", phase}, {"done", done}, {"total", total}});
  }

 private:
  int descriptor_;
  std::mutex mutex_;
};

// Says "alive" at intervals as long as it lives, so that the client can tell a long computation from a worker that hangs.
class Heartbeat {
 public:
  explicit Heartbeat(Outbox& outbox) : thread_([this, &outbox] { Beat(outbox); }) {}
  ~Heartbeat() {
    {
      const std::lock_guard lock(mutex_);
      stops_ = true;
    }
    stopping_.notify_one();
    thread_.join();
  }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void Beat(Outbox& outbox) {
    std::unique_lock lock(mutex_);
    while (!stopping_.wait_for(lock, kHeartbeat, [this] { return stops_; })) {
      try {
        outbox.Send({{"type", "alive"}});
      } catch (const Error&) {
        return;  // nobody reads any more; who sends the reply will find out
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stops_ = false;
  std::thread thread_;
};

}  // namespace verillm

#endif  // VERILLM_WORKER_OUTBOX_H_
