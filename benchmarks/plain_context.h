// llama.cpp by itself, as the contender of verillm: no callback, no capture.
#ifndef VERILLM_BENCHMARKS_PLAIN_CONTEXT_H_
#define VERILLM_BENCHMARKS_PLAIN_CONTEXT_H_

#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/model.h"
#include "engine/sampler.h"

namespace verillm {

using Clock = std::chrono::steady_clock;

constexpr int kChunk = 512;

inline double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Waits until the threads of who computed before sleep: OpenMP's spin for some milliseconds first, on the cores of who comes
// next.
inline void LetThreadsSleep() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

class PlainContext {
 public:
  PlainContext(const Model& model, int n_context,
               int n_threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency())))
      : model_(model) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<std::uint32_t>(n_context);
    params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(std::min(kChunk, n_context));
    params.n_threads = params.n_threads_batch = n_threads;
    context_.reset(llama_init_from_model(model.get(), params));
    if (!context_) throw Error(ErrorKind::kWorker, "llama.cpp cannot make a context");
  }

  void Clear() { llama_memory_clear(llama_get_memory(context_.get()), true); }

  void Append(std::vector<Token> tokens) {
    for (std::size_t done = 0; done < tokens.size(); done += kChunk) {
      const int n = static_cast<int>(std::min<std::size_t>(kChunk, tokens.size() - done));
      if (llama_decode(context_.get(), llama_batch_get_one(tokens.data() + done, n)) != 0)
        throw Error(ErrorKind::kWorker, "llama_decode failed");
    }
    llama_synchronize(context_.get());
  }

  // The same with the logits of every position from `first_logits` on, a chunk at a time.
  void AppendForLogits(std::vector<Token> tokens, int first_logits) {
    llama_batch batch = llama_batch_init(kChunk, 0, 1);
    for (std::size_t done = 0; done < tokens.size(); done += kChunk) {
      batch.n_tokens = static_cast<int>(std::min<std::size_t>(kChunk, tokens.size() - done));
      for (int i = 0; i < batch.n_tokens; ++i) {
        const int position = static_cast<int>(done) + i;
        batch.token[i] = tokens[static_cast<std::size_t>(position)];
        batch.pos[i] = position;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = position >= first_logits;
      }
      if (llama_decode(context_.get(), batch) != 0) throw Error(ErrorKind::kWorker, "llama_decode failed");
    }
    llama_synchronize(context_.get());
    llama_batch_free(batch);
  }

  // Generates after what was appended. Error(kWorker) where other tokens come out than `expected`: not the same work.
  void Generate(std::span<const Token> expected, const Sampling& sampling, int position) {
    for (const Token token : expected) {
      if (Sample(logits(), sampling, position++) != token)
        throw Error(ErrorKind::kWorker, "plain llama.cpp chose another token: not the same work");
      Append({token});
    }
  }

 private:
  std::span<const float> logits() const {
    return {llama_get_logits_ith(context_.get(), -1), static_cast<std::size_t>(model_.identity().n_vocab)};
  }

  struct Free {
    void operator()(llama_context* context) const { llama_free(context); }
  };

  const Model& model_;
  std::unique_ptr<llama_context, Free> context_;
};

}  // namespace verillm

#endif  // VERILLM_BENCHMARKS_PLAIN_CONTEXT_H_
