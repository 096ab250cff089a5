// Choosing tokens with public randomness, so that anybody can repeat the choice from the logits (DiFR, arXiv 2511.20621):
//
//   token = argmax over the kept tokens of  logit / temperature + g,   g = -log(-log(u)),
//
// u from Philox4x32-10 (Salmon et al., SC 2011) with key = seed and counter = (token, position, 0, 0): the first two output words
// as x = w0 + 2^32 w1 give u = (floor(x / 2^12) + 1/2) / 2^52, in (0, 1). Noise belongs to a token at a position, not to a place
// in a stream, so it is the same on every device and only kept tokens need it.
//
// Devices differ a little in their logits, so a repeated choice may be another token although both sides are honest. By how much
// the logits fail to explain a token is its margin.
#ifndef VERILLM_ENGINE_SAMPLER_H_
#define VERILLM_ENGINE_SAMPLER_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "trace/provenance.h"
#include "trace/trace_file.h"

namespace verillm {

// Philox4x32-10.
std::array<std::uint32_t, 4> Philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

// The Gumbel noise g of a token at a position.
double GumbelNoise(std::uint64_t seed, int position, Token token);

// The top-p set: the most likely tokens of softmax(logits / temperature) in descending order (equal logits: lower id first) up to
// and including the one at which their probabilities reach top_p; with top_p = 1 all. Tokens more than 30 temperatures below the
// best one (out of reach), which have less than 1e-7 of the probability together, are never kept nor counted. What decides ties:
// probabilities are exp((logit - best logit) / temperature) over their sum (SumOfWeights), and shares are added up in descending
// order. temperature > 0, 0 < top_p <= 1, no logit NaN; infinite logits count as the largest floats.
std::vector<Token> TopP(std::span<const float> logits, double temperature, double top_p);

// The token chosen for `position` (its own position in the sequence). Temperature 0 takes the largest logit, the lowest id among
// equals. Error(kWorker) where a logit is NaN.
Token Sample(std::span<const float> logits, const Sampling& sampling, int position);

// How far the logits are from explaining that `token` was chosen for `position`, in logits: 0 where Sample gives that token, else
// the size of the disturbance of the logits that explains it. Always finite. At temperature 0 the largest logit minus the
// token's, else the sum of two parts, where the score of a token is logit + temperature * g (in logits, so that numerical noise
// counts the same at every temperature) and its distance from the edge of the top-p set is
//
//   temperature * abs(logodds(S) - logodds(top_p)),   S the share of probability of the tokens before it,
//
// which is the shift of these tokens against the rest that puts it on the edge:
//
// - how far the token is outside the top-p set: 0 where it is kept, else its distance from the edge. A token out of reach counts
//   as one on the end of the reach, after all others, and its distance from there is added;
// - how far its best rival is from losing. A rival is a kept token of higher score, and loses by its score or by leaving the set,
//   whichever is nearer: min(difference of scores, distance from the edge).
//
// Without top-p (1) nothing has an edge, and the margin of a token within reach is the largest score minus its own: Token-DiFR's.
// Error(kWorker) where a logit is NaN, Error(kInput) for a token outside the vocabulary.
double SamplingMargin(std::span<const float> logits, const Sampling& sampling, int position, Token token);

}  // namespace verillm

#endif  // VERILLM_ENGINE_SAMPLER_H_
