#include "audit/evidence.h"
#include "fuzz/fuzzer.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = Text(data, size);
  Succeeds([&] {
    const Evidence evidence = ParseEvidence(text);
    const Evidence again = ParseEvidence(EvidenceText(evidence));
    Require(again.receipt == evidence.receipt && again.opening == evidence.opening && again.verdict == evidence.verdict,
            "evidence reads back");
  });
  return 0;
}
