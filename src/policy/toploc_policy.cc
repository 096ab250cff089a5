#include <algorithm>
#include <span>
#include <utility>

#include "peers/toploc.h"
#include "policy/peer_rules.h"

namespace verillm {
namespace {

constexpr ToplocParameters kPublished;

// The largest index that a proof can tell from another.
constexpr double kMostTopk = 65497;
constexpr double kMostRows = 1 << 20;
constexpr double kMostMantissa = 128;  // bf16 has mantissas below it

ToplocThresholds ThresholdsOf(const Parameters& parameters) {
  return {.exponent_mismatches = parameters.at("exponent_mismatches"),
          .mantissa_mean = parameters.at("mantissa_mean"),
          .mantissa_median = parameters.at("mantissa_median")};
}

Parameters Complete(std::string_view thresholds_name, Parameters given) {
  const auto topk = given.find("topk");
  const int k = topk == given.end() ? kPublished.topk : static_cast<int>(topk->second);
  const ToplocThresholds published = ToplocThresholdsFromName(thresholds_name, k);
  Parameters parameters = WithDefaults(std::move(given), {{"topk", k},
                                                          {"batch", kPublished.decode_batching_size},
                                                          {"exponent_mismatches", published.exponent_mismatches},
                                                          {"mantissa_mean", published.mantissa_mean},
                                                          {"mantissa_median", published.mantissa_median}});
  CheckToplocThresholds(ThresholdsOf(parameters), k);
  return parameters;
}

// The larger, the further: value / threshold, where a threshold of 0 allows nothing but 0.
double Ratio(double value, double threshold) { return value == 0 ? 0 : value / threshold; }

void Judge(const ResponseDiscrepancy& response, const Parameters& parameters, PolicyResult& result) {
  const FinalRows& rows = *response.final_rows;
  const ToplocParameters how{.decode_batching_size = static_cast<int>(parameters.at("batch")),
                             .topk = static_cast<int>(parameters.at("topk"))};
  const ToplocThresholds thresholds = ThresholdsOf(parameters);
  const auto states_of = [&](std::span<const std::byte> bytes) {
    return ToplocStates{.rows = bytes, .type = response.plan.type, .width = rows.width};
  };
  const std::vector<ToplocProof> proofs = BuildToplocProofs(states_of(rows.prover), how);
  const ToplocResult judged = JudgeToplocProofs(proofs, states_of(rows.verifier), how, thresholds);

  ToplocDistance worst;
  for (const ToplocChunkResult& chunk : judged.chunks) {
    result.accept_count += chunk.failure.empty();
    worst.exponent_mismatches = std::max(worst.exponent_mismatches, chunk.distance->exponent_mismatches);
    worst.mantissa_mean = std::max(worst.mantissa_mean, chunk.distance->mantissa_mean);
    worst.mantissa_median = std::max(worst.mantissa_median, chunk.distance->mantissa_median);
  }
  const auto mismatches = static_cast<double>(worst.exponent_mismatches);
  double bytes = 0;
  for (const ToplocProof& proof : proofs) bytes += static_cast<double>(ToplocProofBytes(proof).size());
  result.total_count = judged.chunks.size();
  result.verdict = judged.accepted ? Verdict::kAccept : Verdict::kReject;
  result.reason = judged.reason;
  result.peer->score =
      std::max({Ratio(mismatches, thresholds.exponent_mismatches), Ratio(worst.mantissa_mean, thresholds.mantissa_mean),
                Ratio(worst.mantissa_median, thresholds.mantissa_median)});
  result.peer->measures = {{"exponent_mismatches", mismatches},
                           {"mantissa_mean", worst.mantissa_mean},
                           {"mantissa_median", worst.mantissa_median},
                           {"bytes", bytes}};
}

PeerMethod MethodOf(std::string_view name, std::string_view source, Parameters (*complete)(Parameters given)) {
  return {.name = name,
          .version = 1,
          .source = source,
          .ranges = {{"topk", 1, kMostTopk, true},
                     {"batch", 1, kMostRows, true},
                     {"exponent_mismatches", 0, kMostTopk, true},
                     {"mantissa_mean", 0, kMostMantissa, false},
                     {"mantissa_median", 0, kMostMantissa, false}},
          .complete = complete,
          .needs_final_rows = true,
          .needs_16_bits = true,
          .judge = Judge};
}

}  // namespace

PeerMethod ToplocMethod() {
  return MethodOf("toploc", "TOPLOC, arXiv 2501.16007; thresholds of its authors' toploc-experiments",
                  [](Parameters given) { return Complete("paper", std::move(given)); });
}

PeerMethod ToplocDeployedMethod() {
  return MethodOf("toploc-deployed", "TOPLOC, arXiv 2501.16007; thresholds of toploc-validator",
                  [](Parameters given) { return Complete("deployed", std::move(given)); });
}

}  // namespace verillm
