// Frames on a stream: what is said, as a small JSON object (the head), and beside it what is no JSON (the payload: states,
// mostly), written from and read into plain buffers. docs/formats.md lists the messages.
#ifndef VERILLM_WORKER_FRAME_H_
#define VERILLM_WORKER_FRAME_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace verillm {

struct Frame {
  Json head;
  std::vector<std::byte> payload = {};

  bool operator==(const Frame&) const = default;
};

// A frame whose payload is a text: those that tokens decode to need not be UTF-8, which is all that JSON can carry.
Frame WithText(Json head, std::string_view text);

// The payload as a text.
std::string_view TextOf(const Frame& frame);

// Error(kInput), naming the message as `what`, where it has a payload.
void RefusePayload(const Frame& frame, std::string_view what);

// The fields of a message that has no payload (Error(kInput) otherwise), with "type" read already.
JsonFields FieldsWithoutPayload(const Frame& frame, const std::string& what);

// The most that either side sends or accepts. The longest heads list the tokens of a prefill.
constexpr std::uint32_t kMaxHeadBytes = std::uint32_t{16} << 20;
constexpr std::uint32_t kMaxPayloadBytes = std::uint32_t{256} << 20;

// Called before each step of reading or writing a frame, inside frames too, and may throw to give up on a stream that has come to
// a halt. A step that follows WaitReadable or WaitWritable does not block.
using Wait = std::function<void()>;

// Writes one frame. Error(kInput) where it is too long (nothing is written then), Error(kWorker) where the other side is gone.
void WriteFrame(int descriptor, const Json& head, std::span<const std::byte> payload = {}, const Wait& wait = {});

// Reads one frame; nullopt at the end of the stream between frames. Error(kWorker) where the stream ends inside a frame, a length
// is beyond the limits or the head is no JSON object (ParseJson). Memory is taken as the bytes come, not for the lengths that are
// claimed.
std::optional<Frame> ReadFrame(int descriptor, const Wait& wait = {});

// Whether something can be read (or the end was reached), or written to a pipe (or nobody reads it any more), within `patience`.
bool WaitReadable(int descriptor, std::chrono::milliseconds patience);
bool WaitWritable(int descriptor, std::chrono::milliseconds patience);

}  // namespace verillm

#endif  // VERILLM_WORKER_FRAME_H_
