// Runs a fuzzer over the files of folders (or single files), without libFuzzer: in the tests, so that findings stay repaired, and
// by hand, to look at one with a debugger.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "fuzz/fuzzer.h"

namespace {

constexpr std::uint64_t kMaxInputBytes = std::uint64_t{1} << 20;

// The files of a folder in order, or the file itself.
std::vector<std::filesystem::path> InputsOf(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    int n_inputs = 0;
    for (int i = 1; i < argc; ++i) {
      for (const std::filesystem::path& file : InputsOf(argv[i])) {
        std::printf("%s\n", file.c_str());
        std::fflush(stdout);  // the last line names the input that ended the process
        const std::string input = verillm::ReadFile(file, kMaxInputBytes);
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
        ++n_inputs;
      }
    }
    if (n_inputs > 0) return 0;
    std::fprintf(stderr, "no inputs: name a folder that holds some\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}
