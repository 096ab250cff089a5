// Random weights whose hidden states, choice of tokens and sensitivity to rounding are in the range of a trained model's, so that
// what recording, verification and other devices do can be measured on a published shape without the published weights. Values
// are independent and normal, so that the variance of an output is that of its weights times the sum of the squares of its
// inputs; the rest follows from a few targets. In brackets: what SmolLM2-135M-Instruct has.
//
// - Depth. Embeddings have a root mean square of 0.1 (0.11), the first block raises the stream to 2 (1.9), and each further one
//   multiplies it by 1.1 (to 31 after 30 blocks: 1.10 on average; growth by a constant factor is what GPT-2 shows as well:
//   Heimersheim and Turner, "Residual stream norms grow exponentially over the forward pass", 2023).
// - Rounding. A network of matrices alone would be in its chaotic phase (Poole et al., "Exponential expressivity in deep neural
//   networks through transient chaos", NeurIPS 2016): with gates g around 0 a feed-forward network makes the square of a
//   relative error larger by 1 + E[silu'(g)^2] / E[silu(g)^2] = 2.07, errors grow by 9 % a block, and honest devices disagree in
//   the last blocks. Gates around 2.5 make it 1.17, and errors grow by 2 to 3 % a block (1 to 3 %).
// - Constant channel. Channel 0 of the stream is 1 whatever the token, no block adds to it, and norms make it 30, so that its
//   column in a matrix holds biases, such as the mean of the gates. Trained models have massive activations for that (Sun et al.,
//   "Massive activations in large language models", arXiv 2402.17762).
// - Attention. Queries and keys are mostly biases, of deviation 6 and 1, beside a part of 0.2 that depends on the token. Rotary
//   embeddings turn the biases into scores that depend on the distance of two tokens, so that a head looks at few places and
//   makes errors hardly larger. Only 0.06 of the variance that a block adds is attention's: it makes positions alike, and with
//   0.25 and less sharp heads they all end as one, and the text repeats one token.
// - Logits have a deviation of 6 (3.9 with heavier tails), so that the entropy at temperature 0.7 is 1.2 nats for a vocabulary of
//   49152 (1.1) and 1.3 for one of 152064. Tokens that the tokenizer does not have get rows of a tenth, so that they are hardly
//   ever chosen, as in trained models (Land and Bartolo, "Fishing for Magikarp", arXiv 2405.05417).
//
// What they are not: a text of random weights means nothing, and rounding errors are like those of trained weights in size, not
// in each figure. Thresholds learned on them hold for them alone.
#ifndef VERILLM_ENGINE_RANDOM_WEIGHTS_H_
#define VERILLM_ENGINE_RANDOM_WEIGHTS_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/model_shape.h"

namespace verillm {

// Fills a row of the numbered rows of a stream with normal numbers (mean 0, variance 1), a function of seed, stream, row and
// place alone: number 8 b + 2 i + h is half h (0: the lower 16 bits) of word i of Philox4x32-10 with key = seed (lower word
// first) and counter = (b, row, FNV-1a of the stream's name, lower word first). A half x gives the quantile of (x + 1/2) / 2^16,
// which is at most 4.33 in size.
void FillNormal(std::uint64_t seed, std::string_view stream, int row, std::span<float> values);

class RandomWeights {
 public:
  // The channel of the stream that is always 1.
  static constexpr int kConstantChannel = 0;

  // For a sound shape of whose vocabulary the first `n_tokens` are in use.
  RandomWeights(const ModelShape& shape, int n_tokens, std::uint64_t seed) : shape_(shape), n_tokens_(n_tokens), seed_(seed) {}

  // A row of a tensor of the shape.
  void FillRow(const ModelTensor& tensor, int row, std::span<float> values) const;

 private:
  void FillNorm(const ModelTensor& tensor, std::span<float> values) const;
  double Deviation(const ModelTensor& tensor, int row) const;
  double Bias(const ModelTensor& tensor, int row) const;

  ModelShape shape_;
  int n_tokens_;
  std::uint64_t seed_;
};

}  // namespace verillm

#endif  // VERILLM_ENGINE_RANDOM_WEIGHTS_H_
