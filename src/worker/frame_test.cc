#include "worker/frame.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kEndsInside = "the stream ends inside a frame";

// Both ends of a pipe.
class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_.data()) != 0) throw Error(ErrorKind::kIo, "cannot make a pipe");
  }
  ~Pipe() {
    CloseReading();
    CloseWriting();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  void CloseReading() { Close(ends_[0]); }
  void CloseWriting() { Close(ends_[1]); }
  void Write(const std::string& bytes) const {
    ASSERT_EQ(::write(writing(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

 private:
  static void Close(int& end) {
    if (end >= 0) ::close(std::exchange(end, -1));
  }
  std::array<int, 2> ends_ = {-1, -1};
};

std::string Prefix(std::uint32_t length) {
  std::array<std::byte, 4> bytes;
  StoreLittleEndian(length, bytes.data());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string Frame(const std::string& content) { return Prefix(static_cast<std::uint32_t>(content.size())) + content; }

// Reading `bytes`, which end the stream, must fail with this message.
template <typename Matcher>
void ExpectUnreadable(const std::string& bytes, const Matcher& message) {
  Pipe pipe;
  pipe.Write(bytes);
  pipe.CloseWriting();
  ExpectError([&] { ReadFrame(pipe.reading()); }, ErrorKind::kWorker, message);
}

TEST(Frame, RoundTripsThroughAPipe) {
  const std::vector<std::byte> bytes = {std::byte{0}, std::byte{0xff}, std::byte{'x'}};
  const Json messages[] = {
      Json::object(),
      {{"type", "hello"}},
      {{"numbers", {0, -1, 1.5, ~std::uint64_t{0}}},
       {"flag", true},
       {"nothing", nullptr},
       {"map", {{"rows", BytesToJson(bytes)}}}},
  };
  Pipe pipe;
  for (const Json& message : messages) WriteFrame(pipe.writing(), message);
  pipe.CloseWriting();
  for (const Json& message : messages) EXPECT_EQ(ReadFrame(pipe.reading()), message);
  EXPECT_EQ(ReadFrame(pipe.reading()), std::nullopt);
}

TEST(Frame, BytesOnTheStreamAreFrozen) {
  Pipe pipe;
  WriteFrame(pipe.writing(), {{"type", "cancel"}});
  std::array<char, 64> bytes{};
  const ssize_t count = ::read(pipe.reading(), bytes.data(), bytes.size());
  // A map of one pair of strings (RFC 8949: a1, 64 "type", 66 "cancel").
  EXPECT_EQ(std::string(bytes.data(), static_cast<std::size_t>(count)), std::string("\x0d\0\0\0\xa1\x64type\x66"
                                                                                    "cancel",
                                                                                    17));
}

TEST(Frame, LargerThanThePipeRoundTrips) {
  const Json message = {{"rows", BytesToJson(std::vector<std::byte>(3'000'000, std::byte{7}))}};
  Pipe pipe;
  std::thread writer([&] { WriteFrame(pipe.writing(), message); });
  const std::optional<Json> received = ReadFrame(pipe.reading());
  writer.join();
  EXPECT_TRUE(received == message);
}

// Texts are whatever tokens decode to; half a character is common.
TEST(Frame, StringsThatAreNoUtf8RoundTrip) {
  Pipe pipe;
  WriteFrame(pipe.writing(), {{"message", "\xff\xe4"}});
  EXPECT_EQ(ReadFrame(pipe.reading())->at("message").get<std::string>(), "\xff\xe4");
}

TEST(ReadFrame, EndBetweenFramesIsNoError) {
  Pipe pipe;
  pipe.CloseWriting();
  EXPECT_EQ(ReadFrame(pipe.reading()), std::nullopt);
}

TEST(ReadFrame, EndInsideAFrameIsAnError) {
  ExpectUnreadable("\x01", kEndsInside);
  ExpectUnreadable(std::string("\x01\0\0", 3), kEndsInside);
  ExpectUnreadable(Prefix(1), kEndsInside);
  ExpectUnreadable(Prefix(5) + "\xa1\x61x", kEndsInside);
}

// The writing end stays open: were anything read beyond the prefix, this would never end.
TEST(ReadFrame, LengthBeyondTheLimitFailsAtOnce) {
  for (const std::uint32_t length : {kMaxFrameBytes + 1, ~std::uint32_t{0}}) {
    Pipe pipe;
    pipe.Write(Prefix(length));
    ExpectError(
        [&] { ReadFrame(pipe.reading()); }, ErrorKind::kWorker,
        AllOf(HasSubstr("a frame of " + std::to_string(length) + " bytes"), HasSubstr("more than the 268435456 allowed")));
  }
}

// The most memory that this process ever had, in a unit that differs between systems.
long PeakMemory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(ReadFrame, LengthThatIsOnlyClaimedTakesNoMemory) {
  const long before = PeakMemory();
  ExpectUnreadable(Prefix(kMaxFrameBytes) + "x", kEndsInside);
  EXPECT_LT(PeakMemory(), 2 * before);
}

TEST(ReadFrame, GreetingOfALoginShellIsShown) {
  ExpectUnreadable("Welcome to Ubuntu", HasSubstr("(its first four: \"Welc\")"));
  ExpectUnreadable("a\tb\x7f", HasSubstr("(its first four: \"a.b.\")"));
}

TEST(ReadFrame, ContentThatIsNoCborIsAnError) {
  // Cut short, two values, a reserved byte, a map that lacks its value, a key that is no string, a length beyond all memory.
  for (const std::string& content :
       {std::string("\xa1\x61x"), std::string("\xa0\xa0"), std::string("\xa1\x61x\x1c"), std::string("\xa1"),
        std::string("\xa1\x01\x01"), std::string("\xa1\x61x\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        std::string("\xa1\x61x\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"), std::string("\xbb\xff\xff\xff\xff\xff\xff\xff\xff")}) {
    ExpectUnreadable(Frame(content), HasSubstr("received a frame that is no CBOR map"));
  }
}

TEST(ReadFrame, ContentThatIsNoMapIsAnError) {
  ExpectUnreadable(Frame(""), "received a frame that is no CBOR map (\"...\")");
  ExpectUnreadable(Frame("\x80"), HasSubstr("received a frame that is no CBOR map"));  // []
  ExpectUnreadable(Frame("\x65hello"), "received a frame that is no CBOR map (\"ehello...\")");
  ExpectUnreadable(Frame("a frame of plain text"), "received a frame that is no CBOR map (\"a frame of plain...\")");
}

TEST(ReadFrame, NestingThatWouldOverflowTheStackIsAnError) {
  const std::string content(60'000, '\x81');  // arrays of one array
  ExpectUnreadable(Frame(content), HasSubstr("received a frame that is no CBOR map"));
  Json nested = "x";
  for (int i = 1; i < kMaxJsonDepth; ++i) nested = Json{{"x", nested}};
  Pipe pipe;
  WriteFrame(pipe.writing(), nested);
  EXPECT_EQ(ReadFrame(pipe.reading()), nested);
}

TEST(ReadFrame, KeysThatWouldTakeTooLongAreAnError) {
  const auto frame_of = [](std::size_t n_keys) {
    std::string content = "\xbf";  // a map without a length
    for (std::size_t i = 0; i < n_keys; ++i) {
      const std::string key = std::to_string(i);
      content += static_cast<char>(0x60 + key.size());
      content += key + "\x01";
    }
    return Frame(content + "\xff");
  };
  Pipe pipe;
  pipe.Write(frame_of(kMaxJsonKeys));
  EXPECT_EQ(ReadFrame(pipe.reading())->size(), kMaxJsonKeys);
  ExpectUnreadable(frame_of(kMaxJsonKeys + 1), HasSubstr("received a frame that is no CBOR map"));
}

TEST(ReadFrame, CallerMayGiveUpInsideAFrame) {
  Pipe pipe;
  pipe.Write(std::string("\x10\0", 2));
  int n_calls = 0;
  const auto wait = [&] {
    if (++n_calls == 2) throw Error(ErrorKind::kCancelled, "enough");
  };
  ExpectError([&] { ReadFrame(pipe.reading(), wait); }, ErrorKind::kCancelled, "enough");
}

TEST(WriteFrame, ReaderThatIsGoneIsAnError) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  pipe.CloseReading();
  ExpectError([&] { WriteFrame(pipe.writing(), Json::object()); }, ErrorKind::kWorker, "cannot send: Broken pipe");
  std::signal(SIGPIPE, before);
}

TEST(WaitReadable, TellsBytesAndTheEndFromSilence) {
  Pipe pipe;
  EXPECT_FALSE(WaitReadable(pipe.reading(), std::chrono::milliseconds(0)));
  pipe.Write("x");
  EXPECT_TRUE(WaitReadable(pipe.reading(), std::chrono::milliseconds(0)));
  char byte;
  ASSERT_EQ(::read(pipe.reading(), &byte, 1), 1);
  EXPECT_FALSE(WaitReadable(pipe.reading(), std::chrono::milliseconds(0)));
  pipe.CloseWriting();
  EXPECT_TRUE(WaitReadable(pipe.reading(), std::chrono::milliseconds(0)));
}

TEST(BytesFromJson, GivesTheBytesOfAByteStringOnly) {
  const std::vector<std::byte> bytes = {std::byte{0}, std::byte{0xff}};
  const Json json = BytesToJson(bytes);
  const auto back = BytesFromJson(json);
  EXPECT_TRUE(std::equal(back.begin(), back.end(), bytes.begin(), bytes.end()));
  EXPECT_TRUE(BytesFromJson(BytesToJson({})).empty());
  for (const Json& other : {Json("text"), Json(1), Json::array(), Json(nullptr)}) {
    ExpectError([&] { BytesFromJson(other); }, ErrorKind::kWorker, "received something else where a byte string belongs");
  }
}

}  // namespace
}  // namespace verillm
