// DiFR (arXiv 2511.20621): how far a verifier's logits are from explaining the tokens of a response (Token-DiFR), and his states
// from the prover's (Activation-DiFR). Both give scores that grow with dishonesty and no verdict: what is too much is learned
// from honest runs.
//
// The peer draws its noise and its projections from torch's generators, which give other numbers on another device. So the noise
// is an argument here, and projections come from a generator of ours or from outside.
#ifndef VERILLM_PEERS_DIFR_H_
#define VERILLM_PEERS_DIFR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "trace/state_type.h"
#include "trace/trace_file.h"

namespace verillm {

// Token-DiFR. The prover chose, of the tokens that the filters keep, the one of largest probability / E, with E exponentially
// distributed noise that the verifier can repeat; -ln E is then Gumbel noise.

// The prover's sampler, with the filters of vLLM: temperature, then top_k, then top_p.
struct TokenDifrSampling {
  double temperature = 1;  // 0: the most likely token, whatever the noise
  int top_k = 50;          // 0, or the vocabulary's size and more: all
  double top_p = 0.95;     // 1: all
};

struct TokenDifr {
  Token predicted = 0;     // what the noise and the verifier's logits choose
  double probability = 0;  // of the claimed token, after the filters
  // By how much the claimed token fails to be the largest of logit - temperature * ln E among those that the filters keep (at
  // temperature 0: those that they would keep at 1). Logits are not divided by the temperature, so that numerical noise counts
  // the same at every one. Infinite where the filters drop the claimed token.
  double margin = 0;
  std::size_t logit_rank = 0;              // tokens with a larger logit
  std::optional<std::size_t> gumbel_rank;  // tokens with a larger probability / E; nullopt where the filters drop the claimed one
  std::size_t n_kept = 0;                  // tokens that could have been chosen
};

// Scores one position: logits and exponential noise of every token, both as many as the vocabulary has. Where equal logits stand
// at the edge of top_p, those of higher id are kept (torch leaves it open). Error(kInput) where the sizes differ, a logit is NaN,
// the largest one divided by the temperature is not finite, noise is not positive and finite, or the claimed token is outside;
// Error(kUsage) unless temperature >= 0 and 0 < top_p <= 1.
TokenDifr ScoreTokenDifr(std::span<const float> logits, std::span<const float> exponentials, const TokenDifrSampling& sampling,
                         Token claimed);

// Score of some tokens: the mean of their margins, each clipped to `clip` (0.5 in the peer's classification; its comparison of
// providers clips at the 99.9th percentile of a trusted run). Error(kInput) for no margins.
double MeanClippedMargin(std::span<const double> margins, double clip = 0.5);

// Activation-DiFR. The prover sends, for each token, a fingerprint of k numbers: its last hidden state times a public random
// matrix. The score of a token is the distance between the prover's fingerprint and the verifier's.

class ActivationProjection {
 public:
  // Independent Gaussian entries of variance 1 / k, as in the peer's code: a fingerprint has the state's length on average. Entry
  // (d, j) depends on the seed, d and j alone, but for the factor.
  static ActivationProjection Gaussian(std::uint64_t seed, std::size_t width, std::size_t k);
  // Orthonormal columns, as in the paper: those of the Gaussian matrix made orthogonal in order, none turned round. k <= width.
  // No distance grows, and fingerprints have sqrt(k / width) of the state's length on average.
  static ActivationProjection Orthonormal(std::uint64_t seed, std::size_t width, std::size_t k);
  // A matrix from elsewhere, such as the peer's: width rows of k entries. Error(kInput) where that is not their number or zero.
  ActivationProjection(std::vector<float> entries, std::size_t width, std::size_t k);

  std::size_t width() const { return width_; }
  std::size_t k() const { return k_; }
  float entry(std::size_t d, std::size_t j) const { return entries_[d * k_ + j]; }

  // The fingerprint of a state of `width` elements, rounded once from sums in double; k numbers. What is sent is their bf16 form
  // (EncodeStates). Error(kInput) for another size.
  std::vector<float> Fingerprint(std::span<const std::byte> state, StateType type) const;

 private:
  std::vector<float> entries_;  // row after row
  std::size_t width_, k_;
};

// Euclidean distance; infinite where an element is NaN, so that nothing passes for near. Error(kInput) where the sizes differ.
double FingerprintDistance(std::span<const float> prover, std::span<const float> verifier);

}  // namespace verillm

#endif  // VERILLM_PEERS_DIFR_H_
