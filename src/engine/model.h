// A GGUF model loaded on the device of this process: weights, tokenizer, chat template.
#ifndef VERILLM_ENGINE_MODEL_H_
#define VERILLM_ENGINE_MODEL_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/device.h"
#include "trace/provenance.h"
#include "trace/trace_file.h"

struct llama_model;
struct llama_vocab;

namespace verillm {

class Model {
 public:
  // Loads the file onto the device; `digest` is the file's SHA-256, which the caller knows. `progress` hears the share loaded, 0
  // to 1, and stops the loading (Error(kCancelled)) by returning false. Error(kInput) where the file is no sound model.
  Model(const std::filesystem::path& path, std::string digest, const Device& device,
        const std::function<bool(double)>& progress = {});
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelIdentity& identity() const { return identity_; }
  int n_context() const { return n_context_; }  // positions that the model was trained for

  // The prompt as the model's chat template wraps one user message, or as it is where the model has no template. Error(kInput)
  // where llama.cpp does not know the template.
  std::string ApplyChatTemplate(const std::string& prompt) const;

  // Tokens of a text, with the special tokens in it recognised and those put in front that the model wants (beginning of text).
  std::vector<Token> Tokenize(std::string_view text) const;

  // The bytes that tokens stand for, special tokens spelled out: the texts of the tokens one after the other. Not always UTF-8.
  std::string Detokenize(std::span<const Token> tokens) const;

  bool IsEndOfText(Token token) const;

  llama_model* get() const { return model_.get(); }

 private:
  struct Free {
    void operator()(llama_model* model) const;
  };

  ModelIdentity identity_;
  int n_context_ = 0;
  std::unique_ptr<llama_model, Free> model_;
  const llama_vocab* vocab_ = nullptr;
};

}  // namespace verillm

#endif  // VERILLM_ENGINE_MODEL_H_
