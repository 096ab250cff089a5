#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "peers/difr.h"
#include "policy/peer_rules.h"

namespace verillm {
namespace {

constexpr double kMostFingerprint = 4096;
constexpr std::string_view kNoThreshold = "there is no published threshold, and none was given";

// What is sent: each number rounded to bf16.
std::vector<float> AsSent(const std::vector<float>& fingerprint) {
  std::vector<std::byte> bytes(2 * fingerprint.size());
  EncodeStates(fingerprint, StateType::kBF16, bytes);
  std::vector<float> sent(fingerprint.size());
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = DecodeState(bytes, StateType::kBF16, i);
  return sent;
}

void JudgeActivations(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result) {
  const FinalRows& rows = *response.final_rows;
  const auto k = static_cast<std::size_t>(parameters.at("k"));
  const auto projection =
      ActivationProjection::Gaussian(static_cast<std::uint64_t>(parameters.at("seed")), static_cast<std::size_t>(rows.width), k);
  const std::size_t row_bytes = RowBytes(rows.width, response.plan.type);
  const std::size_t n_tokens = rows.prover.size() / row_bytes;
  double sum = 0;
  double worst = 0;
  for (std::size_t i = 0; i < n_tokens; ++i) {
    const auto fingerprint_of = [&](std::span<const std::byte> side) {
      return AsSent(projection.Fingerprint(side.subspan(i * row_bytes, row_bytes), response.plan.type));
    };
    const double distance = FingerprintDistance(fingerprint_of(rows.prover), fingerprint_of(rows.verifier));
    sum += distance;
    worst = std::max(worst, distance);
  }
  JudgeScore(fmt::format("mean distance of the fingerprints of {} tokens", n_tokens), sum / static_cast<double>(n_tokens),
             kNoThreshold, parameters, result);
  result.peer->measures = {{"worst_distance", worst}, {"bytes", static_cast<double>(2 * k * n_tokens)}};
}

void JudgeTokens(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result) {
  const std::vector<double>& margins = *response.margins;
  const auto n_as_predicted = std::count(margins.begin(), margins.end(), 0.0);
  JudgeScore(fmt::format("mean clipped margin of {} tokens", margins.size()), MeanClippedMargin(margins, parameters.at("clip")),
             kNoThreshold, parameters, result);
  result.peer->measures = {{"exact_matches", static_cast<double>(n_as_predicted)}, {"bytes", 0}};
}

}  // namespace

PeerMethod ActivationDifrMethod() {
  return {.name = "activation-difr",
          .version = 1,
          .source = "Activation-DiFR, arXiv 2511.20621; Gaussian projection as in its authors' code, of another generator",
          .ranges = {{"k", 1, kMostFingerprint, true}, {"seed", 0, kMostWhole, true}, {"threshold", 0, kMostScore, false}},
          .complete =
              [](Parameters given) {
                return WithDefaults(std::move(given), {{"k", 8}, {"seed", 42}});
              },
          .needs_final_rows = true,
          .needs_16_bits = false,
          .judge = JudgeActivations};
}

PeerMethod TokenDifrMethod() {
  return {.name = "token-difr",
          .version = 1,
          .source = "Token-DiFR, arXiv 2511.20621, by the margins of verillm's sampler (engine/sampler.h)",
          .ranges = {{"clip", 0, kMostScore, false}, {"threshold", 0, kMostScore, false}},
          .complete =
              [](Parameters given) {
                return WithDefaults(std::move(given), {{"clip", 0.5}});
              },
          .needs_final_rows = false,
          .needs_16_bits = false,
          .judge = JudgeTokens};
}

}  // namespace verillm
