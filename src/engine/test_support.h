// For the tests of the modules that run models: a llama model small enough to be made and run in milliseconds.
#ifndef VERILLM_ENGINE_TEST_SUPPORT_H_
#define VERILLM_ENGINE_TEST_SUPPORT_H_

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/gguf_file.h"
#include "engine/model_shape.h"
#include "engine/model_writer.h"

namespace verillm {

struct TinyModel {
  static constexpr int kLayers = 2;
  static constexpr int kWidth = 64;
  static constexpr int kHeads = 4;
  static constexpr int kKvHeads = 2;
  static constexpr int kHeadWidth = kWidth / kHeads;
  static constexpr int kFeedForward = 96;
  static constexpr int kContext = 64;
  static constexpr int kVocabulary = 41;
  static constexpr float kNormEpsilon = 1e-5F;
  static constexpr float kRopeBase = 10000;

  // A weight as GGUF has it: n_out rows of n_in elements, a vector as one row.
  struct Matrix {
    int n_in;
    int n_out;
    std::vector<float> values;
  };
  std::map<std::string, Matrix> weights;
};

// Three special tokens, the byte token of a line feed, the space, a to z, 0 to 9.
inline std::vector<std::string> TinyVocabulary() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "<0x0A>", "\u2581"};
  for (char c = 'a'; c <= 'z'; ++c) tokens.emplace_back(1, c);
  for (char c = '0'; c <= '9'; ++c) tokens.emplace_back(1, c);
  return tokens;
}

// Random weights, always the same: scaled to keep the variance, so that every block changes the residual stream visibly and
// attention is far from uniform; norm weights between 0.5 and 1.5.
inline TinyModel MakeTinyModel() {
  std::mt19937 random(20260101);
  TinyModel model;
  const auto add = [&](const std::string& name, int n_in, int n_out, float low, float high) {
    std::vector<float> values(static_cast<std::size_t>(n_in) * static_cast<std::size_t>(n_out));
    for (float& value : values) value = std::uniform_real_distribution<float>(low, high)(random);
    model.weights[name + ".weight"] = {n_in, n_out, std::move(values)};
  };
  const auto add_matrix = [&](const std::string& name, int n_in, int n_out) {
    const float reach = std::sqrt(3.0F / static_cast<float>(n_in));
    add(name, n_in, n_out, -reach, reach);
  };
  constexpr int kKvWidth = TinyModel::kKvHeads * TinyModel::kHeadWidth;
  add("token_embd", TinyModel::kWidth, TinyModel::kVocabulary, -1, 1);
  add("output_norm", TinyModel::kWidth, 1, 0.5F, 1.5F);
  add_matrix("output", TinyModel::kWidth, TinyModel::kVocabulary);
  for (int layer = 0; layer < TinyModel::kLayers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    add(block + "attn_norm", TinyModel::kWidth, 1, 0.5F, 1.5F);
    add_matrix(block + "attn_q", TinyModel::kWidth, TinyModel::kWidth);
    add_matrix(block + "attn_k", TinyModel::kWidth, kKvWidth);
    add_matrix(block + "attn_v", TinyModel::kWidth, kKvWidth);
    add_matrix(block + "attn_output", TinyModel::kWidth, TinyModel::kWidth);
    add(block + "ffn_norm", TinyModel::kWidth, 1, 0.5F, 1.5F);
    add_matrix(block + "ffn_gate", TinyModel::kWidth, TinyModel::kFeedForward);
    add_matrix(block + "ffn_up", TinyModel::kWidth, TinyModel::kFeedForward);
    add_matrix(block + "ffn_down", TinyModel::kFeedForward, TinyModel::kWidth);
  }
  return model;
}

inline ModelShape TinyShape() {
  return {.architecture = "llama",
          .blocks = TinyModel::kLayers,
          .width = TinyModel::kWidth,
          .heads = TinyModel::kHeads,
          .kv_heads = TinyModel::kKvHeads,
          .feed_forward = TinyModel::kFeedForward,
          .vocabulary = TinyModel::kVocabulary,
          .context = TinyModel::kContext,
          .tied_embeddings = false,
          .rope_base = TinyModel::kRopeBase,
          .norm_epsilon = TinyModel::kNormEpsilon};
}

// The fields of a tokenizer with TinyVocabulary().
inline void SetTinyTokenizer(gguf_context* fields) {
  const std::vector<std::string> tokens = TinyVocabulary();
  std::vector<const char*> texts;
  for (const std::string& token : tokens) texts.push_back(token.c_str());
  const std::vector<float> scores(tokens.size(), 0.0F);
  std::vector<std::int32_t> types(tokens.size(), 1);  // of llama.cpp's token types: 1 text, 2 unknown, 3 control, 6 byte
  types[0] = 2;
  types[1] = types[2] = 3;
  types[3] = 6;
  gguf_set_val_str(fields, "tokenizer.ggml.model", "llama");
  gguf_set_arr_str(fields, "tokenizer.ggml.tokens", texts.data(), texts.size());
  gguf_set_arr_data(fields, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
  gguf_set_arr_data(fields, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
  gguf_set_val_bool(fields, "tokenizer.ggml.add_bos_token", true);
  gguf_set_val_bool(fields, "tokenizer.ggml.add_space_prefix", false);
}

inline const std::atomic<bool> kNeverCancelled = false;

// Writes the model as a GGUF file, in place of one that has its name; `edit` may change or remove its fields first.
inline void WriteTinyModel(const TinyModel& model, const std::filesystem::path& path,
                           const std::function<void(gguf_context*)>& edit = {}, ggml_type type = GGML_TYPE_F32) {
  const Gguf fields(gguf_init_empty());
  SetShapeFields(fields.get(), TinyShape(), "Tiny");
  SetTinyTokenizer(fields.get());
  if (edit) edit(fields.get());
  const auto copy = [&](const ModelTensor& tensor, int row, std::span<float> values) {
    std::copy_n(model.weights.at(tensor.name).values.begin() + static_cast<std::ptrdiff_t>(row) * tensor.n_in, tensor.n_in,
                values.begin());
  };
  std::filesystem::remove(path);
  WriteModel(fields.get(), TinyShape(), type, copy, path, {}, kNeverCancelled);
}

}  // namespace verillm

#endif  // VERILLM_ENGINE_TEST_SUPPORT_H_
