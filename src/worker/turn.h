// Turns of the workers of one host. ggml's threads spin while they wait for one another, so that two computations that share
// cores can take a hundred times as long as one after the other; workers therefore compute in turn. A turn is a lock on a file,
// so a worker that dies gives it up.
#ifndef VERILLM_WORKER_TURN_H_
#define VERILLM_WORKER_TURN_H_

#include <filesystem>
#include <functional>
#include <optional>

#include "base/file.h"

namespace verillm {

// The file that the workers of this user on this host lock: in the cache, under the host's name, since hosts may share the cache.
std::filesystem::path TurnFileOfHost();

// The right to compute, held as long as the object lives.
class Turn {
 public:
  // Waits for the lock on the file `path`, whose folder is made if need be; `waiting` and errors as of FileLock. One that gives
  // up its turn and asks for the next gets it after those who wait already: who waits holds a second lock (`path` with ".next"),
  // and the others queue for that one.
  Turn(const std::filesystem::path& path, const std::function<void()>& waiting);

  double waited_seconds() const { return waited_seconds_; }

 private:
  std::optional<FileLock> lock_;
  double waited_seconds_ = 0;
};

}  // namespace verillm

#endif  // VERILLM_WORKER_TURN_H_
