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

// How many temperatures of the descending order are put in order at a time.
constexpr double kSlice = 3.0;

// Infinite logits count as the largest floats, so that every difference is finite.
float Finite(float logit) { return std::clamp(logit, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()); }

// The token with the largest logit, the lowest id among equals.
std::size_t MostLikely(std::span<const float> logits, int position) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] <= logits[best]) continue;  // false for NaN
    if (std::isnan(logits[i])) {
      throw Error(ErrorKind::kWorker, fmt::format("the logit of token {} at position {} is not a number", i, position));
    }
    best = i;
  }
  return best;
}

struct Candidate {
  float logit;
  Token token;
  double weight;  // its probability in units of the most likely token's: exp((logit - best) / temperature)
};

bool MoreLikely(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }

// The tokens within reach of the best one: the top-p set in descending order, then the others in no order. With top_p = 1 the set
// is all of them in order of token id, because ordering them takes longer than all the rest.
struct Candidates {
  std::vector<Candidate> all;
  std::size_t n_kept = 0;
  double total = 0;  // of all weights, in order of token id

  std::span<const Candidate> kept() const { return std::span(all).first(n_kept); }
  std::span<const Candidate> others() const { return std::span(all).subspan(n_kept); }
};

Candidates FindCandidates(std::span<const float> logits, double best, double temperature, double top_p) {
  Candidates result;
  result.all.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = Finite(logits[i]);
    if (logit < best - kReach * temperature) continue;
    const double weight = std::exp((logit - best) / temperature);
    result.all.push_back({logit, static_cast<Token>(i), weight});
    result.total += weight;
  }
  result.n_kept = result.all.size();
  if (top_p == 1) return result;

  // Few tokens are kept as a rule, so the order is made slice by slice until there are enough.
  double sum = 0;
  auto next = result.all.begin();
  for (double depth = kSlice; next != result.all.end(); depth += kSlice) {
    const double least = best - depth * temperature;
    const auto end = std::partition(next, result.all.end(), [&](const Candidate& candidate) { return candidate.logit >= least; });
    std::sort(next, end, MoreLikely);
    while (next != end) {
      sum += next->weight;
      ++next;
      if (sum >= top_p * result.total) {
        result.n_kept = static_cast<std::size_t>(next - result.all.begin());
        return result;
      }
    }
  }
  return result;
}

double Uniform(std::uint64_t seed, int position, Token token) {
  const auto words = Philox({static_cast<std::uint32_t>(token), static_cast<std::uint32_t>(position), 0, 0},
                            {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const std::uint64_t bits = words[0] | (std::uint64_t{words[1]} << 32);
  // The largest would round to 1, whose noise is infinite.
  return std::min((static_cast<double>(bits >> 12) + 0.5) * 0x1p-52, 1 - 0x1p-53);
}

// The scores of a position's tokens, logit + temperature * g counted from the best logit.
class Scores {
 public:
  Scores(const Sampling& sampling, int position, double best) : sampling_(sampling), position_(position), best_(best) {}

  double Of(Token token, float logit) const {
    return logit - best_ + sampling_.temperature * GumbelNoise(sampling_.seed, position_, token);
  }

  // True only where the score is below the bar, which saves most candidates their two logarithms: g is below -log(1 - u), so
  // exp(score / temperature) is below weight / (1 - u).
  bool BelowBar(const Candidate& candidate) const {
    return 1 - Uniform(sampling_.seed, position_, candidate.token) > candidate.weight * bar_;
  }

  // No score is below the bar until it is set. It is set lower by 1e-6 temperatures, far more than rounding.
  void SetBar(double score) { bar_ = std::exp(1e-6 - score / sampling_.temperature); }

 private:
  const Sampling& sampling_;
  int position_;
  double best_;
  double bar_ = std::numeric_limits<double>::infinity();  // exp(-bar / temperature)
};

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

double GumbelNoise(std::uint64_t seed, int position, Token token) { return -std::log(-std::log(Uniform(seed, position, token))); }

std::vector<Token> TopP(std::span<const float> logits, double temperature, double top_p) {
  Candidates candidates = FindCandidates(logits, Finite(*std::max_element(logits.begin(), logits.end())), temperature, top_p);
  if (top_p == 1) std::sort(candidates.all.begin(), candidates.all.end(), MoreLikely);
  std::vector<Token> tokens;
  for (const Candidate& candidate : candidates.kept()) tokens.push_back(candidate.token);
  return tokens;
}

Token Sample(std::span<const float> logits, const Sampling& sampling, int position) {
  const std::size_t most_likely = MostLikely(logits, position);
  if (sampling.temperature == 0) return static_cast<Token>(most_likely);
  const double best = Finite(logits[most_likely]);
  const Candidates candidates = FindCandidates(logits, best, sampling.temperature, sampling.top_p);
  Scores scores(sampling, position, best);
  const Candidate* chosen = nullptr;
  double chosen_score = 0;
  for (const Candidate& candidate : candidates.kept()) {
    if (scores.BelowBar(candidate)) continue;
    const double score = scores.Of(candidate.token, candidate.logit);
    if (chosen == nullptr || score > chosen_score || (score == chosen_score && MoreLikely(candidate, *chosen))) {
      chosen = &candidate;
      chosen_score = score;
      scores.SetBar(score);
    }
  }
  return chosen->token;
}

double SamplingMargin(std::span<const float> logits, const Sampling& sampling, int position, Token token) {
  if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) {
    throw Error(ErrorKind::kInput,
                fmt::format("token {} at position {} is outside the vocabulary of {}", token, position, logits.size()));
  }
  const double best = Finite(logits[MostLikely(logits, position)]);
  const float logit = Finite(logits[static_cast<std::size_t>(token)]);
  const double temperature = sampling.temperature;
  if (temperature == 0) return best - logit;

  const Candidates candidates = FindCandidates(logits, best, temperature, sampling.top_p);
  const double edge = std::log(sampling.top_p / (1 - sampling.top_p));  // infinite for top_p = 1
  Scores scores(sampling, position, best);
  const double score = scores.Of(token, logit);
  scores.SetBar(score);
  double rival = 0;
  double before = 0;
  bool kept = false;
  for (const Candidate& candidate : candidates.kept()) {
    if (candidate.token == token) {
      kept = true;
    } else if (!scores.BelowBar(candidate)) {
      double distance = scores.Of(candidate.token, candidate.logit) - score;
      if (sampling.top_p < 1)
        distance = std::min(distance, temperature * (edge - std::log(before / (candidates.total - before))));
      if (distance > rival) {
        rival = distance;
        scores.SetBar(score + rival);
      }
    }
    before += candidate.weight;
  }
  if (kept) return rival;

  double after = 0;
  const Candidate claimed = {logit, token, 0};
  for (const Candidate& candidate : candidates.others()) (MoreLikely(candidate, claimed) ? before : after) += candidate.weight;
  const double out_of_reach = std::max(0.0, best - kReach * temperature - logit);
  if (out_of_reach > 0) after = std::exp(-kReach);
  return rival + std::max(0.0, temperature * (std::log(before / after) - edge)) + out_of_reach;
}

}  // namespace verillm
