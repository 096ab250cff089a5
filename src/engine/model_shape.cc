#include "engine/model_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

namespace verillm {
namespace {

// The sizes in a family of models, of which the rest is the same.
ModelShape Shape(const std::string& architecture, int blocks, int width, int heads, int kv_heads, int feed_forward,
                 int vocabulary, bool tied_embeddings) {
  const bool is_qwen2 = architecture == "qwen2";
  return {.architecture = architecture,
          .blocks = blocks,
          .width = width,
          .heads = heads,
          .kv_heads = kv_heads,
          .feed_forward = feed_forward,
          .vocabulary = vocabulary,
          .context = is_qwen2 ? 32768 : 8192,
          .tied_embeddings = tied_embeddings,
          .rope_base = is_qwen2 ? 1e6F : 1e5F,
          .norm_epsilon = is_qwen2 ? 1e-6F : 1e-5F};
}

const std::vector<std::pair<std::string_view, ModelShape>>& KnownShapes() {
  static const auto* const shapes = new std::vector<std::pair<std::string_view, ModelShape>>{
      {"qwen2.5-7b", Shape("qwen2", 28, 3584, 28, 4, 18944, 152064, false)},
      {"qwen2.5-0.5b", Shape("qwen2", 24, 896, 14, 2, 4864, 151936, true)},
      {"smollm2-135m", Shape("llama", 30, 576, 9, 3, 1536, 49152, true)},
      {"qwen2-tiny", Shape("qwen2", 2, 64, 4, 2, 96, 0, true)},
      {"llama-tiny", Shape("llama", 2, 64, 4, 2, 96, 0, false)},
  };
  return *shapes;
}

struct Limit {
  const char* name;
  int value;
  int least;
  int most;
};

// A matrix, which has a row for each output, and its bias where it has one.
void AddMatrix(std::vector<ModelTensor>& tensors, int block, std::string_view part, int n_in, int n_out, bool has_bias = false) {
  const std::string prefix = block < 0 ? std::string(part) : fmt::format("blk.{}.{}", block, part);
  tensors.push_back({.name = prefix + ".weight", .block = block, .part = part, .is_bias = false, .n_in = n_in, .n_out = n_out});
  if (!has_bias) return;
  tensors.push_back({.name = prefix + ".bias", .block = block, .part = part, .is_bias = true, .n_in = n_out, .n_out = 1});
}

}  // namespace

void CheckShape(const ModelShape& shape) {
  if (shape.architecture != "llama" && shape.architecture != "qwen2") {
    throw Error(ErrorKind::kUsage, fmt::format("unknown architecture \"{}\": choose llama or qwen2", shape.architecture));
  }
  // llama.cpp knows 512 blocks at most (LLAMA_MAX_LAYERS), and a matrix of one row would be a vector; the other limits only keep
  // sizes far from overflow.
  const std::array<Limit, 7> limits = {{{"blocks", shape.blocks, 1, 512},
                                        {"width", shape.width, 2, 1 << 16},
                                        {"heads", shape.heads, 1, 1 << 12},
                                        {"key and value heads", shape.kv_heads, 1, 1 << 12},
                                        {"feed-forward width", shape.feed_forward, 2, 1 << 20},
                                        {"vocabulary", shape.vocabulary, 2, 1 << 20},
                                        {"context", shape.context, 1, 1 << 24}}};
  for (const Limit& limit : limits) {
    if (limit.value >= limit.least && limit.value <= limit.most) continue;
    throw Error(ErrorKind::kUsage, fmt::format("{} of {}: must be {} to {}", limit.name, limit.value, limit.least, limit.most));
  }
  if (shape.width % shape.heads != 0) {
    throw Error(ErrorKind::kUsage, fmt::format("a width of {} cannot be divided into {} heads", shape.width, shape.heads));
  }
  if (shape.head_width() % 2 != 0) {
    throw Error(ErrorKind::kUsage, fmt::format("heads {} wide ({} / {}): must be even, since rotary embeddings turn pairs",
                                               shape.head_width(), shape.width, shape.heads));
  }
  if (shape.heads % shape.kv_heads != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} heads cannot share {} key and value heads evenly", shape.heads, shape.kv_heads));
  }
}

std::vector<std::string_view> ShapeNames() {
  std::vector<std::string_view> names;
  for (const auto& [name, shape] : KnownShapes()) names.push_back(name);
  return names;
}

ModelShape ShapeNamed(std::string_view name) {
  const auto found =
      std::find_if(KnownShapes().begin(), KnownShapes().end(), [&](const auto& entry) { return entry.first == name; });
  if (found == KnownShapes().end()) {
    throw Error(ErrorKind::kUsage, fmt::format("unknown shape \"{}\": choose {}", name, fmt::join(ShapeNames(), ", ")));
  }
  return found->second;
}

std::vector<ModelTensor> TensorsOf(const ModelShape& shape) {
  const bool has_biases = shape.architecture == "qwen2";
  std::vector<ModelTensor> tensors;
  AddMatrix(tensors, -1, "token_embd", shape.width, shape.vocabulary);
  for (int block = 0; block < shape.blocks; ++block) {
    AddMatrix(tensors, block, "attn_norm", shape.width, 1);
    AddMatrix(tensors, block, "attn_q", shape.width, shape.width, has_biases);
    AddMatrix(tensors, block, "attn_k", shape.width, shape.kv_width(), has_biases);
    AddMatrix(tensors, block, "attn_v", shape.width, shape.kv_width(), has_biases);
    AddMatrix(tensors, block, "attn_output", shape.width, shape.width);
    AddMatrix(tensors, block, "ffn_norm", shape.width, 1);
    AddMatrix(tensors, block, "ffn_gate", shape.width, shape.feed_forward);
    AddMatrix(tensors, block, "ffn_up", shape.width, shape.feed_forward);
    AddMatrix(tensors, block, "ffn_down", shape.feed_forward, shape.width);
  }
  AddMatrix(tensors, -1, "output_norm", shape.width, 1);
  if (!shape.tied_embeddings) AddMatrix(tensors, -1, "output", shape.width, shape.vocabulary);
  return tensors;
}

}  // namespace verillm
