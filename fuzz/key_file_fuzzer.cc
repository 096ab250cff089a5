#include "fuzz/fuzzer.h"
#include "signing/key_file.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = Text(data, size);
  Succeeds([&] { SummarizeKey(text, "input"); });
  // Keys that are encrypted would cost half a second each: nobody knows their passphrase.
  const PassphraseSource nobody = []() -> SecretBytes { throw Error(ErrorKind::kUsage, "no passphrase"); };
  Succeeds([&] {
    const SecretKey key = ParseSecretKey(text, nobody, "input");
    Require(FormatUnencryptedSecretKey(key) == text, "a key has one text");
  });
  return 0;
}
