#include "engine/model.h"

#include <fmt/format.h>
#include <llama.h>

#include <array>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/gguf_file.h"

namespace verillm {
namespace {

// SHA-256 over the texts of all tokens, each ended by a zero byte.
std::string VocabularyDigest(const llama_vocab* vocab) {
  std::string texts;
  for (int token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    texts += llama_vocab_get_text(vocab, token);
    texts += '\0';
  }
  return Sha256Hex(std::as_bytes(std::span(texts)));
}

}  // namespace

void Model::Free::operator()(llama_model* model) const { llama_model_free(model); }

Model::Model(const std::filesystem::path& path, std::string digest, const Device& device,
             const std::function<bool(double)>& progress) {
  const LoggedTime timed("loading the model");
  const GgufSummary summary = InspectGguf(path);

  std::array<ggml_backend_dev_t, 2> devices = {device.offload(), nullptr};
  bool cancelled = false;
  auto on_progress = [&](double share) {
    cancelled = progress && !progress(share);
    return !cancelled;
  };
  llama_model_params params = llama_model_default_params();
  params.devices = devices.data();
  params.n_gpu_layers = device.offload() == nullptr ? 0 : -1;
  params.use_extra_bufts = device.repacks_weights();
  params.progress_callback = [](float share, void* data) { return (*static_cast<decltype(on_progress)*>(data))(share); };
  params.progress_callback_user_data = &on_progress;
  model_.reset(llama_model_load_from_file(path.c_str(), params));
  if (cancelled) throw Error(ErrorKind::kCancelled, "cancelled");
  if (!model_) throw Error(ErrorKind::kInput, fmt::format("{}: llama.cpp cannot load this model", path.string()));
  if (!llama_model_has_decoder(model_.get()) || llama_model_has_encoder(model_.get())) {
    throw Error(ErrorKind::kInput, fmt::format("{}: is not a model that generates text from text alone", path.string()));
  }

  vocab_ = llama_model_get_vocab(model_.get());
  n_context_ = llama_model_n_ctx_train(model_.get());
  identity_ = {.name = summary.name,
               .digest = std::move(digest),
               .architecture = summary.architecture,
               .weight_type = summary.WeightType(),
               .n_layer = llama_model_n_layer(model_.get()),
               .width = llama_model_n_embd(model_.get()),
               .n_vocab = llama_vocab_n_tokens(vocab_),
               .vocabulary_digest = VocabularyDigest(vocab_)};
}

Model::~Model() = default;

std::string Model::ApplyChatTemplate(const std::string& prompt) const {
  const char* chat_template = llama_model_chat_template(model_.get(), nullptr);
  if (chat_template == nullptr) return prompt;
  const llama_chat_message message = {"user", prompt.c_str()};
  std::string text(2 * prompt.size() + 1024, '\0');
  const int size = llama_chat_apply_template(chat_template, &message, 1, true, text.data(), static_cast<int>(text.size()));
  if (size < 0) {
    throw Error(ErrorKind::kInput,
                "llama.cpp does not know the chat template of this model; wrap the prompt yourself and use --raw");
  }
  if (static_cast<std::size_t>(size) > text.size()) {
    text.resize(static_cast<std::size_t>(size));
    llama_chat_apply_template(chat_template, &message, 1, true, text.data(), size);
  }
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::vector<Token> Model::Tokenize(std::string_view text) const {
  if (text.size() > 0x7FFFFFFF) throw Error(ErrorKind::kInput, fmt::format("a text of {} bytes is too long", text.size()));
  const int n_bytes = static_cast<int>(text.size());
  const int n_tokens = -llama_tokenize(vocab_, text.data(), n_bytes, nullptr, 0, true, true);
  std::vector<Token> tokens(n_tokens > 0 ? static_cast<std::size_t>(n_tokens) : 0);
  if (!tokens.empty()) llama_tokenize(vocab_, text.data(), n_bytes, tokens.data(), n_tokens, true, true);
  return tokens;
}

std::string Model::Detokenize(std::span<const Token> tokens) const {
  std::string text;
  std::string piece(256, '\0');
  for (const Token token : tokens) {
    if (token < 0 || token >= identity_.n_vocab) {
      throw Error(ErrorKind::kInput, fmt::format("token {} is outside the vocabulary of {}", token, identity_.n_vocab));
    }
    int size = llama_token_to_piece(vocab_, token, piece.data(), static_cast<int>(piece.size()), 0, true);
    if (size < 0) {
      piece.resize(static_cast<std::size_t>(-size));
      size = llama_token_to_piece(vocab_, token, piece.data(), static_cast<int>(piece.size()), 0, true);
    }
    text.append(piece, 0, static_cast<std::size_t>(size));
  }
  return text;
}

bool Model::IsEndOfText(Token token) const { return llama_vocab_is_eog(vocab_, token); }

}  // namespace verillm
