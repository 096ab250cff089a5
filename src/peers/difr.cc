#include "peers/difr.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/split_mix.h"

namespace verillm {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void CheckTokenDifr(std::span<const float> logits, std::span<const float> exponentials, const TokenDifrSampling& sampling,
                    Token claimed) {
  // Written so that NaN fails too.
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature))
    throw Error(ErrorKind::kUsage, fmt::format("temperature {} makes no sense: choose 0 or more", sampling.temperature));
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    throw Error(ErrorKind::kUsage, fmt::format("top_p {} lies outside (0, 1]", sampling.top_p));
  if (exponentials.size() != logits.size())
    throw Error(ErrorKind::kInput, fmt::format("there is noise for {} tokens of {}", exponentials.size(), logits.size()));
  if (claimed < 0 || static_cast<std::size_t>(claimed) >= logits.size())
    throw Error(ErrorKind::kInput, fmt::format("token {} is outside the vocabulary of {}", claimed, logits.size()));
  const auto nan = std::find_if(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); });
  if (nan != logits.end())
    throw Error(ErrorKind::kInput, fmt::format("the logit of token {} is not a number", nan - logits.begin()));
  const auto none = std::find_if(exponentials.begin(), exponentials.end(), [](float e) { return !(e > 0) || std::isinf(e); });
  if (none != exponentials.end()) {
    throw Error(ErrorKind::kInput, fmt::format("the noise of token {} is {}, where exponential noise is positive and finite",
                                               none - exponentials.begin(), *none));
  }
}

// vLLM's filters over logits that are already divided by the temperature, as probabilities; 0 where a token is dropped.
std::vector<double> FilteredProbabilities(const std::vector<float>& scaled, const TokenDifrSampling& sampling) {
  std::vector<std::size_t> order(scaled.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scaled[a] != scaled[b] ? scaled[a] < scaled[b] : a < b; });
  std::size_t first = 0;  // of those kept, which end the ascending order
  if (sampling.top_k > 0 && static_cast<std::size_t>(sampling.top_k) < order.size()) {
    const float kth = scaled[order[order.size() - static_cast<std::size_t>(sampling.top_k)]];
    while (scaled[order[first]] < kth) ++first;
  }
  const double largest = scaled[order.back()];
  if (!std::isfinite(largest)) {
    throw Error(ErrorKind::kInput,
                fmt::format("the largest logit divided by the temperature {} is {}, which gives no probabilities",
                            sampling.temperature, largest));
  }
  std::vector<double> probabilities(scaled.size());
  const auto normalise = [&] {
    double total = 0;
    for (std::size_t i = first; i < order.size(); ++i) total += std::exp(scaled[order[i]] - largest);
    for (std::size_t i = first; i < order.size(); ++i) probabilities[order[i]] = std::exp(scaled[order[i]] - largest) / total;
  };
  normalise();
  if (sampling.top_p == 1) return probabilities;

  double sum = probabilities[order[first]];
  while (first + 1 < order.size() && sum <= 1 - sampling.top_p) {
    probabilities[order[first]] = 0;
    sum += probabilities[order[++first]];
  }
  normalise();
  return probabilities;
}

// Uniform in (0, 1).
double Uniform(std::uint64_t seed, std::uint64_t number) {
  return (static_cast<double>(SplitMix(seed, number) >> 12) + 0.5) * 0x1p-52;
}

// Box and Muller. Columns come one after the other, so that those of a smaller k are the first ones of a larger.
double GaussianEntry(std::uint64_t seed, std::size_t width, std::size_t d, std::size_t j) {
  const std::uint64_t number = std::uint64_t{j} * width + d;
  const double radius = std::sqrt(-2 * std::log(Uniform(seed, 2 * number + 1)));
  return radius * std::cos(2 * std::numbers::pi * Uniform(seed, 2 * number + 2));
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

}  // namespace

