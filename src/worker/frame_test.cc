#include "worker/frame.h"

#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/test_support.h"

namespace verillm {
namespace {

using testing::AllOf;
using testing::EndsWith;
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

std::string Prefix(std::uint32_t head, std::uint32_t payload) {
  std::array<std::byte, 8> bytes;
  StoreLittleEndian(head, bytes.data());
  StoreLittleEndian(payload, bytes.data() + 4);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A frame of that head and nothing else.
std::string Alone(const std::string& head) { return Prefix(static_cast<std::uint32_t>(head.size()), 0) + head; }

// Reading `bytes`, which end the stream, must fail with this message.
template <typename Matcher>
void ExpectUnreadable(const std::string& bytes, const Matcher& message) {
  Pipe pipe;
  pipe.Write(bytes);
  pipe.CloseWriting();
  ExpectError([&] { ReadFrame(pipe.reading()); }, ErrorKind::kWorker, message);
}

TEST(Frame, RoundTripsThroughAPipe) {
  const Frame frames[] = {
      {.head = Json::object()},
      {.head = {{"type", "hello"}}},
      {.head = {{"numbers", {0, -1, 1.5, 0.1, ~std::uint64_t{0}}}, {"flag", true}, {"nothing", nullptr}, {"map", {{"x", "y"}}}},
       .payload = {std::byte{0}, std::byte{0xff}, std::byte{'x'}}},
      WithText(Json::object(), "\xff text"),
  };
  Pipe pipe;
  for (const Frame& frame : frames) WriteFrame(pipe.writing(), frame.head, frame.payload);
  pipe.CloseWriting();
  for (const Frame& frame : frames) EXPECT_EQ(ReadFrame(pipe.reading()), frame);
  EXPECT_EQ(ReadFrame(pipe.reading()), std::nullopt);
}

TEST(Frame, BytesOnTheStreamAreFrozen) {
  Pipe pipe;
  WriteFrame(pipe.writing(), {{"type", "rows"}, {"point", "8"}}, std::as_bytes(std::span("\x01\xff", 2)));
  std::array<char, 64> bytes{};
  const ssize_t count = ::read(pipe.reading(), bytes.data(), bytes.size());
  EXPECT_EQ(std::string(bytes.data(), static_cast<std::size_t>(count)),
            std::string("\x1b\0\0\0\x02\0\0\0", 8) + R"({"type":"rows","point":"8"})" + "\x01\xff");
}

TEST(Frame, LargerThanThePipeRoundTrips) {
  const Frame frame{.head = {{"text", std::string(300'000, 'x')}}, .payload = std::vector<std::byte>(3'000'000, std::byte{7})};
  Pipe pipe;
  std::thread writer([&] { WriteFrame(pipe.writing(), frame.head, frame.payload); });
  const std::optional<Frame> received = ReadFrame(pipe.reading());
  writer.join();
  EXPECT_TRUE(received == frame);
}

// File names and what systems report are whatever bytes they are.
TEST(Frame, TextsOfTheHeadThatAreNoUtf8AreMadeSo) {
  Pipe pipe;
  WriteFrame(pipe.writing(), {{"message", "\xff!"}});
  EXPECT_EQ(ReadFrame(pipe.reading())->head.at("message"), "\ufffd!");
}

TEST(Frame, TextBesideTheHeadKeepsItsBytes) {
  const std::string text("half a character \xe4\xb8\0", 20);
  EXPECT_EQ(TextOf(WithText({{"type", "done"}}, text)), text);
  EXPECT_EQ(TextOf(WithText({{"type", "done"}}, "")), "");
}

TEST(Frame, PayloadWhereNoneBelongsIsRefused) {
  const Frame alone{.head = {{"type", "done"}, {"x", 1}}};
  EXPECT_EQ(FieldsWithoutPayload(alone, "reply").Get<int>("x"), 1);
  EXPECT_NO_THROW(RefusePayload(alone, "reply"));
  const Frame loaded = WithText(alone.head, "abc");
  ExpectError([&] { RefusePayload(loaded, "reply"); }, ErrorKind::kInput, "reply: has a payload of 3 bytes where none belongs");
  ExpectError([&] { FieldsWithoutPayload(loaded, "reply"); }, ErrorKind::kInput, HasSubstr("where none belongs"));
}

TEST(ReadFrame, EndBetweenFramesIsNoError) {
  Pipe pipe;
  pipe.CloseWriting();
  EXPECT_EQ(ReadFrame(pipe.reading()), std::nullopt);
}

TEST(ReadFrame, EndInsideAFrameIsAnError) {
  const std::string whole = Prefix(2, 3) + "{}abc";
  for (std::size_t length = 1; length < whole.size(); ++length) ExpectUnreadable(whole.substr(0, length), kEndsInside);
}

// The writing end stays open: were anything read beyond the prefix, this would never end.
TEST(ReadFrame, LengthsBeyondTheLimitsFailAtOnce) {
  constexpr std::uint32_t kMost = ~std::uint32_t{0};
  const std::pair<std::uint32_t, std::uint32_t> lengths[] = {
      {kMaxHeadBytes + 1, 0}, {2, kMaxPayloadBytes + 1}, {kMost, 0}, {2, kMost}, {kMost, kMost}};
  for (const auto& [head, payload] : lengths) {
    Pipe pipe;
    pipe.Write(Prefix(head, payload));
    ExpectError([&] { ReadFrame(pipe.reading()); }, ErrorKind::kWorker,
                AllOf(HasSubstr("a frame of " + std::to_string(head) + " + " + std::to_string(payload) + " bytes"),
                      HasSubstr("more than the 16777216 + 268435456 allowed")));
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
  ExpectUnreadable(Prefix(2, kMaxPayloadBytes) + "{}x", kEndsInside);
  EXPECT_LT(PeakMemory(), 2 * before);
}

TEST(ReadFrame, GreetingOfALoginShellIsShown) {
  ExpectUnreadable("Welcome to Ubuntu", HasSubstr("(it begins \"Welcome \")"));
  ExpectUnreadable("a\tb\x7f and so on", HasSubstr("(it begins \"a.b. and\")"));
}

TEST(ReadFrame, FrameOfAnEarlierProtocolIsNamedAsThat) {
  ExpectUnreadable("\x0c" + std::string("\0\0\0\xa1", 4) + "dtypeehello", HasSubstr("another version of verillm"));
}

TEST(ReadFrame, HeadThatIsNoJsonObjectIsAnError) {
  for (const std::string& head : {std::string(), std::string("{\"x\":"), std::string("{} {}"), std::string("{\"x\":1e999}"),
                                  std::string("{x:1}"), std::string("{}\0", 3), std::string("\xa1\x61x\x01")}) {
    ExpectUnreadable(Alone(head), HasSubstr("received a frame that cannot be read: the head: "));
  }
  for (const char* head : {"[]", "\"hello\"", "null", "1"}) {
    ExpectUnreadable(Alone(head), HasSubstr("received a frame that cannot be read: the head is no JSON object"));
  }
  ExpectUnreadable(Alone("a frame of plain text and more"), EndsWith("(it begins \"a frame of plain text an\")"));
  ExpectUnreadable(Alone(R"({"x":1,"x":2})"), HasSubstr("key \"x\" stands there twice"));
}

// The stream need not end: a damaged head is seen before its payload is waited for.
TEST(ReadFrame, DamagedHeadFailsBeforeThePayloadIsRead) {
  Pipe pipe;
  pipe.Write(Prefix(2, 1000) + "no");
  ExpectError([&] { ReadFrame(pipe.reading()); }, ErrorKind::kWorker, HasSubstr("cannot be read"));
}

TEST(ReadFrame, NestingIsBounded) {
  ExpectUnreadable(Alone("{\"x\":" + std::string(20'000, '[') + std::string(20'000, ']') + "}"),
                   HasSubstr("nested more than 32"));
  Json nested = "x";
  for (int i = 0; i < kMaxJsonDepth; ++i) nested = Json{{"x", nested}};
  Pipe pipe;
  WriteFrame(pipe.writing(), nested);
  EXPECT_EQ(ReadFrame(pipe.reading())->head, nested);
}

// A frame of kMaxHeadBytes could hold a million.
TEST(ReadFrame, KeysThatWouldTakeTooLongAreAnError) {
  const auto head_of = [](std::size_t n_keys) {
    std::string head = "{\"0\":1";
    for (std::size_t i = 1; i < n_keys; ++i) head += ",\"" + std::to_string(i) + "\":1";
    return Alone(head + "}");
  };
  Pipe pipe;
  pipe.Write(head_of(kMaxJsonKeys));
  EXPECT_EQ(ReadFrame(pipe.reading())->head.size(), kMaxJsonKeys);
  ExpectUnreadable(head_of(kMaxJsonKeys + 1), HasSubstr("more than 4096 keys"));
}

TEST(ReadFrame, CallerMayGiveUpInsideAFrame) {
  for (const std::string& begun : {std::string("\x10\0", 2), Prefix(2, 4), Prefix(2, 4) + "{}ab"}) {
    Pipe pipe;
    pipe.Write(begun);
    const auto wait = [&] {
      if (!WaitReadable(pipe.reading(), std::chrono::milliseconds(0))) throw Error(ErrorKind::kCancelled, "enough");
    };
    ExpectError([&] { ReadFrame(pipe.reading(), wait); }, ErrorKind::kCancelled, "enough");
  }
}

TEST(WriteFrame, CallerMayGiveUpInsideAFrame) {
  Pipe pipe;
  const auto wait = [&] {
    if (!WaitWritable(pipe.writing(), std::chrono::milliseconds(0))) throw Error(ErrorKind::kCancelled, "enough");
  };
  const std::vector<std::byte> payload(10'000'000);
  ExpectError([&] { WriteFrame(pipe.writing(), Json::object(), payload, wait); }, ErrorKind::kCancelled, "enough");
}

TEST(WriteFrame, ReaderThatIsGoneIsAnError) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  pipe.CloseReading();
  ExpectError([&] { WriteFrame(pipe.writing(), Json::object()); }, ErrorKind::kWorker, "cannot send: Broken pipe");
  std::signal(SIGPIPE, before);
}

TEST(WriteFrame, WhatIsTooLongIsNotBegun) {
  Pipe pipe;
  ExpectError(
      [&] {
        WriteFrame(pipe.writing(), {{"x", std::string(kMaxHeadBytes, 'x')}});
      },
      ErrorKind::kInput, HasSubstr("a message of 16777224 + 0 bytes is too long to send"));
  // Too long by its length; none of it is there to be read.
  const std::span<const std::byte> payload(static_cast<const std::byte*>(nullptr), std::size_t{kMaxPayloadBytes} + 1);
  ExpectError([&] { WriteFrame(pipe.writing(), Json::object(), payload); }, ErrorKind::kInput,
              HasSubstr("a message of 2 + 268435457 bytes is too long to send"));
  EXPECT_FALSE(WaitReadable(pipe.reading(), std::chrono::milliseconds(0)));
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

TEST(WaitWritable, TellsAFullPipeFromOneThatTakesMore) {
  Pipe pipe;
  EXPECT_TRUE(WaitWritable(pipe.writing(), std::chrono::milliseconds(0)));
  while (WaitWritable(pipe.writing(), std::chrono::milliseconds(0))) pipe.Write(std::string(PIPE_BUF, 'x'));
  EXPECT_FALSE(WaitWritable(pipe.writing(), std::chrono::milliseconds(0)));
  pipe.CloseReading();
  EXPECT_TRUE(WaitWritable(pipe.writing(), std::chrono::milliseconds(0)));  // to find out that nobody reads
}

}  // namespace
}  // namespace verillm
