#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/coding.h"
#include "fuzz/fuzzer.h"
#include "worker/frame.h"
#include "worker/protocol.h"

using namespace verillm;

namespace {

constexpr std::size_t kPrefixBytes = 8;

// A message that reads as a T must survive being sent on.
template <typename Read>
void TryMessage(const Frame& message, Read read) {
  Succeeds([&] {
    const Frame sent = ToFrame(read(message));
    Frame received;
    Require(Succeeds([&] { received = ToFrame(read(sent)); }), "a message that was read can be sent and read again");
    Require(received == sent, "a message survives being sent");
  });
}

void TryStream(std::string_view content) {
  const InputFile stream(content);
  Succeeds([&] {
    while (const std::optional<Frame> message = ReadFrame(stream.descriptor())) {
      InputFile sent("");
      WriteFrame(sent.descriptor(), message->head, message->payload);
      sent.Rewind();
      Require(ReadFrame(sent.descriptor()) == message, "a frame survives being sent");
      TryMessage(*message, ModelReferenceFromFrame);
      TryMessage(*message, LoadResultFromFrame);
      TryMessage(*message, GenerateRequestFromFrame);
      TryMessage(*message, GenerateResultFromFrame);
      TryMessage(*message, PrefillRequestFromFrame);
      TryMessage(*message, PrefillResultFromFrame);
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content = Text(data, size);
  TryStream(content);
  if (size < kPrefixBytes) return 0;
  // Few mutations leave content and lengths in step, so all of it is tried as one frame as well: the payload keeps its length,
  // and the head gets the rest.
  std::string frame(content);
  auto* const prefix = reinterpret_cast<std::byte*>(frame.data());
  const auto rest = static_cast<std::uint32_t>(size - kPrefixBytes);
  const std::uint32_t n_payload = std::min(LoadLittleEndian<std::uint32_t>(prefix + 4), rest);
  StoreLittleEndian(rest - n_payload, prefix);
  StoreLittleEndian(n_payload, prefix + 4);
  TryStream(frame);
  return 0;
}
