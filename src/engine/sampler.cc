#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace verillm {
namespace {

// How far below the best logit, in units of the temperature, a token may lie: exp(-30) times a vocabulary of 2^20 is below 1e-7.
constexpr double kReach = 30.0;

bool MoreLikely(std::span<const float> logits, Token a, Token b) {
  const float logit_a = logits[static_cast<std::size_t>(a)];
  const float logit_b = logits[static_cast<std::size_t>(b)];
  return logit_a != logit_b ? logit_a > logit_b : a < b;
}

}  // namespace

std::array<std::uint32_t, 4> Philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product_1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product_1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product_1),
               static_cast<std::uint32_t>(product_0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product_0)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

double GumbelNoise(std::uint64_t seed, int position, Token token) {
  const auto words = Philox({static_cast<std::uint32_t>(token), static_cast<std::uint32_t>(position), 0, 0},
                            {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const std::uint64_t bits = words[0] | (std::uint64_t{words[1]} << 32);
  const double u = (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
  return -std::log(-std::log(u));
}

std::vector<Token> TopP(std::span<const float> logits, double temperature, double top_p) {
  const double best = *std::max_element(logits.begin(), logits.end());
  const double least = best - kReach * temperature;
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= least) tokens.push_back(static_cast<Token>(i));
  }
  std::sort(tokens.begin(), tokens.end(), [&](Token a, Token b) { return MoreLikely(logits, a, b); });
  const auto weight = [&](Token token) { return std::exp((logits[static_cast<std::size_t>(token)] - best) / temperature); };
  double total = 0;
  for (const Token token : tokens) total += weight(token);
  double sum = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    sum += weight(tokens[i]);
    if (sum >= top_p * total) {
      tokens.resize(i + 1);
      break;
    }
  }
  return tokens;
}

Token Sample(std::span<const float> logits, const Sampling& sampling, int position) {
  const auto nan = std::find_if(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); });
  if (nan != logits.end()) {
    throw Error(ErrorKind::kWorker,
                fmt::format("the logit of token {} at position {} is not a number", nan - logits.begin(), position));
  }
  if (sampling.temperature == 0) {
    return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  Token chosen = -1;
  double best = -std::numeric_limits<double>::infinity();
  for (const Token token : TopP(logits, sampling.temperature, sampling.top_p)) {
    const double score =
        logits[static_cast<std::size_t>(token)] / sampling.temperature + GumbelNoise(sampling.seed, position, token);
    if (chosen < 0 || score > best) {
      chosen = token;
      best = score;
    }
  }
  return chosen;
}

}  // namespace verillm
