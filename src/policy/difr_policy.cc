#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "peers/difr.h"
#include "policy/peer_rules.h"
#include "policy/rules.h"

namespace verillm {
namespace {

constexpr double kMostFingerprint = 4096;
constexpr double kMostSeed = 0x1p53;  // whole numbers that a double holds
constexpr double kMostScore = std::numeric_limits<double>::max();

// The verdict that a mean over tokens has, if there is a threshold.
void JudgeScore(std::string_view what, double score, std::size_t n_tokens, const Parameters& parameters, PolicyResult& result) {
  result.peer->score = score;
  const auto threshold = parameters.find("threshold");
  if (threshold == parameters.end()) {
    result.verdict = Verdict::kInconclusive;
    result.reason =
        fmt::format("the {} of {} tokens is {:.4g}; there is no published threshold, and none was given", what, n_tokens, score);
    return;
  }
  const bool accepted = score <= threshold->second;
  result.verdict = accepted ? Verdict::kAccept : Verdict::kReject;
  result.reason = fmt::format("the {} of {} tokens is {} ({} {})", what, n_tokens, ShowBeside(score, threshold->second),
                              accepted ? "<=" : ">", threshold->second);
}

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
  JudgeScore("mean distance of the fingerprints", sum / static_cast<double>(n_tokens), n_tokens, parameters, result);
  result.accept_count = result.verdict == Verdict::kAccept;
  result.total_count = 1;
  result.peer->measures = {{"worst_distance", worst}, {"bytes", static_cast<double>(2 * k * n_tokens)}};
}

void JudgeTokens(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result) {
  const std::vector<double>& margins = *response.margins;
  const auto n_as_predicted = std::count(margins.begin(), margins.end(), 0.0);
  JudgeScore("mean clipped margin", MeanClippedMargin(margins, parameters.at("clip")), margins.size(), parameters, result);
  result.accept_count = result.verdict == Verdict::kAccept;
  result.total_count = 1;
  result.peer->measures = {{"exact_matches", static_cast<double>(n_as_predicted)}, {"bytes", 0}};
}

}  // namespace

PeerMethod ActivationDifrMethod() {
  return {.name = "activation-difr",
          .version = 1,
          .source = "Activation-DiFR, arXiv 2511.20621; Gaussian projection as in its authors' code, of another generator",
          .ranges = {{"k", 1, kMostFingerprint, true}, {"seed", 0, kMostSeed, true}, {"threshold", 0, kMostScore, false}},
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
