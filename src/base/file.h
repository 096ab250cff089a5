// Files, with errors that name path and cause: reading whole, mapping read-only, writing under a temporary name that becomes the
// real one only when everything is written, so that nobody ever sees half a file, and locks.
#ifndef VERILLM_BASE_FILE_H_
#define VERILLM_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace verillm {

// The content of `path`. Error(kIo) where it cannot be read, Error(kInput) where it is larger than `max_bytes`.
std::string ReadFile(const std::filesystem::path& path, std::uint64_t max_bytes);

// What happens to a file that already has the name of one that is written. Where it is kept, writing is an Error(kIo).
enum class Existing { kReplaced, kKept };

// Writes `content` as `path` (temporary name, then rename), making its folder if need be. Error(kIo).
void WriteFile(const std::filesystem::path& path, std::string_view content, Existing existing = Existing::kReplaced);

// The same for a file that only its owner may read and write.
void WritePrivateFile(const std::filesystem::path& path, std::string_view content, Existing existing);

// Error(kIo) where the folder cannot be made or is not writable; made with its parents if it does not exist.
void MakeFolder(const std::filesystem::path& path);

// An exclusive lock on a file (flock), held as long as the object lives. The kernel gives it up when the process dies, however it
// dies.
class FileLock {
 public:
  // Makes the file if need be, and waits while somebody else holds the lock, another object of this process included. `waiting`,
  // where it is given, is then called every few milliseconds, and may throw to give up. Error(kIo) where the file cannot be
  // opened or locked.
  explicit FileLock(const std::filesystem::path& path, const std::function<void()>& waiting = {});
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

// A file mapped read-only. Error(kIo) where it cannot be opened. The bytes live as long as the object.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// A file being written at random offsets under a temporary name beside `path`; removed again unless Commit() is reached.
class PendingFile {
 public:
  // Others may read the file, but not a private one.
  enum class Access { kPublic, kPrivate };

  explicit PendingFile(std::filesystem::path path, Access access = Access::kPublic);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void WriteAt(std::uint64_t offset, std::span<const std::byte> bytes);
  void ReadAt(std::uint64_t offset, std::span<std::byte> bytes);
  void Truncate(std::uint64_t size);
  // Flushes to disk and gives the file its name. Nothing may be written afterwards.
  void Commit(Existing existing = Existing::kReplaced);

 private:
  [[noreturn]] void Fail(std::string_view action) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

}  // namespace verillm

#endif  // VERILLM_BASE_FILE_H_
