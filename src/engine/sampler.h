// Choosing tokens with public randomness, so that anybody can repeat the choice from the logits (DiFR, arXiv 2511.20621):
//
//   token = argmax over the kept tokens of  logit / temperature + g,   g = -log(-log(u)),
//
// u from Philox4x32-10 (Salmon et al., SC 2011) with key = seed and counter = (token, position, 0, 0): the first two output words
// as x = w0 + 2^32 w1 give u = (floor(x / 2^11) + 1/2) / 2^53, in (0, 1). Noise belongs to a token at a position, not to a place
// in a stream, so it is the same on every device and only kept tokens need it.
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
// and including the one at which their probabilities reach top_p. Tokens more than 30 temperatures below the best one, which have
// less than 1e-7 of the probability together, are never kept nor counted. temperature > 0, 0 < top_p <= 1.
std::vector<Token> TopP(std::span<const float> logits, double temperature, double top_p);

// The token chosen for `position` (its own position in the sequence). Temperature 0 takes the largest logit, the lowest id among
// equals. Error(kWorker) where a logit is NaN.
Token Sample(std::span<const float> logits, const Sampling& sampling, int position);

}  // namespace verillm

#endif  // VERILLM_ENGINE_SAMPLER_H_
