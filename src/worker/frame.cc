#include "worker/frame.h"

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/coding.h"
#include "base/error.h"

namespace verillm {
namespace {

// The lengths of head and payload.
constexpr std::size_t kPrefixBytes = 8;
// By which the memory for a frame grows while its bytes come.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
// Of a stream that is no protocol, to show what it is.
constexpr std::size_t kExcerptBytes = 24;

void WriteAll(int descriptor, std::span<const std::byte> bytes, const Wait& wait) {
  while (!bytes.empty()) {
    if (wait) wait();
    // Of a pipe that can be written to, POSIX promises room for so much and no more.
    const std::size_t step = wait ? std::min<std::size_t>(bytes.size(), PIPE_BUF) : bytes.size();
    const ssize_t count = ::write(descriptor, bytes.data(), step);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(ErrorKind::kWorker, fmt::format("cannot send: {}", std::strerror(errno)));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// Fills `bytes` as far as the stream reaches; gives the number read.
std::size_t ReadUpTo(int descriptor, std::span<std::byte> bytes, const Wait& wait) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    if (wait) wait();
    const ssize_t count = ::read(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(ErrorKind::kWorker, fmt::format("cannot receive: {}", std::strerror(errno)));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

[[noreturn]] void ThrowCutShort() { throw Error(ErrorKind::kWorker, "the stream ends inside a frame"); }

std::vector<std::byte> ReadAll(int descriptor, std::size_t n_bytes, const Wait& wait) {
  std::vector<std::byte> bytes;
  while (bytes.size() < n_bytes) {
    const std::size_t begin = bytes.size();
    bytes.resize(std::min(n_bytes, begin + kPieceBytes));
    const std::span<std::byte> piece = std::span(bytes).subspan(begin);
    if (ReadUpTo(descriptor, piece, wait) < piece.size()) ThrowCutShort();
  }
  return bytes;
}

std::string_view AsText(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// The beginning of what came, to recognise a greeting printed by a login shell.
std::string Excerpt(std::span<const std::byte> bytes) {
  std::string text(AsText(bytes).substr(0, kExcerptBytes));
  for (char& c : text) {
    if (!std::isprint(static_cast<unsigned char>(c))) c = '.';
  }
  return text;
}

Json ParseHead(std::span<const std::byte> bytes) {
  std::string reason = "the head is no JSON object";
  try {
    Json head = ParseJson(AsText(bytes), "the head");
    if (head.is_object()) return head;
  } catch (const Error& error) {
    reason = error.what();
  }
  throw Error(ErrorKind::kWorker,
              fmt::format("received a frame that cannot be read: {} (it begins \"{}\")", reason, Excerpt(bytes)));
}

bool WaitFor(int descriptor, short event, std::chrono::milliseconds patience) {
  pollfd poll{.fd = descriptor, .events = event, .revents = 0};
  return ::poll(&poll, 1, static_cast<int>(patience.count())) > 0;
}

}  // namespace

Frame WithText(Json head, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {std::move(head), {bytes.begin(), bytes.end()}};
}

std::string_view TextOf(const Frame& frame) { return AsText(frame.payload); }

void RefusePayload(const Frame& frame, std::string_view what) {
  if (frame.payload.empty()) return;
  throw Error(ErrorKind::kInput, fmt::format("{}: has a payload of {} bytes where none belongs", what, frame.payload.size()));
}

JsonFields FieldsWithoutPayload(const Frame& frame, const std::string& what) {
  RefusePayload(frame, what);
  JsonFields fields(frame.head, what);
  fields.At("type");
  return fields;
}

void WriteFrame(int descriptor, const Json& head, std::span<const std::byte> payload, const Wait& wait) {
  std::string bytes(kPrefixBytes, '\0');
  // What the engine and the system say need not be UTF-8.
  bytes += head.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::size_t n_head = bytes.size() - kPrefixBytes;
  if (n_head > kMaxHeadBytes || payload.size() > kMaxPayloadBytes) {
    throw Error(ErrorKind::kInput, fmt::format("a message of {} + {} bytes is too long to send: {} + {} are allowed", n_head,
                                               payload.size(), kMaxHeadBytes, kMaxPayloadBytes));
  }
  auto* const prefix = reinterpret_cast<std::byte*>(bytes.data());
  StoreLittleEndian(static_cast<std::uint32_t>(n_head), prefix);
  StoreLittleEndian(static_cast<std::uint32_t>(payload.size()), prefix + 4);
  WriteAll(descriptor, std::as_bytes(std::span(bytes)), wait);
  WriteAll(descriptor, payload, wait);
}

std::optional<Frame> ReadFrame(int descriptor, const Wait& wait) {
  std::array<std::byte, kPrefixBytes> prefix;
  const std::size_t n_prefix = ReadUpTo(descriptor, prefix, wait);
  if (n_prefix == 0) return std::nullopt;
  if (n_prefix < prefix.size()) ThrowCutShort();
  const auto n_head = LoadLittleEndian<std::uint32_t>(prefix.data());
  const auto n_payload = LoadLittleEndian<std::uint32_t>(prefix.data() + 4);
  if (n_head > kMaxHeadBytes || n_payload > kMaxPayloadBytes) {
    throw Error(ErrorKind::kWorker,
                fmt::format("received a frame of {} + {} bytes, more than the {} + {} allowed (it begins \"{}\"); does something "
                            "else, or another version of verillm, write to this stream?",
                            n_head, n_payload, kMaxHeadBytes, kMaxPayloadBytes, Excerpt(prefix)));
  }
  // A damaged head is refused before its payload is waited for.
  Json head = ParseHead(ReadAll(descriptor, n_head, wait));
  return Frame{std::move(head), ReadAll(descriptor, n_payload, wait)};
}

bool WaitReadable(int descriptor, std::chrono::milliseconds patience) { return WaitFor(descriptor, POLLIN, patience); }

bool WaitWritable(int descriptor, std::chrono::milliseconds patience) { return WaitFor(descriptor, POLLOUT, patience); }

}  // namespace verillm
