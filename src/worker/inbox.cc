#include "worker/inbox.h"

#include <utility>

namespace verillm {

std::optional<Frame> Inbox::Next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !requests_.empty() || ended_; });
  if (requests_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return std::nullopt;
  }
  Frame request = std::move(requests_.front());
  requests_.pop_front();
  return request;
}

void Inbox::Read(int descriptor) {
  std::exception_ptr failure;
  try {
    while (std::optional<Frame> frame = ReadFrame(descriptor)) {
      const std::lock_guard lock(mutex_);
      const auto type = frame->head.find("type");
      if (type != frame->head.end() && *type == "cancel") {
        cancel_ = true;
      } else {
        // A cancel that came before belongs to an earlier request.
        cancel_ = false;
        requests_.push_back(*std::move(frame));
      }
      changed_.notify_one();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  failure_ = failure;
  ended_ = true;
  cancel_ = true;  // nobody waits for the answer any more
  changed_.notify_one();
}

}  // namespace verillm
