// What the fuzzers share. The rule for all of them: code that reads a stranger's bytes may throw Error and nothing else, and what
// it does accept must hold together.
#ifndef VERILLM_FUZZ_FUZZER_H_
#define VERILLM_FUZZ_FUZZER_H_

#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

// Called with each input, by libFuzzer or by replay.cc.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace verillm {

inline std::string_view Text(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// Whether `call` came to its end without an Error. Every other exception ends the process, which is a finding.
template <typename Call>
bool Succeeds(Call call) {
  try {
    call();
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Ends the process unless `condition`, which has to hold for every input.
inline void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Bytes as an open file, for code that reads from a path or a descriptor. It has no name in any folder, so that nothing is left
// behind when the process ends in the middle.
class InputFile {
 public:
  explicit InputFile(std::string_view content) : file_(std::tmpfile()) {
    Require(file_ != nullptr && std::fwrite(content.data(), 1, content.size(), file_) == content.size(),
            "a temporary file is written");
    Rewind();
  }
  ~InputFile() { std::fclose(file_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return ::fileno(file_); }
  std::filesystem::path path() const { return "/dev/fd/" + std::to_string(descriptor()); }
  // Back to the beginning, with all that was written in the file.
  void Rewind() {
    std::fflush(file_);
    ::lseek(descriptor(), 0, SEEK_SET);
  }

 private:
  std::FILE* file_;
};

}  // namespace verillm

#endif  // VERILLM_FUZZ_FUZZER_H_
