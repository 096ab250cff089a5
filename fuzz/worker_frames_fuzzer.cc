#include <optional>
#include <string>

#include "base/coding.h"
#include "fuzz/fuzzer.h"
#include "worker/frame.h"
#include "worker/protocol.h"

using namespace verillm;

namespace {

// A message that reads as a T must survive being sent on. Compared as CBOR, since NaN is not equal to itself.
template <typename Read>
void TryMessage(const Json& message, Read read) {
  Succeeds([&] {
    const Json sent = ToJson(read(message));
    Json received;
    Require(Succeeds([&] { received = ToJson(read(sent)); }), "a message that was read can be sent and read again");
    Require(Json::to_cbor(received) == Json::to_cbor(sent), "a message survives being sent");
  });
}

void TryStream(std::string_view content) {
  const InputFile stream(content);
  Succeeds([&] {
    while (const std::optional<Json> message = ReadFrame(stream.descriptor())) {
      InputFile sent("");
      WriteFrame(sent.descriptor(), *message);
      sent.Rewind();
      const std::optional<Json> received = ReadFrame(sent.descriptor());
      Require(received && Json::to_cbor(*received) == Json::to_cbor(*message), "a frame survives being sent");
      TryMessage(*message, ModelReferenceFromJson);
      TryMessage(*message, GenerateRequestFromJson);
      TryMessage(*message, GenerateResultFromJson);
      TryMessage(*message, PrefillRequestFromJson);
      TryMessage(*message, PrefillResultFromJson);
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content = Text(data, size);
  TryStream(content);
  // Few mutations leave content and length in step, so all of it is tried as one frame as well.
  std::string frame(4, '\0');
  StoreLittleEndian(static_cast<std::uint32_t>(size), reinterpret_cast<std::byte*>(frame.data()));
  TryStream(frame.append(content));
  return 0;
}
