#include "fuzz/fuzzer.h"
#include "receipt/minisign.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = Text(data, size);
  Succeeds([&] {
    const Signature signature = ParseSignature(text, "input");
    const Signature again = ParseSignature(FormatSignature(signature, "comment"), "formatted");
    Require(again.signature == signature.signature && again.trusted_comment == signature.trusted_comment &&
                again.global_signature == signature.global_signature && again.key_id == signature.key_id,
            "a signature reads back");
  });
  Succeeds([&] {
    const PublicKey key = ParsePublicKey(text, "input");
    Require(ParsePublicKey(FormatPublicKey(key, "comment"), "formatted") == key, "a public key reads back");
  });
  return 0;
}
