#include "base/file.h"

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "base/coding.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::string TextOf(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(ReadFile, GivesWhatWasWritten) {
  const TestFolder folder;
  const std::string content("a\0b\r\n\xff", 6);
  WriteFile(folder / "x", content);
  EXPECT_EQ(ReadFile(folder / "x", 6), content);
}

TEST(ReadFile, EmptyFileIsAnEmptyString) {
  const TestFolder folder;
  WriteFile(folder / "x", "");
  EXPECT_EQ(ReadFile(folder / "x", 0), "");
}

TEST(ReadFile, FileBeyondTheLimitIsAnInputError) {
  const TestFolder folder;
  WriteFile(folder / "x", "12345");
  EXPECT_EQ(ReadFile(folder / "x", 5), "12345");
  ExpectError([&] { ReadFile(folder / "x", 4); }, ErrorKind::kInput,
              (folder / "x").string() + ": 5 bytes are more than the 4 that such a file may have");
}

TEST(ReadFile, MissingFileNamesPathAndCause) {
  const TestFolder folder;
  ExpectError([&] { ReadFile(folder / "x", 10); }, ErrorKind::kIo,
              (folder / "x").string() + ": cannot open: No such file or directory");
}

TEST(ReadFile, FolderIsAnIoError) {
  const TestFolder folder;
  ExpectError([&] { ReadFile(folder.path(), 10); }, ErrorKind::kIo, folder.path().string() + ": is not a file");
}

TEST(WriteFile, ReplacesAFileAndLeavesNothingElse) {
  const TestFolder folder;
  WriteFile(folder / "x", "a long first version");
  WriteFile(folder / "x", "short");
  EXPECT_EQ(ReadFile(folder / "x", 100), "short");
  EXPECT_THAT(folder.Names(), ElementsAre("x"));
}

TEST(WriteFile, MakesTheFolder) {
  const TestFolder folder;
  WriteFile(folder / "a/b/x", "content");
  EXPECT_EQ(ReadFile(folder / "a/b/x", 100), "content");
}

TEST(WriteFile, IsReadableByOthers) {
  const TestFolder folder;
  WriteFile(folder / "x", "content");
  EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), std::filesystem::perms{0644});
}

TEST(WriteFile, FolderOfThatNameIsAnIoErrorAndLeavesNothing) {
  const TestFolder folder;
  MakeFolder(folder / "x/y");
  ExpectError([&] { WriteFile(folder / "x", "content"); }, ErrorKind::kIo,
              StartsWith((folder / "x").string() + ": cannot rename"));
  EXPECT_THAT(folder.Names(), ElementsAre("x"));
}

TEST(WritePrivateFile, IsTheOwnersAlone) {
  const TestFolder folder;
  WritePrivateFile(folder / "x", "content", Existing::kKept);
  EXPECT_EQ(ReadFile(folder / "x", 100), "content");
  EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), std::filesystem::perms{0600});
  EXPECT_THAT(folder.Names(), ElementsAre("x"));
}

TEST(WritePrivateFile, KeepsOrReplacesAFileAsAsked) {
  const TestFolder folder;
  WriteFile(folder / "x", "old");
  ExpectError([&] { WritePrivateFile(folder / "x", "new", Existing::kKept); }, ErrorKind::kIo,
              (folder / "x").string() + ": cannot write: File exists");
  EXPECT_EQ(ReadFile(folder / "x", 100), "old");
  EXPECT_THAT(folder.Names(), ElementsAre("x"));

  WritePrivateFile(folder / "x", "new", Existing::kReplaced);
  EXPECT_EQ(ReadFile(folder / "x", 100), "new");
  EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), std::filesystem::perms{0600});
}

TEST(WritePrivateFile, KeepsALinkThatPointsNowhere) {
  const TestFolder folder;
  std::filesystem::create_symlink(folder / "target", folder / "x");
  ExpectError([&] { WritePrivateFile(folder / "x", "new", Existing::kKept); }, ErrorKind::kIo, HasSubstr("File exists"));
  EXPECT_FALSE(std::filesystem::exists(folder / "target"));
}

TEST(MakeFolder, MakesParentsAndKeepsWhatExists) {
  const TestFolder folder;
  MakeFolder(folder / "a/b/c");
  WriteFile(folder / "a/b/c/x", "content");
  MakeFolder(folder / "a/b/c");
  EXPECT_EQ(ReadFile(folder / "a/b/c/x", 100), "content");
}

TEST(MakeFolder, BelowAFileIsAnIoError) {
  const TestFolder folder;
  WriteFile(folder / "x", "content");
  ExpectError([&] { MakeFolder(folder / "x/y"); }, ErrorKind::kIo,
              StartsWith((folder / "x/y").string() + ": cannot make the folder: "));
  ExpectError([&] { MakeFolder(folder / "x"); }, ErrorKind::kIo, StartsWith((folder / "x").string() + ": "));
}

