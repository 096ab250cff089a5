#include "engine/synthesize.h"

#include <fmt/format.h>
#include <gguf.h>
#include <llama.h>

#include <cstddef>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/gguf_file.h"
#include "engine/model_writer.h"
#include "engine/random_weights.h"

namespace verillm {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kScores = "tokenizer.ggml.scores";

// The fields of another file that describe its tokenizer.
Gguf TokenizerFields(const gguf_context* from) {
  Gguf fields(gguf_init_empty());
  gguf_set_kv(fields.get(), from);
  for (std::int64_t i = gguf_get_n_kv(fields.get()) - 1; i >= 0; --i) {
    const std::string key = gguf_get_key(fields.get(), i);
    if (!key.starts_with("tokenizer.")) gguf_remove_key(fields.get(), key.c_str());
  }
  return fields;
}

// The array `key` of numbers, one a token; empty where there is none.
template <typename Number>
std::vector<Number> NumbersOfTokens(const gguf_context* fields, const char* key, gguf_type type, std::size_t n_tokens,
                                    const std::filesystem::path& path) {
  const std::int64_t id = gguf_find_key(fields, key);
  if (id < 0) return {};
  if (gguf_get_kv_type(fields, id) != GGUF_TYPE_ARRAY || gguf_get_arr_type(fields, id) != type ||
      gguf_get_arr_n(fields, id) != n_tokens) {
    throw Error(ErrorKind::kInput, fmt::format("{}: field {} is no array of {} numbers of type {}", path.string(), key, n_tokens,
                                               gguf_type_name(type)));
  }
  const auto* const numbers = static_cast<const Number*>(gguf_get_arr_data(fields, id));
  return {numbers, numbers + n_tokens};
}

// Fills the vocabulary up to `n_vocab` tokens. `path` is the file that it comes from.
void PadVocabulary(gguf_context* fields, std::size_t n_vocab, const std::filesystem::path& path) {
  const std::int64_t id = gguf_find_key(fields, kTokens);
  if (gguf_get_arr_type(fields, id) != GGUF_TYPE_STRING) {
    throw Error(ErrorKind::kInput, fmt::format("{}: field {} is no array of texts", path.string(), kTokens));
  }
  std::vector<std::string> tokens;
  const std::size_t n_tokens = gguf_get_arr_n(fields, id);
  for (std::size_t i = 0; i < n_tokens; ++i) tokens.emplace_back(gguf_get_arr_str(fields, id, i));
  auto types = NumbersOfTokens<std::int32_t>(fields, kTypes, GGUF_TYPE_INT32, n_tokens, path);
  auto scores = NumbersOfTokens<float>(fields, kScores, GGUF_TYPE_FLOAT32, n_tokens, path);

  for (std::size_t i = n_tokens; i < n_vocab; ++i) tokens.push_back(fmt::format("[PAD{}]", i));
  std::vector<const char*> texts;
  for (const std::string& token : tokens) texts.push_back(token.c_str());
  gguf_set_arr_str(fields, kTokens, texts.data(), texts.size());
  if (types.empty()) types.assign(n_tokens, LLAMA_TOKEN_TYPE_NORMAL);
  types.resize(n_vocab, LLAMA_TOKEN_TYPE_UNUSED);
  gguf_set_arr_data(fields, kTypes, GGUF_TYPE_INT32, types.data(), types.size());
  if (scores.empty()) return;
  scores.resize(n_vocab, -1000);  // never a part of a text
  gguf_set_arr_data(fields, kScores, GGUF_TYPE_FLOAT32, scores.data(), scores.size());
}

}  // namespace

void SynthesizeModel(const Synthesis& synthesis, const std::filesystem::path& to, const ByteProgress& progress,
                     const std::atomic<bool>& cancel) {
  const int n_tokens = InspectGguf(synthesis.tokenizer).n_vocab;
  ModelShape shape = synthesis.shape;
  if (shape.vocabulary == 0) shape.vocabulary = n_tokens;
  CheckShape(shape);
  if (n_tokens > shape.vocabulary) {
    throw Error(ErrorKind::kInput,
                fmt::format("{}: its {} tokens do not fit a vocabulary of {}: choose a vocabulary of {} or more",
                            synthesis.tokenizer.string(), n_tokens, shape.vocabulary, n_tokens));
  }

  const Gguf fields = TokenizerFields(ReadGguf(synthesis.tokenizer).get());
  if (n_tokens < shape.vocabulary) PadVocabulary(fields.get(), static_cast<std::size_t>(shape.vocabulary), synthesis.tokenizer);
  SetShapeFields(fields.get(), shape, synthesis.name);
  const RandomWeights weights(shape, n_tokens, synthesis.seed);
  WriteModel(
      fields.get(), shape, GGML_TYPE_F16,
      [&](const ModelTensor& tensor, int row, std::span<float> values) { weights.FillRow(tensor, row, values); }, to, progress,
      cancel);
}

}  // namespace verillm