TokenDifr ScoreTokenDifr(std::span<const float> logits, std::span<const float> exponentials, const TokenDifrSampling& sampling,
                         Token claimed) {
  CheckTokenDifr(logits, exponentials, sampling, claimed);
  const bool greedy = sampling.temperature == 0;
  std::vector<float> scaled(logits.begin(), logits.end());
  if (!greedy) {
    for (float& logit : scaled) logit /= static_cast<float>(sampling.temperature);
  }
  const std::vector<double> filtered = FilteredProbabilities(scaled, sampling);
  std::vector<double> probabilities = filtered;
  if (greedy) {
    std::fill(probabilities.begin(), probabilities.end(), 0.0);
    probabilities[static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())] = 1;
  }

  const auto own = static_cast<std::size_t>(claimed);
  const auto choice = [&](std::size_t token) { return probabilities[token] / exponentials[token]; };
  const auto noised = [&](std::size_t token) {
    return filtered[token] > 0 ? logits[token] - (greedy ? 0 : sampling.temperature * std::log(double{exponentials[token]}))
                               : -kInfinity;
  };
  TokenDifr result;
  result.probability = probabilities[own];
  std::size_t predicted = 0;
  std::size_t n_larger_choices = 0;
  double largest = -kInfinity;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if (choice(token) > choice(predicted)) predicted = token;
    n_larger_choices += choice(token) > choice(own);
    largest = std::max(largest, noised(token));
    result.logit_rank += logits[token] > logits[own];
    result.n_kept += probabilities[token] > 0;
  }
  result.predicted = static_cast<Token>(predicted);
  result.margin = filtered[own] > 0 ? largest - noised(own) : kInfinity;
  if (filtered[own] > 0) result.gumbel_rank = n_larger_choices;
  return result;
}

double MeanClippedMargin(std::span<const double> margins, double clip) {
  if (margins.empty()) throw Error(ErrorKind::kInput, "there are no margins to average");
  double sum = 0;
  for (const double margin : margins) sum += std::min(margin, clip);
  return sum / static_cast<double>(margins.size());
}

ActivationProjection ActivationProjection::Gaussian(std::uint64_t seed, std::size_t width, std::size_t k) {
  std::vector<float> entries(width * k);
  const double factor = 1 / std::sqrt(static_cast<double>(k));
  for (std::size_t d = 0; d < width; ++d) {
    for (std::size_t j = 0; j < k; ++j) entries[d * k + j] = static_cast<float>(factor * GaussianEntry(seed, width, d, j));
  }
  return {std::move(entries), width, k};
}

// Gram and Schmidt, each column twice, which is as good as Householder's reflections ("twice is enough", Giraud et al. 2005).
ActivationProjection ActivationProjection::Orthonormal(std::uint64_t seed, std::size_t width, std::size_t k) {
  if (k > width) throw Error(ErrorKind::kUsage, fmt::format("{} orthonormal columns need more than {} rows", k, width));
  std::vector<std::vector<double>> columns;
  std::vector<float> entries(width * k);
  for (std::size_t j = 0; j < k; ++j) {
    std::vector<double> column(width);
    for (std::size_t d = 0; d < width; ++d) column[d] = GaussianEntry(seed, width, d, j);
    for (int pass = 0; pass < 2; ++pass) {
      for (const std::vector<double>& other : columns) {
        const double share = Dot(column, other);
        for (std::size_t d = 0; d < width; ++d) column[d] -= share * other[d];
      }
    }
    const double length = std::sqrt(Dot(column, column));
    for (std::size_t d = 0; d < width; ++d) {
      column[d] /= length;
      entries[d * k + j] = static_cast<float>(column[d]);
    }
    columns.push_back(std::move(column));
  }
  return {std::move(entries), width, k};
}

ActivationProjection::ActivationProjection(std::vector<float> entries, std::size_t width, std::size_t k)
    : entries_(std::move(entries)), width_(width), k_(k) {
  if (entries_.empty() || entries_.size() != width * k)
    throw Error(ErrorKind::kInput, fmt::format("{} entries make no matrix of {} x {}", entries_.size(), width, k));
}

std::vector<float> ActivationProjection::Fingerprint(std::span<const std::byte> state, StateType type) const {
  if (state.size() != width_ * static_cast<std::size_t>(FormatOf(type).bytes)) {
    throw Error(ErrorKind::kInput,
                fmt::format("{} bytes are no state of {} elements of type {}", state.size(), width_, StateTypeName(type)));
  }
  std::vector<double> sums(k_);
  for (std::size_t d = 0; d < width_; ++d) {
    const double value = DecodeState(state, type, d);
    const float* const row = entries_.data() + d * k_;
    for (std::size_t j = 0; j < k_; ++j) sums[j] += value * row[j];
  }
  return {sums.begin(), sums.end()};
}

double FingerprintDistance(std::span<const float> prover, std::span<const float> verifier) {
  if (prover.size() != verifier.size()) {
    throw Error(ErrorKind::kInput,
                fmt::format("fingerprints of {} and {} numbers cannot be compared", prover.size(), verifier.size()));
  }
  double sum = 0;
  for (std::size_t i = 0; i < prover.size(); ++i) {
    const double difference = double{prover[i]} - double{verifier[i]};
    sum += difference * difference;
  }
  return std::isnan(sum) ? kInfinity : std::sqrt(sum);
}

}  // namespace verillm
