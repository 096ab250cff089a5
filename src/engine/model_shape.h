// Models of the llama family by their dimensions alone, and the tensors that make one up.
#ifndef VERILLM_ENGINE_MODEL_SHAPE_H_
#define VERILLM_ENGINE_MODEL_SHAPE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

struct ModelShape {
  std::string architecture;  // as GGUF has it: "llama", or "qwen2", which adds biases to queries, keys and values
  int blocks = 0;
  int width = 0;
  int heads = 0;
  int kv_heads = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int context = 0;               // positions it is said to be trained for
  bool tied_embeddings = false;  // the embeddings are the output matrix too
  float rope_base = 10000;
  float norm_epsilon = 1e-5F;

  int head_width() const { return width / heads; }
  int kv_width() const { return kv_heads * head_width(); }
};

// Error(kUsage), with the dimension and its value, where there can be no such model or llama.cpp could not hold it.
void CheckShape(const ModelShape& shape);

// Shapes known by name: those of published models (from their config.json) and small ones for tests, "...-tiny", whose vocabulary
// is 0: as large as the tokenizer's.
std::vector<std::string_view> ShapeNames();

// Error(kUsage), naming the known ones, where there is none of that name.
ModelShape ShapeNamed(std::string_view name);

// A tensor of a model: n_out rows of n_in values, one after the other; vectors (norms, biases) are one row.
struct ModelTensor {
  std::string name;       // as GGUF has it, e.g. "blk.3.attn_q.weight"
  int block = -1;         // -1: not in a block
  std::string_view part;  // the name without block and ending, e.g. "attn_q"
  bool is_bias = false;
  int n_in = 0;
  int n_out = 1;

  bool is_vector() const { return n_out == 1; }
  std::uint64_t size() const { return static_cast<std::uint64_t>(n_in) * static_cast<std::uint64_t>(n_out); }
};

// All tensors of a sound shape, in the order of a file.
std::vector<ModelTensor> TensorsOf(const ModelShape& shape);

}  // namespace verillm

#endif  // VERILLM_ENGINE_MODEL_SHAPE_H_
