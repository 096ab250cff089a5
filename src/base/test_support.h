// For the tests of every module: expecting an Error, a folder that is gone when the test is over, and environment variables that
// are then as before.
#ifndef VERILLM_BASE_TEST_SUPPORT_H_
#define VERILLM_BASE_TEST_SUPPORT_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace verillm {

// Expects `call` to throw an Error of that kind whose message matches (a string: is equal).
template <typename Call, typename Matcher>
void ExpectError(Call call, ErrorKind kind, const Matcher& message) {
  try {
    call();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(ErrorKindName(error.kind()), ErrorKindName(kind)) << error.what();
    EXPECT_THAT(std::string(error.what()), message);
  } catch (const std::exception& other) {
    ADD_FAILURE() << "not an Error: " << other.what();
  }
}

// A new folder under testing::TempDir(), removed with all it holds.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = testing::TempDir() + "/verillm.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw Error(ErrorKind::kIo, pattern + ": cannot make the folder");
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  // Names of the files and folders in it, in order.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path path_;
};

// `n` nearly normal values, sums of twelve uniform ones less their mean: the same on every machine, unlike the library's.
inline std::vector<float> NearlyNormal(std::size_t n, std::uint64_t seed) {
  std::vector<float> values;
  while (values.size() < n) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      sum += static_cast<double>(seed >> 11) * 0x1p-53;
    }
    values.push_back(static_cast<float>(sum));
  }
  return values;
}

// Sets environment variables (no value: unsets them) until the test is over.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::optional<std::string>>& variables) {
    for (const auto& [name, value] : variables) {
      const char* const before = ::getenv(name.c_str());
      before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
      Set(name, value);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) Set(name, value);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static void Set(const std::string& name, const std::optional<std::string>& value) {
    value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }

  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace verillm

#endif  // VERILLM_BASE_TEST_SUPPORT_H_
