#include "engine/model_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/test_support.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// SHA-256 of "model one" and "model two".
constexpr const char* kDigestOfOne = "726ca901a6141e040fee289c8cd48eedf8bd515dc06bed8e691637fb39261514";
constexpr const char* kDigestOfTwo = "a594df43dbfa60e031497cb1cff09d65f29289ee7af4c6e896a82d064f30f8cd";

// A cache of its own for a test.
struct TestCache {
  TestFolder folder;
  Environment environment{{{"VERILLM_CACHE", (folder / "cache").string()}}};
};

TEST(CacheFolder, FollowsVerillmCacheThenXdgCacheHomeThenHome) {
  const Environment all({{"VERILLM_CACHE", "/a"}, {"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}});
  EXPECT_EQ(CacheFolder(), "/a");
  EXPECT_EQ(ModelFolder(), "/a/models");
  const Environment without_ours({{"VERILLM_CACHE", std::nullopt}});
  EXPECT_EQ(CacheFolder(), "/b/verillm");
  const Environment without_xdg({{"XDG_CACHE_HOME", std::nullopt}});
  EXPECT_EQ(CacheFolder(), "/c/.cache/verillm");
  EXPECT_EQ(ModelFolder(), "/c/.cache/verillm/models");
  const Environment without_home({{"HOME", std::nullopt}});
  ExpectError([] { CacheFolder(); }, ErrorKind::kUsage, AllOf(HasSubstr("VERILLM_CACHE"), HasSubstr("HOME")));
}

TEST(CacheFolder, EmptyVariablesAreAsGoodAsNone) {
  const Environment environment({{"VERILLM_CACHE", ""}, {"XDG_CACHE_HOME", ""}, {"HOME", "/c"}});
  EXPECT_EQ(CacheFolder(), "/c/.cache/verillm");
}

TEST(ReferenceTo, IsDigestAndSize) {
  const TestCache cache;
  const fs::path path = cache.folder / "model.gguf";
  WriteFile(path, "model one");
  std::uint64_t heard = 0;
  const ModelReference reference = ReferenceTo(path, [&](std::uint64_t done, std::uint64_t total) {
    heard = done;
    EXPECT_EQ(total, 9U);
  });
  EXPECT_EQ(reference.digest, kDigestOfOne);
  EXPECT_EQ(reference.file_bytes, 9U);
  EXPECT_EQ(heard, 9U);
}

TEST(ReferenceTo, RemembersTheDigestOfAnUnchangedFile) {
  const TestCache cache;
  const fs::path path = cache.folder / "model.gguf";
  WriteFile(path, "model one");
  ReferenceTo(path);
  bool hashed = false;
  EXPECT_EQ(ReferenceTo(path, [&](std::uint64_t, std::uint64_t) { hashed = true; }).digest, kDigestOfOne);
  EXPECT_FALSE(hashed);
}

// Same length and name; only the time of change tells.
TEST(ReferenceTo, ChangedFileGetsANewDigest) {
  const TestCache cache;
  const fs::path path = cache.folder / "model.gguf";
  WriteFile(path, "model one");
  EXPECT_EQ(ReferenceTo(path).digest, kDigestOfOne);
  const fs::file_time_type before = fs::last_write_time(path);
  WriteFile(path, "model two");
  fs::last_write_time(path, before + std::chrono::seconds(1));  // clocks of file systems may be coarse
  EXPECT_EQ(ReferenceTo(path).digest, kDigestOfTwo);
}

TEST(ReferenceTo, DamagedMemoryIsForgotten) {
  const TestCache cache;
  const fs::path path = cache.folder / "model.gguf";
  WriteFile(path, "model one");
  for (const char* const damaged : {"", "{", "[1, 2]", "\"text\""}) {
    WriteFile(CacheFolder() / "digests.json", damaged);
    EXPECT_EQ(ReferenceTo(path).digest, kDigestOfOne);
  }
}

TEST(ReferenceTo, CacheThatCannotBeWrittenDoesNoHarm) {
  const TestFolder folder;
  WriteFile(folder / "file", "no folder");
  const Environment environment({{"VERILLM_CACHE", (folder / "file").string()}});
  WriteFile(folder / "model.gguf", "model two");
  EXPECT_EQ(ReferenceTo(folder / "model.gguf").digest, kDigestOfTwo);
}

TEST(ReferenceTo, MissingFileIsAnIoErrorThatNamesIt) {
  const TestCache cache;
  ExpectError([&] { ReferenceTo(cache.folder / "none.gguf"); }, ErrorKind::kIo, HasSubstr("none.gguf"));
}

TEST(FindModel, FindsAFileByContentWhateverItsName) {
  const TestCache cache;
  WriteFile(cache.folder / "a" / "same size.gguf", "model one");
  WriteFile(cache.folder / "b" / "other size.gguf", "a longer model");
  WriteFile(cache.folder / "b" / "renamed", "model two");
  const std::vector<fs::path> folders = {cache.folder / "missing", cache.folder / "a", cache.folder / "b"};
  EXPECT_EQ(FindModel(folders, {kDigestOfTwo, 9}), cache.folder / "b" / "renamed");
  EXPECT_EQ(FindModel(folders, {kDigestOfOne, 9}), cache.folder / "a" / "same size.gguf");
}

TEST(FindModel, HashesNothingWhereItRemembersWhichFileItIs) {
  const TestCache cache;
  for (const char* name : {"a", "b", "c", "d"}) WriteFile(cache.folder / "models" / name, "model one");
  WriteFile(cache.folder / "models" / "e", "model two");
  ReferenceTo(cache.folder / "models" / "e");
  const auto hashed = [](std::uint64_t, std::uint64_t) { ADD_FAILURE() << "a file was hashed"; };
  EXPECT_EQ(FindModel({cache.folder / "models"}, {kDigestOfTwo, 9}, hashed), cache.folder / "models" / "e");
}

TEST(FindModel, NamesTheFoldersWhereThereIsNone) {
  const TestCache cache;
  const fs::path below = cache.folder / "a" / "below";
  WriteFile(below / "model.gguf", "model two");
  const fs::path searched = cache.folder / "a";
  const fs::path missing = cache.folder / "missing";
  ExpectError(
      [&] {
        FindModel({searched, missing}, {kDigestOfTwo, 9});
      },
      ErrorKind::kInput,
      AllOf(HasSubstr(kDigestOfTwo), HasSubstr(searched.string() + ", " + missing.string()), HasSubstr("--models")));
}

TEST(ResolveModel, PathOfAFileIsTakenAsItIs) {
  const TestCache cache;
  const std::string path = (cache.folder / "model.gguf").string();
  WriteFile(path, "model one");
  EXPECT_EQ(ResolveModel(path, [](std::string_view) { ADD_FAILURE() << "nothing to prepare"; }), path);
}

TEST(ResolveModel, NameOfAPreparedModelIsItsFile) {
  const TestCache cache;
  WriteFile(ModelFolder() / "SmolLM2-135M-Instruct-F16.gguf", "as if prepared");
  EXPECT_EQ(ResolveModel("smollm2-135m", [](std::string_view) { ADD_FAILURE() << "nothing to prepare"; }),
            ModelFolder() / "SmolLM2-135M-Instruct-F16.gguf");
}

TEST(ResolveModel, UnknownPathIsAnIoErrorThatListsTheNames) {
  const TestCache cache;
  ExpectError([] { ResolveModel("no such model", [](std::string_view) {}); }, ErrorKind::kIo,
              AllOf(HasSubstr("no such model: "), HasSubstr("smollm2-135m, gemma3-270m")));
}

TEST(GetModel, UnknownNameIsAUsageErrorThatListsTheNames) {
  const TestCache cache;
  ExpectError([] { GetModel("no-model", [](std::string_view) {}); }, ErrorKind::kUsage,
              AllOf(HasSubstr("no-model"), HasSubstr("smollm2-135m, gemma3-270m")));
}

}  // namespace
}  // namespace verillm
