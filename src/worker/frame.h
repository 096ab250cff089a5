// Frames on a stream: 4 bytes little-endian length, then one CBOR map (RFC 8949). docs/formats.md lists the messages.
#ifndef VERILLM_WORKER_FRAME_H_
#define VERILLM_WORKER_FRAME_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/json.h"

namespace verillm {

// The largest frame that either side sends or accepts.
constexpr std::uint32_t kMaxFrameBytes = std::uint32_t{256} << 20;

// Writes one frame. Error(kWorker) where the other side is gone.
void WriteFrame(int descriptor, const Json& message);

// Whether something can be read (or the end was reached) within `patience`.
bool WaitReadable(int descriptor, std::chrono::milliseconds patience);

// Reads one frame; nullopt at the end of the stream between frames. Error(kWorker) where the stream ends inside a frame, its
// length is beyond kMaxFrameBytes or its content is no CBOR map. Memory is taken as the content comes, not for the length that is
// claimed. `wait` is called before each read, inside frames too, and may throw to give up on a stream that has come to a halt.
std::optional<Json> ReadFrame(int descriptor, const std::function<void()>& wait = {});

// Bytes as a CBOR byte string, and back (Error(kWorker) unless `value` is one).
Json BytesToJson(std::span<const std::byte> bytes);
std::span<const std::byte> BytesFromJson(const Json& value);

}  // namespace verillm

#endif  // VERILLM_WORKER_FRAME_H_