TEST(PendingFile, AppearsOnlyWhenCommitted) {
  const TestFolder folder;
  PendingFile file(folder / "x");
  file.WriteAt(0, BytesOf("content"));
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  file.Commit();
  EXPECT_EQ(ReadFile(folder / "x", 100), "content");
  EXPECT_THAT(folder.Names(), ElementsAre("x"));
}

TEST(PendingFile, IsRemovedUnlessCommitted) {
  const TestFolder folder;
  {
    PendingFile file(folder / "x");
    file.WriteAt(0, BytesOf("content"));
    EXPECT_THAT(folder.Names(), ElementsAre(StartsWith("x.")));
  }
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(PendingFile, UncommittedOneLeavesTheOldFileAlone) {
  const TestFolder folder;
  WriteFile(folder / "x", "old");
  { PendingFile(folder / "x").WriteAt(0, BytesOf("new")); }
  EXPECT_EQ(ReadFile(folder / "x", 100), "old");
}

TEST(PendingFile, TwoOfOneNameDoNotDisturbEachOther) {
  const TestFolder folder;
  PendingFile first(folder / "x");
  PendingFile second(folder / "x");
  first.WriteAt(0, BytesOf("first"));
  second.WriteAt(0, BytesOf("second"));
  second.Commit();
  EXPECT_EQ(ReadFile(folder / "x", 100), "second");
  first.Commit();
  EXPECT_EQ(ReadFile(folder / "x", 100), "first");
}

TEST(PendingFile, WritesAndReadsAtAnyOffset) {
  const TestFolder folder;
  PendingFile file(folder / "x");
  file.WriteAt(4, BytesOf("tail"));
  file.WriteAt(0, BytesOf("he"));
  std::array<std::byte, 6> read{};
  file.ReadAt(0, read);
  EXPECT_EQ(TextOf(read), std::string("he\0\0ta", 6));
  file.Truncate(6);
  file.Commit();
  EXPECT_EQ(ReadFile(folder / "x", 100), std::string("he\0\0ta", 6));
}

TEST(PendingFile, TruncateAlsoExtendsWithZeros) {
  const TestFolder folder;
  PendingFile file(folder / "x");
  file.WriteAt(0, BytesOf("ab"));
  file.Truncate(4);
  file.Commit();
  EXPECT_EQ(ReadFile(folder / "x", 100), std::string("ab\0\0", 4));
}

TEST(PendingFile, ReadingBeyondTheEndIsAnIoError) {
  const TestFolder folder;
  PendingFile file(folder / "x");
  file.WriteAt(0, BytesOf("abc"));
  std::array<std::byte, 4> read{};
  ExpectError([&] { file.ReadAt(0, read); }, ErrorKind::kIo, HasSubstr("the file ends"));
}

TEST(FileLock, ExcludesOthersAsLongAsItLives) {
  const TestFolder folder;
  const auto try_lock = [&] { FileLock(folder / "x", [] { throw Error(ErrorKind::kCancelled, "it is taken"); }); };
  {
    const FileLock lock(folder / "x");
    const FileLock of_another_file(folder / "y");
    ExpectError(try_lock, ErrorKind::kCancelled, "it is taken");
  }
  EXPECT_NO_THROW(try_lock());
  EXPECT_THAT(folder.Names(), ElementsAre("x", "y"));
  EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), std::filesystem::perms{0600});
}

TEST(FileLock, WaitsUntilItIsFree) {
  const TestFolder folder;
  auto first = std::make_unique<FileLock>(folder / "x");
  int n_calls = 0;
  auto second = std::make_unique<FileLock>(folder / "x", [&] {
    if (++n_calls == 3) first.reset();
  });
  EXPECT_EQ(n_calls, 3);
  // Without a function to call it waits in the system.
  std::atomic<bool> locked = false;
  std::thread third([&] {
    const FileLock lock(folder / "x");
    locked = true;
  });
  EXPECT_FALSE(locked);
  second.reset();
  third.join();
  EXPECT_TRUE(locked);
}

TEST(FileLock, FileThatCannotBeOpenedIsAnIoError) {
  const TestFolder folder;
  ExpectError([&] { FileLock(folder.path()); }, ErrorKind::kIo, folder.path().string() + ": cannot open: Is a directory");
  ExpectError([&] { FileLock(folder / "x/y"); }, ErrorKind::kIo, StartsWith((folder / "x/y").string() + ": cannot open: "));
}

TEST(MappedFile, ShowsTheContent) {
  const TestFolder folder;
  WriteFile(folder / "x", "content");
  const MappedFile file(folder / "x");
  EXPECT_EQ(TextOf(file.bytes()), "content");
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  const TestFolder folder;
  WriteFile(folder / "x", "");
  const MappedFile file(folder / "x");
  EXPECT_TRUE(file.bytes().empty());
}

TEST(MappedFile, MissingFileAndFolderAreIoErrors) {
  const TestFolder folder;
  ExpectError([&] { MappedFile{folder / "x"}; }, ErrorKind::kIo, StartsWith((folder / "x").string() + ": cannot open: "));
  ExpectError([&] { MappedFile{folder.path()}; }, ErrorKind::kIo, folder.path().string() + ": is not a file");
}

}  // namespace
}  // namespace verillm
