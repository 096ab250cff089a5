#include "experiment/forgeries.h"

#include <algorithm>
#include <span>
#include <vector>

#include "experiment/windows.h"

namespace verillm {
namespace {

using Tallies = std::map<std::string, ForgeryTally>;

Tallies ForgeToplocProofs(const Parameters& values, const ResponseDiscrepancy& response) {
  const FinalRows& rows = *response.final_rows;
  const ToplocParameters parameters{.decode_batching_size = static_cast<int>(values.at("batch")),
                                    .topk = static_cast<int>(values.at("topk"))};
  const ToplocThresholds thresholds{.exponent_mismatches = values.at("exponent_mismatches"),
                                    .mantissa_mean = values.at("mantissa_mean"),
                                    .mantissa_median = values.at("mantissa_median")};
  const ToplocStates prover{.rows = rows.prover, .type = response.plan.type, .width = rows.width};
  const ToplocStates verifier{.rows = rows.verifier, .type = response.plan.type, .width = rows.width};
  const std::vector<ToplocChunk> chunks = ToplocChunks(prover.n_rows(), 0, parameters.decode_batching_size);
  const auto has_too_few = [&](const ToplocChunk& chunk) {
    return chunk.n_rows * static_cast<std::size_t>(rows.width) < static_cast<std::size_t>(parameters.topk);
  };
  if (chunks.size() < 2 || std::any_of(chunks.begin(), chunks.end(), has_too_few)) return {};

  const std::vector<ToplocProof> own = BuildToplocProofs(prover, parameters);
  const std::size_t first_bytes = chunks.front().n_rows * RowBytes(rows.width, response.plan.type);
  const ToplocStates first{.rows = prover.rows.first(first_bytes), .type = prover.type, .width = prover.width};
  const std::uint16_t typical = TypicalValue(first.rows, first.type, parameters.topk);
  std::vector<ToplocProof> predicted;
  for (std::size_t i = 1; i < chunks.size(); ++i)
    predicted.push_back(PredictedToplocProof(first, chunks[i].n_rows, parameters.topk));
  const std::vector<ToplocProof> constant(chunks.size() - 1, ConstantToplocProof(typical, parameters.topk));
  const auto check = [&](std::span<const ToplocProof> proofs, std::size_t first_chunk) {
    return CheckForgedToplocProofs(proofs, verifier, first_chunk, parameters, thresholds);
  };
  return {
      {"own", check(own, 0)}, {"constant", check(constant, 1)}, {"predicted", check(predicted, 1)}, {"replayed", check(own, 1)}};
}

Tallies ForgeSketches(const Parameters& values, const ResponseDiscrepancy& response) {
  const auto beacon = [&](const char* name) { return GrailBeacon(static_cast<std::uint64_t>(values.at(name))); };
  const auto challenge = beacon("challenge");
  const GrailCoefficients coefficients = GrailCoefficientsOf(beacon("beacon"));
  const std::size_t row_bytes = RowBytes(response.final_rows->width, response.plan.type);
  Tallies tallies;
  std::vector<std::uint32_t> before;  // the sketches of the stretch before
  for (const ResponseDiscrepancy& stretch : WindowsOf(response, kGrailChallenges)) {
    const FinalRows& rows = *stretch.final_rows;
    const GrailStates states{.tokens = rows.tokens,
                             .n_prompt = rows.n_prompt,
                             .output_rows = rows.verifier,
                             .type = response.plan.type,
                             .width = rows.width};
    // Those of the tokens before are never drawn.
    const auto check = [&](const std::vector<std::uint32_t>& of_stretch) {
      std::vector<std::uint32_t> sketches(static_cast<std::size_t>(rows.n_prompt));
      sketches.insert(sketches.end(), of_stretch.begin(), of_stretch.end());
      return CheckForgedSketches(sketches, states, coefficients, challenge);
    };
    std::vector<std::uint32_t> own;
    for (std::size_t i = 0; i < kGrailChallenges; ++i)
      own.push_back(GrailSketch(std::span(rows.prover).subspan(i * row_bytes, row_bytes), response.plan.type, coefficients));
    tallies["own"] += check(own);
    tallies["zero"] += check(std::vector<std::uint32_t>(kGrailChallenges));
    if (!before.empty()) tallies["replayed"] += check(before);
    before = std::move(own);
  }
  return tallies;
}

}  // namespace

Forgeries CheckForgeries(const std::map<std::string, Policy>& policies, const ResponseDiscrepancy& response) {
  Forgeries forgeries;
  if (!response.has_all_final_rows()) return forgeries;
  for (const auto& [name, policy] : policies) {
    Tallies tallies;
    if (policy.name.starts_with("toploc")) tallies = ForgeToplocProofs(policy.parameters, response);
    if (policy.name == "grail") tallies = ForgeSketches(policy.parameters, response);
    if (!tallies.empty()) forgeries[name] = std::move(tallies);
  }
  return forgeries;
}

Json ToJson(const Forgeries& forgeries) {
  Json json = Json::object();
  for (const auto& [policy, tallies] : forgeries) {
    for (const auto& [forgery, tally] : tallies) {
      json[policy][forgery] = {
          {"n", tally.n}, {"accepted_as_published", tally.accepted_as_published}, {"accepted_strictly", tally.accepted_strictly}};
    }
  }
  return json;
}

}  // namespace verillm
