// TOPLOC proofs by verillm, one timed call at a time, as benchmarks/toploc_and_package.py asks for them in turn with those of the
// Python package.
//
//   benchmark_toploc STATES WIDTH BATCH TOPK
//
// STATES is a file of rows of WIDTH bf16 elements. A line "proofs RULE" on standard input is answered by a JSON list of proofs,
// the lines "build RULE" and "verify RULE" by the seconds that it took; RULE is a tie rule. What is verified are the own proofs
// of the same states, which must pass.
#include "peers/toploc.h"

#include <fmt/format.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "exit_code.h"
#include "interleaved.h"

namespace verillm {
namespace {

std::string Answer(const std::string& what, const ToplocStates& states, const ToplocParameters& parameters) {
  if (what == "build") return fmt::format("{}", Seconds([&] { return BuildToplocProofs(states, parameters); }));
  const std::vector<ToplocProof> proofs = BuildToplocProofs(states, parameters);
  if (what == "proofs") return ToplocProofJson(proofs);
  if (what != "verify") throw Error(ErrorKind::kUsage, fmt::format("unknown request \"{}\"", what));
  const ToplocThresholds thresholds = ToplocThresholdsFromName("paper", parameters.topk);
  ToplocResult result;
  const double seconds = Seconds([&] {
    result = JudgeToplocProofs(proofs, states, parameters, thresholds);
    return result.accepted;
  });
  if (!result.accepted) throw Error(ErrorKind::kInput, result.reason);
  return fmt::format("{}", seconds);
}

int Run(const std::string& path, int width, ToplocParameters parameters) {
  const MappedFile file(path);
  const ToplocStates states{.rows = file.bytes(), .type = StateType::kBF16, .width = width};
  std::string what, rule;
  while (std::cin >> what >> rule) {
    parameters.ties = TieRuleFromName(rule);
    std::cout << Answer(what, states, parameters) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: {} STATES WIDTH BATCH TOPK\n", argv[0]);
    return 2;
  }
  return verillm::ExitCodeOf([&] {
    return verillm::Run(argv[1], std::atoi(argv[2]), {.decode_batching_size = std::atoi(argv[3]), .topk = std::atoi(argv[4])});
  });
}
