#include "fuzz/fuzzer.h"
#include "peers/toploc.h"

using namespace verillm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = Text(data, size);
  // Two chunks of states that are all 2; the seed "accepted" has their proofs.
  static const std::vector<std::uint16_t> elements(256, 0x4000);
  const ToplocStates states{.rows = std::as_bytes(std::span(elements)), .type = StateType::kBF16, .width = 64};
  const ToplocParameters parameters{.decode_batching_size = 2, .topk = 8};
  Succeeds([&] {
    const std::vector<ToplocProof> proofs = ParseToplocProofs(text, "input");
    const std::string lines = ToplocProofLines(proofs);
    Require(text.starts_with('[') || text == lines || std::string(text) + "\n" == lines, "proofs have one spelling");
    Require(ParseToplocProofs(lines, "lines") == proofs, "proofs read back from lines");
    Require(ParseToplocProofs(ToplocProofJson(proofs), "list") == proofs, "proofs read back from a list");
    Require(Succeeds([&] {
              const ToplocResult result =
                  JudgeToplocProofs(proofs, states, parameters, ToplocThresholdsFromName("paper", parameters.topk));
              Require(!result.accepted || (proofs.size() == 2 && proofs[0].coefficients.size() == 8),
                      "what is accepted has a form");
            }),
            "whatever can be read can be judged");
  });
  return 0;
}
