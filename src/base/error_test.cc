#include "base/error.h"

#include <set>
#include <string>

#include "base/test_support.h"

namespace verillm {
namespace {

constexpr ErrorKind kKinds[] = {ErrorKind::kUsage, ErrorKind::kInput, ErrorKind::kIo, ErrorKind::kWorker, ErrorKind::kCancelled};

TEST(ErrorKind, NamesRoundTripAndDiffer) {
  std::set<std::string_view> names;
  for (const ErrorKind kind : kKinds) {
    EXPECT_EQ(ErrorKindFromName(ErrorKindName(kind)), kind);
    EXPECT_TRUE(names.insert(ErrorKindName(kind)).second) << ErrorKindName(kind);
  }
}

// Workers of other versions send these names.
TEST(ErrorKind, NamesAreFrozen) {
  EXPECT_EQ(ErrorKindName(ErrorKind::kUsage), "usage");
  EXPECT_EQ(ErrorKindName(ErrorKind::kInput), "input");
  EXPECT_EQ(ErrorKindName(ErrorKind::kIo), "io");
  EXPECT_EQ(ErrorKindName(ErrorKind::kWorker), "worker");
  EXPECT_EQ(ErrorKindName(ErrorKind::kCancelled), "cancelled");
}

TEST(ErrorKind, UnknownNameIsAnInputError) {
  ExpectError([] { ErrorKindFromName("disaster"); }, ErrorKind::kInput, "unknown error kind \"disaster\"");
  ExpectError([] { ErrorKindFromName(""); }, ErrorKind::kInput, "unknown error kind \"\"");
}

TEST(Error, SaysKindAndMessage) {
  const Error error(ErrorKind::kIo, "the disk is full");
  EXPECT_EQ(error.kind(), ErrorKind::kIo);
  EXPECT_STREQ(error.what(), "the disk is full");
}

TEST(Error, EachLayerPutsItsContextInFront) {
  const auto inner = [] { throw Error(ErrorKind::kInput, "is no number"); };
  const auto middle = [&] {
    try {
      inner();
    } catch (Error& error) {
      throw error.Within("tensor tokens");
    }
  };
  const auto outer = [&] {
    try {
      middle();
    } catch (Error& error) {
      throw error.Within("a.trace");
    }
  };
  ExpectError(outer, ErrorKind::kInput, "a.trace: tensor tokens: is no number");
}

TEST(ExitCode, TellsWorkersAndInterruptionsFromTheRest) {
  EXPECT_EQ(ExitCode(ErrorKind::kUsage), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kInput), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kIo), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kWorker), 4);
  EXPECT_EQ(ExitCode(ErrorKind::kCancelled), 130);
}

}  // namespace
}  // namespace verillm
