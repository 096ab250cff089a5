#include "peers/forged_proofs.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/coding.h"
#include "peers/prime_field.h"

namespace verillm {
namespace {

bool IsWithin(const ToplocDistance& distance, const ToplocThresholds& thresholds) {
  return static_cast<double>(distance.exponent_mismatches) <= thresholds.exponent_mismatches &&
         distance.mantissa_mean <= thresholds.mantissa_mean && distance.mantissa_median <= thresholds.mantissa_median;
}

}  // namespace

ForgeryTally& ForgeryTally::operator+=(const ForgeryTally& more) {
  n += more.n;
  accepted_as_published += more.accepted_as_published;
  accepted_strictly += more.accepted_strictly;
  return *this;
}

std::uint16_t TypicalValue(std::span<const std::byte> chunk, StateType type, int topk) {
  const int mantissa_bits = FormatOf(type).mantissa_bits;
  std::map<int, std::vector<std::uint16_t>> by_exponent;
  for (const std::uint32_t index : LargestElements(chunk, type, static_cast<std::size_t>(topk), TieRule::kLowestIndex)) {
    const auto bits = LoadLittleEndian<std::uint16_t>(chunk.data() + 2 * std::size_t{index});
    const auto magnitude = static_cast<std::uint16_t>(bits & 0x7FFF);
    by_exponent[magnitude >> mantissa_bits].push_back(magnitude);
  }
  std::vector<std::uint16_t>& commonest =
      std::max_element(by_exponent.begin(), by_exponent.end(), [](const auto& a, const auto& b) {
        return a.second.size() < b.second.size();
      })->second;
  const auto middle = commonest.begin() + static_cast<std::ptrdiff_t>(commonest.size() / 2);
  std::nth_element(commonest.begin(), middle, commonest.end());
  return *middle;
}

ToplocProof ConstantToplocProof(std::uint16_t value, int topk) {
  ToplocProof proof{.modulus = static_cast<std::uint16_t>(kFieldPrime),
                    .coefficients = std::vector<std::uint16_t>(static_cast<std::size_t>(topk))};
  proof.coefficients[0] = value;
  return proof;
}

ToplocProof PredictedToplocProof(const ToplocStates& states, std::size_t n_rows, int topk) {
  const auto width = static_cast<std::size_t>(states.width);
  std::vector<float> means(width);
  for (std::size_t i = 0; i < states.n_rows() * width; ++i)
    means[i % width] += std::abs(DecodeState(states.rows, states.type, i)) / static_cast<float>(states.n_rows());
  const std::size_t row_bytes = RowBytes(states.width, states.type);
  std::vector<std::byte> chunk(n_rows * row_bytes);
  for (std::size_t row = 0; row < n_rows; ++row)
    EncodeStates(means, states.type, std::span(chunk).subspan(row * row_bytes, row_bytes));
  return BuildToplocProof(chunk, states.type, topk, TieRule::kLowestIndex);
}

ForgeryTally CheckForgedToplocProofs(std::span<const ToplocProof> proofs, const ToplocStates& states, std::size_t first_chunk,
                                     const ToplocParameters& parameters, const ToplocThresholds& thresholds) {
  const std::vector<ToplocChunk> chunks = ToplocChunks(states.n_rows(), 0, parameters.decode_batching_size);
  const std::size_t row_bytes = RowBytes(states.width, states.type);
  ForgeryTally tally;
  for (std::size_t i = 0; i < proofs.size() && first_chunk + i < chunks.size(); ++i) {
    const ToplocChunk& chunk = chunks[first_chunk + i];
    const std::span<const std::byte> rows = states.rows.subspan(chunk.first_row * row_bytes, chunk.n_rows * row_bytes);
    const ToplocStates alone{.rows = rows, .type = states.type, .width = states.width};
    tally.n += 1;
    tally.accepted_as_published +=
        IsWithin(MeasureToplocProof(proofs[i], rows, states.type, parameters.topk, parameters.ties), thresholds);
    tally.accepted_strictly += JudgeToplocProofs(proofs.subspan(i, 1), alone, parameters, thresholds).accepted;
  }
  return tally;
}

ForgeryTally CheckForgedSketches(std::span<const std::uint32_t> sketches, const GrailStates& states,
                                 const GrailCoefficients& coefficients, std::span<const std::byte> challenge_beacon) {
  const std::size_t accepted = VerifyGrail(sketches, states, coefficients, challenge_beacon).accepted;
  return {.n = 1, .accepted_as_published = accepted, .accepted_strictly = accepted};
}

}  // namespace verillm
