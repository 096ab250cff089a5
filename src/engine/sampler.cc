#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/logit_sums.h"

namespace verillm {
namespace {

// How far below the best logit, in units of the temperature, a token may lie: exp(-30) times a vocabulary of 2^20 is below 1e-7.
constexpr double kReach = 30.0;

// How many temperatures of the descending order are put in order at a time, and how many hold the top-p set as a rule; both
// divide those that follow.
constexpr double kSlice = 3.0;
constexpr double kNear = 2 * kSlice;

// Infinite logits count as the largest floats, so that every difference is finite.
float Finite(float logit) { return std::clamp(logit, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()); }

// The largest logit; Error(kWorker) where one is NaN.
float BestLogit(std::span<const float> logits, int position) {
  const float best = LargestLogit(logits);
  if (std::isnan(best)) {
    const auto nan = std::find_if(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); });
    throw Error(ErrorKind::kWorker,
                fmt::format("the logit of token {} at position {} is not a number", nan - logits.begin(), position));
  }
  return best;
}

struct Candidate {
  float logit;
  Token token;
  double weight;  // its probability in units of the most likely token's: exp((logit - best) / temperature)
};

Candidate CandidateOf(std::span<const float> logits, Token token, double best, double temperature) {
  const float logit = Finite(logits[static_cast<std::size_t>(token)]);
  return {logit, token, std::exp((logit - best) / temperature)};
}

bool MoreLikely(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }

// The tokens that are kept: the top-p set in descending order; with top_p = 1 all within reach of the best one in order of token
// id, because ordering them takes longer than all the rest.
struct Candidates {
  std::vector<Candidate> kept;
  double total = 0;  // of the weights of all tokens within reach
};

Candidates FindCandidates(std::span<const float> logits, double best, double temperature, double top_p) {
  Candidates result;
  const auto gather = [&](double least, double above) {
    for (const Token token : TokensFrom(logits, least)) {
      const Candidate candidate = CandidateOf(logits, token, best, temperature);
      if (candidate.logit < above) result.kept.push_back(candidate);
    }
  };
  constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  const double end_of_reach = best - kReach * temperature;
  if (top_p == 1) {
    gather(end_of_reach, kNoLimit);
    return result;
  }
  result.total = SumOfWeights(logits, best, temperature, end_of_reach);

  // Few tokens are kept as a rule, so only those near the best one are gathered first, and they are put in order slice by slice
  // until there are enough.
  double sum = 0;
  double above = kNoLimit;
  double depth = 0;
  std::ptrdiff_t next = 0;
  for (const double gathered : {kNear, kReach}) {
    gather(best - gathered * temperature, above);
    while (depth < gathered) {
      depth += kSlice;
      above = best - depth * temperature;
      const auto end = std::partition(result.kept.begin() + next, result.kept.end(),
                                      [&](const Candidate& candidate) { return candidate.logit >= above; });
      std::sort(result.kept.begin() + next, end, MoreLikely);
      while (next < end - result.kept.begin()) {
        sum += result.kept[static_cast<std::size_t>(next++)].weight;
        if (sum < top_p * result.total) continue;
        result.kept.resize(static_cast<std::size_t>(next));
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
  Candidates candidates = FindCandidates(logits, Finite(LargestLogit(logits)), temperature, top_p);
  if (top_p == 1) std::sort(candidates.kept.begin(), candidates.kept.end(), MoreLikely);
  std::vector<Token> tokens;
  for (const Candidate& candidate : candidates.kept) tokens.push_back(candidate.token);
  return tokens;
}

Token Sample(std::span<const float> logits, const Sampling& sampling, int position) {
  const float largest = BestLogit(logits, position);
  if (sampling.temperature == 0) return static_cast<Token>(std::find(logits.begin(), logits.end(), largest) - logits.begin());
  const double best = Finite(largest);
  const Candidates candidates = FindCandidates(logits, best, sampling.temperature, sampling.top_p);
  Scores scores(sampling, position, best);
  const Candidate* chosen = nullptr;
  double chosen_score = 0;
  for (const Candidate& candidate : candidates.kept) {
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
  const double best = Finite(BestLogit(logits, position));
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
  for (const Candidate& candidate : candidates.kept) {
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

  // Those kept stand before it, of the others some.
  const double end_of_reach = best - kReach * temperature;
  const double out_of_reach = std::max(0.0, end_of_reach - logit);
  before = 0;
  double after = 0;
  const Candidate claimed = {logit, token, 0};
  for (const Token other : TokensFrom(logits, end_of_reach)) {
    const Candidate candidate = CandidateOf(logits, other, best, temperature);
    (MoreLikely(candidate, claimed) ? before : after) += candidate.weight;
  }
  if (out_of_reach > 0) after = std::exp(-kReach);
  return rival + std::max(0.0, temperature * (std::log(before / after) - edge)) + out_of_reach;
}

}  // namespace verillm
