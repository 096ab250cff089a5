#include "engine/random_weights.h"

#include <algorithm>
#include <array>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>

#include "engine/sampler.h"

namespace verillm {
namespace {

// The targets of the header.
constexpr double kEmbeddingRms = 0.1;
constexpr double kFirstRms = 2;
constexpr double kGrowth = 1.1;
constexpr double kAttentionShare = 0.06;
constexpr double kGateMean = 2.5;
constexpr double kConstant = 1;
constexpr double kNormedConstant = 30;
constexpr double kTokenPart = 0.2;
constexpr double kFixedQueries = 6;
constexpr double kFixedKeys = 1;
constexpr double kLogitDeviation = 6;
constexpr double kUnusedRow = 0.1;
constexpr float kNormDeviation = 0.2F;  // of the weights of a norm around their mean, of which it is a share (0.2 to 0.3)
constexpr double kBiasDeviation = 0.1;  // of the biases of qwen2, beside outputs of 1

// Mean squares: of silu(g) for normal g around kGateMean, and of what attention makes of a hundred values of mean square 1.
constexpr double kGatedSquare = 6.5;
constexpr double kAttendedSquare = 0.25;

std::uint64_t Fnv1a(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return hash;
}

std::uint32_t Low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t High(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

constexpr std::size_t kQuantiles = std::size_t{1} << 16;

// Quantiles of the normal distribution at (x + 1/2) / 2^16, with exact symmetry.
const std::array<float, kQuantiles>& NormalQuantiles() {
  static const auto* const table = [] {
    auto* const quantiles = new std::array<float, kQuantiles>;
    for (std::size_t x = kQuantiles / 2; x < kQuantiles; ++x) {
      const double share = (static_cast<double>(x) + 0.5) / kQuantiles;
      (*quantiles)[x] = static_cast<float>(std::numbers::sqrt2 * boost::math::erf_inv(2 * share - 1));
      (*quantiles)[kQuantiles - 1 - x] = -(*quantiles)[x];
    }
    return quantiles;
  }();
  return *table;
}

// Root mean square of the stream before a block.
double StreamRms(int block) { return block == 0 ? kEmbeddingRms : kFirstRms * std::pow(kGrowth, block - 1); }

// Root mean square of what a part of a block adds to the stream that has the given share of the variance.
double Added(int block, double share) {
  return std::sqrt(share * (std::pow(StreamRms(block + 1), 2) - std::pow(StreamRms(block), 2)));
}

bool IsNorm(const ModelTensor& tensor) { return tensor.part.ends_with("norm"); }
bool HasRowPerToken(const ModelTensor& tensor) { return tensor.part == "token_embd" || tensor.part == "output"; }
bool AddsToStream(const ModelTensor& tensor) { return tensor.part == "attn_output" || tensor.part == "ffn_down"; }

}  // namespace

void FillNormal(std::uint64_t seed, std::string_view stream, int row, std::span<float> values) {
  constexpr std::size_t kHalves = 8;
  const auto& quantiles = NormalQuantiles();
  const std::uint64_t hash = Fnv1a(stream);
  for (std::size_t first = 0; first < values.size(); first += kHalves) {
    const auto words =
        Philox({static_cast<std::uint32_t>(first / kHalves), static_cast<std::uint32_t>(row), Low(hash), High(hash)},
               {Low(seed), High(seed)});
    const std::size_t n = std::min(kHalves, values.size() - first);
    for (std::size_t i = 0; i < n; ++i) values[first + i] = quantiles[(words[i / 2] >> (16 * (i % 2))) & 0xFFFF];
  }
}

void RandomWeights::FillRow(const ModelTensor& tensor, int row, std::span<float> values) const {
  FillNormal(seed_, tensor.name, row, values);
  if (IsNorm(tensor)) {
    FillNorm(tensor, values);
    return;
  }
  const auto deviation = static_cast<float>(Deviation(tensor, row));
  for (float& value : values) value *= deviation;
  if (tensor.is_bias) return;
  if (AddsToStream(tensor)) {
    if (row == kConstantChannel) std::fill(values.begin(), values.end(), 0.0F);
  } else {
    values[kConstantChannel] = static_cast<float>(HasRowPerToken(tensor) ? kConstant : Bias(tensor, row) / kNormedConstant);
  }
}

// Makes weights of normal numbers that give what the norm takes a root mean square of 1, but for the last norm, and enlarge the
// constant channel, of which the last norm leaves nothing to the logits.
void RandomWeights::FillNorm(const ModelTensor& tensor, std::span<float> values) const {
  const bool is_last = tensor.part == "output_norm";
  double ordinary = StreamRms(is_last ? shape_.blocks : tensor.block);
  if (tensor.part == "ffn_norm") ordinary = std::hypot(ordinary, Added(tensor.block, kAttentionShare));
  const double all = std::hypot(ordinary, kConstant / std::sqrt(shape_.width));  // by which the norm divides
  const double given = is_last ? kLogitDeviation / (kEmbeddingRms * std::sqrt(shape_.width)) : 1;
  const auto mean = static_cast<float>(given * all / ordinary);
  // The product of two floats is exact as a double, so that it makes no difference whether it is fused with the sum.
  for (float& value : values) value = static_cast<float>(mean * (1 + static_cast<double>(kNormDeviation) * value));
  values[kConstantChannel] = static_cast<float>(is_last ? 0 : kNormedConstant * all / kConstant);
}

// What the constant channel makes of an output.
double RandomWeights::Bias(const ModelTensor& tensor, int row) const {
  if (tensor.part == "ffn_gate") return kGateMean;
  if (tensor.part != "attn_q" && tensor.part != "attn_k") return 0;
  float fixed = 0;
  FillNormal(seed_, tensor.name + " fixed", row, {&fixed, 1});
  return (tensor.part == "attn_q" ? kFixedQueries : kFixedKeys) * fixed;
}

double RandomWeights::Deviation(const ModelTensor& tensor, int row) const {
  if (tensor.is_bias) return kBiasDeviation;
  if (HasRowPerToken(tensor)) return row < n_tokens_ ? kEmbeddingRms : kUnusedRow * kEmbeddingRms;
  const double unit = 1 / std::sqrt(tensor.n_in);  // inputs of root mean square 1 give outputs of 1
  if (tensor.part == "attn_q" || tensor.part == "attn_k") return kTokenPart * unit;
  if (tensor.part == "attn_output") return Added(tensor.block, kAttentionShare) / std::sqrt(kAttendedSquare) * unit;
  if (tensor.part == "ffn_down") return Added(tensor.block, 1 - kAttentionShare) / std::sqrt(kGatedSquare) * unit;
  return unit;
}

}  // namespace verillm
