#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "peers/grail.h"
#include "policy/peer_rules.h"

namespace verillm {
namespace {

constexpr double kSketchBytes = 4;

std::array<std::byte, 8> Beacon(double number) { return GrailBeacon(static_cast<std::uint64_t>(number)); }

void Judge(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result) {
  const FinalRows& rows = *response.final_rows;
  const std::size_t n_rows = response.positions.size();
  const auto n_prompt = static_cast<std::size_t>(rows.n_prompt);
  if (n_prompt + n_rows != rows.tokens.size()) {
    result.verdict = Verdict::kInconclusive;
    result.reason = "GRAIL draws from all output tokens, and the states of some only were compared";
    return;
  }
  const GrailCoefficients coefficients = GrailCoefficientsOf(Beacon(parameters.at("beacon")));
  const std::size_t row_bytes = RowBytes(rows.width, response.plan.type);
  std::vector<std::uint32_t> sketches(n_prompt);  // those of the prompt are never drawn
  for (std::size_t i = 0; i < n_rows; ++i) {
    sketches.push_back(GrailSketch(std::span(rows.prover).subspan(i * row_bytes, row_bytes), response.plan.type, coefficients));
  }
  const GrailStates states{.tokens = rows.tokens,
                           .n_prompt = rows.n_prompt,
                           .output_rows = rows.verifier,
                           .type = response.plan.type,
                           .width = rows.width};
  const GrailResult judged = VerifyGrail(sketches, states, coefficients, Beacon(parameters.at("challenge")));

  double worst = 0;
  for (const GrailCheck& check : judged.checks) {
    result.accept_count += check.passes();
    worst = std::max(worst, static_cast<double>(check.difference) / check.tolerance);
  }
  result.total_count = kGrailChallenges;
  result.verdict = judged.accepted ? Verdict::kAccept : Verdict::kReject;
  result.reason = judged.reason;
  if (!judged.checks.empty()) result.peer->score = worst;
  result.peer->measures = {{"bytes", kSketchBytes * static_cast<double>(n_rows)}};
}

}  // namespace

PeerMethod GrailMethod() {
  return {.name = "grail",
          .version = 1,
          .source = "GRAIL, proof version 5, github.com/one-covenant/grail at 54d6342",
          .ranges = {{"beacon", 0, kMostWhole, true}, {"challenge", 0, kMostWhole, true}},
          .complete =
              [](Parameters given) {
                return WithDefaults(std::move(given), {{"beacon", 1}, {"challenge", 2}});
              },
          .needs_final_rows = true,
          .needs_16_bits = false,
          .judge = Judge};
}

}  // namespace verillm
