#include "base/digest.h"

#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

// The examples of FIPS 180-2, appendix B, and the digest of the empty string.
constexpr const char* kOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kOfMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

std::string DigestOf(const std::string& text) { return Sha256Hex(std::as_bytes(std::span(text))); }

TEST(Sha256Hex, EqualsTheStandardsExamples) {
  EXPECT_EQ(DigestOf(""), kOfNothing);
  EXPECT_EQ(DigestOf("abc"), kOfAbc);
  EXPECT_EQ(DigestOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(DigestOf(std::string(1'000'000, 'a')), kOfMillionA);
}

TEST(Sha256HexOfFile, EqualsThatOfItsContent) {
  const TestFolder folder;
  WriteFile(folder / "x", std::string(1'000'000, 'a'));
  std::vector<std::uint64_t> progress;
  EXPECT_EQ(Sha256HexOfFile(folder / "x", [&](std::uint64_t done) { progress.push_back(done); }), kOfMillionA);
  EXPECT_THAT(progress, ElementsAre(1'000'000));
}

TEST(Sha256HexOfFile, EmptyFileHasTheDigestOfNothing) {
  const TestFolder folder;
  WriteFile(folder / "x", "");
  std::vector<std::uint64_t> progress;
  EXPECT_EQ(Sha256HexOfFile(folder / "x", [&](std::uint64_t done) { progress.push_back(done); }), kOfNothing);
  EXPECT_THAT(progress, IsEmpty());
}

// 64 MiB and one byte: the digest is fed in two steps. Of sparse zeros, so that the test writes next to nothing.
TEST(Sha256HexOfFile, ReportsEachStepOfALargeFile) {
  const TestFolder folder;
  const std::uint64_t size = (std::uint64_t{64} << 20) + 1;
  PendingFile file(folder / "x");
  file.Truncate(size);
  file.Commit();
  std::vector<std::uint64_t> progress;
  EXPECT_EQ(Sha256HexOfFile(folder / "x", [&](std::uint64_t done) { progress.push_back(done); }),
            "91990977345985aaf03af1358f4f989d7eaf985b58529efb72f613c588f6599a");
  EXPECT_THAT(progress, ElementsAre(size - 1, size));
}

TEST(Sha256HexOfFile, MissingFileIsAnIoError) {
  const TestFolder folder;
  ExpectError([&] { Sha256HexOfFile(folder / "x"); }, ErrorKind::kIo, StartsWith((folder / "x").string() + ": cannot open: "));
}

}  // namespace
}  // namespace verillm
