#include "fuzz/fuzzer.h"
#include "receipt/canonical_json.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = Text(data, size);
  Json value;
  if (Succeeds([&] { value = ParseCanonicalJson(text, "input"); })) {
    Require(CanonicalJson(value) == text, "a canonical text is the text of its value");
  }
  // What is JSON but not canonical has a canonical text that reads back, unless it holds what canonical JSON cannot.
  std::string canonical;
  if (Succeeds([&] { canonical = CanonicalJson(ParseJson(text, "input")); })) {
    Require(CanonicalJson(ParseCanonicalJson(canonical, "canonical text")) == canonical, "the canonical text is canonical");
  }
  return 0;
}
