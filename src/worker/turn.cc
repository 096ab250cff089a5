#include "worker/turn.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "engine/model_store.h"

namespace verillm {

std::filesystem::path TurnFileOfHost() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return CacheFolder() / fmt::format("turn.{}", host.data());
}

Turn::Turn(const std::filesystem::path& path, const std::function<void()>& waiting) {
  const auto start = std::chrono::steady_clock::now();
  MakeFolder(path.parent_path());
  const FileLock next(path.string() + ".next", waiting);
  lock_.emplace(path, waiting);
  waited_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace verillm
