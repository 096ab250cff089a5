#include "worker/frame.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/error.h"

namespace verillm {
namespace {

// By which the memory for a frame grows while its content comes.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

void WriteAll(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(ErrorKind::kWorker, fmt::format("cannot send: {}", std::strerror(errno)));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// Fills `bytes` as far as the stream reaches; gives the number read.
std::size_t ReadUpTo(int descriptor, std::span<std::byte> bytes, const std::function<void()>& wait) {
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

// The bytes as text if that is what they are, to recognise a greeting printed by a login shell.
std::string Printable(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const char c = static_cast<char>(byte);
    text += std::isprint(static_cast<unsigned char>(c)) ? c : '.';
  }
  return text;
}

// Builds the value of a frame and gives up below kMaxJsonDepth: the CBOR reader calls itself for each level, so that a megabyte
// of opening brackets would exhaust its stack. It gives up beyond kMaxJsonKeys, too. One pass over the bytes, since most frames
// are states.
class ShallowBuilder : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  explicit ShallowBuilder(Json& value) : json_sax_dom_parser(value, false) {}

  bool start_object(std::size_t size) {
    if (++depth_ > kMaxJsonDepth) return false;
    n_keys_[static_cast<std::size_t>(depth_)] = 0;
    return json_sax_dom_parser::start_object(size);
  }
  bool key(std::string& key) {
    return ++n_keys_[static_cast<std::size_t>(depth_)] <= kMaxJsonKeys && json_sax_dom_parser::key(key);
  }
  bool start_array(std::size_t size) { return ++depth_ <= kMaxJsonDepth && json_sax_dom_parser::start_array(size); }
  bool end_object() { return --depth_ >= 0 && json_sax_dom_parser::end_object(); }
  bool end_array() { return --depth_ >= 0 && json_sax_dom_parser::end_array(); }

 private:
  int depth_ = 0;
  std::array<std::size_t, kMaxJsonDepth + 1> n_keys_;  // so far, of the open object at each depth
};

}  // namespace

void WriteFrame(int descriptor, const Json& message) {
  std::vector<std::uint8_t> bytes(4);
  Json::to_cbor(message, bytes);
  if (bytes.size() - 4 > kMaxFrameBytes)
    throw Error(ErrorKind::kWorker, fmt::format("a message of {} bytes is too long to send", bytes.size() - 4));
  StoreLittleEndian(static_cast<std::uint32_t>(bytes.size() - 4), reinterpret_cast<std::byte*>(bytes.data()));
  WriteAll(descriptor, std::as_bytes(std::span(bytes)));
}

bool WaitReadable(int descriptor, std::chrono::milliseconds patience) {
  pollfd poll{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, static_cast<int>(patience.count())) > 0;
}

std::optional<Json> ReadFrame(int descriptor, const std::function<void()>& wait) {
  std::array<std::byte, 4> prefix;
  const std::size_t n_prefix = ReadUpTo(descriptor, prefix, wait);
  if (n_prefix == 0) return std::nullopt;
  if (n_prefix < prefix.size()) throw Error(ErrorKind::kWorker, "the stream ends inside a frame");
  const auto length = LoadLittleEndian<std::uint32_t>(prefix.data());
  if (length > kMaxFrameBytes) {
    throw Error(ErrorKind::kWorker, fmt::format("received a frame of {} bytes (its first four: \"{}\"), more than the {} "
                                                "allowed; does something else write to this stream?",
                                                length, Printable(prefix), kMaxFrameBytes));
  }
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < length) {
    const std::size_t begin = bytes.size();
    bytes.resize(std::min<std::size_t>(length, begin + kPieceBytes));
    const std::span<std::byte> piece = std::as_writable_bytes(std::span(bytes)).subspan(begin);
    if (ReadUpTo(descriptor, piece, wait) < piece.size()) throw Error(ErrorKind::kWorker, "the stream ends inside a frame");
  }
  Json message;
  ShallowBuilder builder(message);
  try {
    if (!Json::sax_parse(bytes, &builder, Json::input_format_t::cbor)) message = nullptr;
  } catch (const nlohmann::json::exception&) {
    message = nullptr;  // a list said to be longer than memory is
  }
  if (!message.is_object()) {
    throw Error(ErrorKind::kWorker,
                fmt::format("received a frame that is no CBOR map (\"{}...\")",
                            Printable(std::as_bytes(std::span(bytes)).first(std::min<std::size_t>(length, 16)))));
  }
  return message;
}

Json BytesToJson(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return Json::binary(std::vector<std::uint8_t>(data, data + bytes.size()));
}

std::span<const std::byte> BytesFromJson(const Json& value) {
  if (!value.is_binary()) throw Error(ErrorKind::kWorker, "received something else where a byte string belongs");
  return std::as_bytes(std::span(value.get_binary()));
}

}  // namespace verillm
