// What sampling needs of a whole vocabulary, in vector operations: they are most of its cost.
#ifndef VERILLM_ENGINE_LOGIT_SUMS_H_
#define VERILLM_ENGINE_LOGIT_SUMS_H_

#include <span>
#include <vector>

#include "trace/trace_file.h"

namespace verillm {

// The largest of at least one logit, NaN where there is one.
float LargestLogit(std::span<const float> logits);

// The sum of exp((logit - best) / temperature) over the logits from `least` on, where infinite logits count as the largest
// floats. best: none is larger; temperature > 0. Within 1e-12 of the exact sum, relatively; the last bits depend on the
// instruction set.
double SumOfWeights(std::span<const float> logits, double best, double temperature, double least);

// The tokens whose logits are `least` or more, in ascending order; infinite logits count as the largest floats.
std::vector<Token> TokensFrom(std::span<const float> logits, double least);

}  // namespace verillm

#endif  // VERILLM_ENGINE_LOGIT_SUMS_H_
