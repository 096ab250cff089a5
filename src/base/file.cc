#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

// A lock whose caller may give up is tried this often: waiting inside the system call could not be called off.
constexpr std::chrono::milliseconds kRetryTime(10);

[[noreturn]] void ThrowErrno(const fs::path& path, std::string_view action) {
  throw Error(ErrorKind::kIo, fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(errno)));
}

// Owns a file descriptor for the length of a function.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

// Opens a regular file for reading and gives its size.
std::pair<int, std::uint64_t> OpenForReading(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) ThrowErrno(path, "open");
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    ::close(descriptor);
    ThrowErrno(path, "read");
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw Error(ErrorKind::kIo, fmt::format("{}: is not a file", path.string()));
  }
  return {descriptor, static_cast<std::uint64_t>(status.st_size)};
}

}  // namespace

std::string ReadFile(const fs::path& path, std::uint64_t max_bytes) {
  const auto [raw, size] = OpenForReading(path);
  const Descriptor descriptor(raw);
  if (size > max_bytes) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: {} bytes are more than the {} that such a file may have", path.string(), size, max_bytes));
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::read(descriptor.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno(path, "read");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  content.resize(done);
  return content;
}

void WriteFile(const fs::path& path, std::string_view content, Existing existing) {
  PendingFile file(path);
  file.WriteAt(0, std::as_bytes(std::span(content)));
  file.Commit(existing);
}

void WritePrivateFile(const fs::path& path, std::string_view content, Existing existing) {
  PendingFile file(path, PendingFile::Access::kPrivate);
  file.WriteAt(0, std::as_bytes(std::span(content)));
  file.Commit(existing);
}

void MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(ErrorKind::kIo, fmt::format("{}: cannot make the folder: {}", path.string(), error.message()));
  if (::access(path.c_str(), W_OK | X_OK) != 0) ThrowErrno(path, "write to the folder");
}

FileLock::FileLock(const fs::path& path, const std::function<void()>& waiting) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) ThrowErrno(path, "open");
  try {
    while (::flock(descriptor_, waiting ? LOCK_EX | LOCK_NB : LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) ThrowErrno(path, "lock");
      waiting();
      std::this_thread::sleep_for(kRetryTime);
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

FileLock::~FileLock() { ::close(descriptor_); }

MappedFile::MappedFile(const fs::path& path) {
  const auto [raw, size] = OpenForReading(path);
  const Descriptor descriptor(raw);
  size_ = size;
  if (size_ == 0) return;
  data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (data_ == MAP_FAILED) ThrowErrno(path, "map");
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

PendingFile::PendingFile(fs::path path, Access access) : path_(std::move(path)) {
  if (path_.has_parent_path()) MakeFolder(path_.parent_path());
  std::string pattern = path_.string() + ".XXXXXX";
  descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (descriptor_ < 0) ThrowErrno(path_, "write");
  temporary_ = pattern;
  ::fchmod(descriptor_, access == Access::kPublic ? 0644 : 0600);
}

PendingFile::~PendingFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void PendingFile::Fail(std::string_view action) const { ThrowErrno(path_, action); }

void PendingFile::WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail("write");
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void PendingFile::ReadAt(std::uint64_t offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail("read back");
    if (count == 0)
      throw Error(ErrorKind::kIo,
                  fmt::format("{}: cannot read back: the file ends before offset {}", path_.string(), offset + bytes.size()));
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void PendingFile::Truncate(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) Fail("write");
}

void PendingFile::Commit(Existing existing) {
  if (::fsync(descriptor_) != 0) Fail("write");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) Fail("write");
  if (existing == Existing::kKept) {
    // Unlike a renaming, a second name is never given in place of another file. The first one goes with the object.
    if (::link(temporary_.c_str(), path_.c_str()) != 0) Fail("write");
    return;
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) Fail("rename the temporary file");
  temporary_.clear();
}

}  // namespace verillm
