#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "policy/peer_rules.h"
#include "residue/residues.h"

namespace verillm {
namespace {

constexpr double kMostNumbers = 4096;
constexpr double kMostBits = 8;
constexpr double kLeastStep = 1e-6;
constexpr double kMostStep = 1e3;

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
  JudgeScore(fmt::format("distance of the residues of {} positions", n_positions), distance, "no threshold was given", parameters,
             result);
  result.peer->measures = {{"bytes", static_cast<double>(ResidueBytes(scheme, n_positions))}};
  if (const auto threshold = parameters.find("threshold"); threshold != parameters.end()) {
    const double chance = ChanceOfRandomResidues(scheme, n_positions, threshold->second);
    result.peer->measures["chance_of_random"] = chance;
    result.reason += fmt::format("; random ones pass with probability {:.2g} at most", chance);
  }
}

}  // namespace

PeerMethod ResiduesMethod() {
  return {.name = "residues",
          .version = 1,
          .source = "verillm: low-order digits of random projections (residue/residues.h)",
          .ranges = {{"numbers", 1, kMostNumbers, true},
                     {"bits", 1, kMostBits, true},
                     {"step", kLeastStep, kMostStep, false},
                     {"seed", 0, kMostWhole, true},
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
