#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "policy/peer_rules.h"
#include "policy/rules.h"
#include "residue/residues.h"

namespace verillm {
namespace {

constexpr double kMostNumbers = 4096;
constexpr double kMostBits = 8;
constexpr double kLeastStep = 1e-6;
constexpr double kMostStep = 1e3;
constexpr double kMostSeed = 0x1p53;  // whole numbers that a double holds
constexpr double kMostScore = std::numeric_limits<double>::max();

void Judge(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result) {
  const FinalRows& rows = *response.final_rows;
  const ResidueScheme scheme{.numbers = static_cast<int>(parameters.at("numbers")),
                             .bits = static_cast<int>(parameters.at("bits")),
                             .step = parameters.at("step"),
                             .seed = static_cast<std::uint64_t>(parameters.at("seed"))};
  const StateType type = response.plan.type;
  const Residues residues = ResiduesOf(scheme, rows.prover, type, rows.width);
  const double distance = ResidueDistance(scheme, residues, rows.verifier, type, rows.width);
  const std::size_t n_positions = rows.prover.size() / RowBytes(rows.width, type);
  result.peer->score = distance;
  result.peer->measures = {{"bytes", static_cast<double>(ResidueBytes(scheme, n_positions))}};
  result.total_count = 1;
  const auto threshold = parameters.find("threshold");
  if (threshold == parameters.end()) {
    result.verdict = Verdict::kInconclusive;
    result.reason =
        fmt::format("the distance of the residues of {} positions is {:.4g}; no threshold was given", n_positions, distance);
    return;
  }
  const double chance = ChanceOfRandomResidues(scheme, n_positions, threshold->second);
  result.peer->measures["chance_of_random"] = chance;
  const bool accepted = distance <= threshold->second;
  result.verdict = accepted ? Verdict::kAccept : Verdict::kReject;
  result.accept_count = accepted;
  result.reason =
      fmt::format("the distance of the residues of {} positions is {} ({} {}); random ones pass with probability {:.2g} at most",
                  n_positions, ShowBeside(distance, threshold->second), accepted ? "<=" : ">", threshold->second, chance);
}

}  // namespace

PeerMethod ResiduesMethod() {
  return {.name = "residues",
          .version = 1,
          .source = "verillm: low-order digits of random projections (residue/residues.h)",
          .ranges = {{"numbers", 1, kMostNumbers, true},
                     {"bits", 1, kMostBits, true},
                     {"step", kLeastStep, kMostStep, false},
                     {"seed", 0, kMostSeed, true},
                     {"threshold", 0, kMostScore, false}},
          .complete =
              [](Parameters given) {
                const ResidueScheme scheme;
                return WithDefaults(std::move(given), {{"numbers", scheme.numbers},
                                                       {"bits", scheme.bits},
                                                       {"step", scheme.step},
                                                       {"seed", static_cast<double>(scheme.seed)}});
              },
          .needs_final_rows = true,
          .needs_16_bits = false,
          .judge = Judge};
}

}  // namespace verillm
