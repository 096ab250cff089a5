// Building and verifying TOPLOC proofs of the shape that the Python package's own benchmark has: 1000 rows of 5120 elements in
// bf16, topk 128, batches of 32. benchmarks/toploc_peer.py times the package on the same states.
//
//   benchmark_toploc [repetitions]
//
// It first checks that the proofs pass against the states that they are of.
#include "peers/toploc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "interleaved.h"

namespace verillm {
namespace {

constexpr std::size_t kRows = 1000;
constexpr std::size_t kWidth = 5120;

std::vector<std::uint16_t> MakeStates() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(kRows * kWidth);
  for (float& value : values) value = normal(random);
  std::vector<std::uint16_t> states(values.size());
  EncodeStates(values, StateType::kBF16, std::as_writable_bytes(std::span(states)));
  return states;
}

void Print(const std::string& what, const std::vector<double>& seconds) {
  const auto [best, worst] = std::minmax_element(seconds.begin(), seconds.end());
  fmt::print("{:<28}{:>10.2f}{:>10.2f}{:>10.2f}\n", what, 1e3 * *best, 1e3 * Median(seconds), 1e3 * *worst);
}

int Run(int n_repetitions) {
  const std::vector<std::uint16_t> elements = MakeStates();
  const ToplocStates states{.rows = std::as_bytes(std::span(elements)), .type = StateType::kBF16, .width = kWidth};
  fmt::print("{} rows of {} in bf16, topk 128, batches of 32; {} repetitions\n", kRows, kWidth, n_repetitions);
  fmt::print("{:<28}{:>10}{:>10}{:>10}\n", "ms", "best", "median", "worst");
  for (const TieRule ties : {TieRule::kTorchCpu, TieRule::kLowestIndex}) {
    const ToplocParameters parameters{.decode_batching_size = 32, .topk = 128, .ties = ties};
    const ToplocThresholds thresholds = ToplocThresholdsFromName("paper", 128);
    const std::vector<ToplocProof> proofs = BuildToplocProofs(states, parameters);
    if (const ToplocResult result = JudgeToplocProofs(proofs, states, parameters, thresholds); !result.accepted) {
      fmt::print(stderr, "{}: the proofs do not pass: {}\n", TieRuleName(ties), result.reason);
      return 1;
    }
    std::vector<double> build, build_base64, verify;
    for (int i = 0; i < n_repetitions; ++i) {
      build.push_back(Seconds([&] { return BuildToplocProofs(states, parameters); }));
      build_base64.push_back(Seconds([&] { return ToplocProofLines(BuildToplocProofs(states, parameters)); }));
      verify.push_back(Seconds([&] { return JudgeToplocProofs(proofs, states, parameters, thresholds); }));
    }
    Print(fmt::format("{}: build", TieRuleName(ties)), build);
    Print(fmt::format("{}: build base64", TieRuleName(ties)), build_base64);
    Print(fmt::format("{}: verify", TieRuleName(ties)), verify);
  }
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) {
  const int n_repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  if (n_repetitions < 1) {
    fmt::print(stderr, "usage: {} [repetitions]\n", argv[0]);
    return 2;
  }
  return verillm::Run(n_repetitions);
}
