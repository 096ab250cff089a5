#include "engine/session.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace verillm {

// Takes the states of a plan out of llama.cpp's graph through its evaluation callback. ggml asks of every node whether it is
// wanted; a wanted node ends a stretch of the graph and is shown when that stretch is computed.
class Session::Recorder {
 public:
  Recorder(int n_layer, int width) : n_layer_(n_layer), width_(static_cast<std::size_t>(width)) {}

  // From now on records this.
  void Record(Recording recording) {
    recording_ = std::move(recording);
    points_.clear();
    needs_outputs_ = false;
    for (const CapturePoint point : recording_.plan.points) {
      if (point.is_final()) {
        // A context that is asked for embeddings gives the same tensor the second name.
        for (const char* name : {"result_norm", "result_embd_pooled"}) points_.emplace(name, point);
      } else if (point.layer() > 0) {
        points_.emplace("l_out-" + std::to_string(point.layer() - 1), point);
      } else {
        // The embeddings as they enter the first block ("inp_embd" before llama.cpp 0.5); architectures that scale them (Gemma)
        // name the scaled ones.
        for (const char* name : {"embd", "inp_embd", "inp_scaled"}) points_.emplace(name, point);
      }
      // llama.cpp computes the end of the last block, and what follows it, only for positions whose output was asked for.
      needs_outputs_ |= point.is_final() || point.layer() == n_layer_;
    }
  }

  // Whether the output of a position has to be asked for, so that its states exist.
  bool NeedsOutput(int position) const { return needs_outputs_ && position >= recording_.first_position; }

  // Announces a pass over `n_tokens` positions from `position` on; `stop_early` lets it end at the last capture point.
  void Begin(int position, int n_tokens, bool stop_early) {
    position_ = position;
    n_tokens_ = n_tokens;
    n_recorded_ = std::clamp(position + n_tokens - recording_.first_position, 0, n_tokens);
    stop_early_ = stop_early;
    n_shown_ = 0;
    stopped_ = false;
    embeddings_.clear();
    failure_ = nullptr;
  }

  // Ends the pass: hands out what is still held back, and throws what the sink threw inside llama.cpp's code.
  void End() {
    if (failure_ == nullptr) HandOutEmbeddings();
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    if (n_recorded_ > 0 && n_shown_ < recording_.plan.points.size()) {
      throw Error(ErrorKind::kWorker, fmt::format("llama.cpp's graph of this model shows {} of the {} capture points", n_shown_,
                                                  recording_.plan.points.size()));
    }
  }

  static bool Callback(ggml_tensor* tensor, bool ask, void* self) { return static_cast<Recorder*>(self)->Observe(tensor, ask); }

 private:
  bool Observe(ggml_tensor* tensor, bool ask) {
    // A stop ends one stretch only; graphs split over backends go on with the next, whose first node is refused here.
    if (stopped_) return ask;
    const auto wanted = Wanted(tensor);
    if (ask) return wanted != points_.end() && (n_recorded_ > 0 || EndsPass(wanted->second));
    try {
      if (n_recorded_ > 0) Show(tensor, wanted->second);
      stopped_ = EndsPass(wanted->second);
    } catch (...) {
      failure_ = std::current_exception();
      stopped_ = true;
    }
    return !stopped_;
  }

  std::map<std::string, CapturePoint, std::less<>>::const_iterator Wanted(const ggml_tensor* tensor) const {
    return points_.find(std::string_view(tensor->name));
  }

  void Show(ggml_tensor* tensor, CapturePoint point) {
    const std::int64_t n_rows = tensor->ne[1];
    if (tensor->type != GGML_TYPE_F32 || static_cast<std::size_t>(tensor->ne[0]) != width_ || !ggml_is_contiguous(tensor) ||
        (n_rows != n_tokens_ && n_rows != n_recorded_)) {
      throw Error(ErrorKind::kWorker, fmt::format("tensor {} of llama.cpp's graph is {} [{}, {}], not F32 [{}, {}]", tensor->name,
                                                  ggml_type_name(tensor->type), tensor->ne[0], n_rows, width_, n_tokens_));
    }
    // The recorded positions are the last rows of the pass.
    const std::size_t n_values = static_cast<std::size_t>(n_recorded_) * width_;
    const std::size_t offset = (static_cast<std::size_t>(n_rows) * width_ - n_values) * sizeof(float);
    const float* states = nullptr;
    if (ggml_backend_buffer_is_host(tensor->buffer)) {
      states = reinterpret_cast<const float*>(static_cast<const std::byte*>(tensor->data) + offset);
    } else {
      scratch_.resize(n_values);
      ggml_backend_tensor_get(tensor, scratch_.data(), offset, n_values * sizeof(float));
      states = scratch_.data();
    }
    if (!point.is_final() && point.layer() == 0) {
      // Held back: a scaled version may follow and replace them.
      embeddings_.assign(states, states + n_values);
      return;
    }
    HandOutEmbeddings();
    HandOut(point, {states, n_values});
  }

  // Nothing above the last capture point is needed, not even keys and values; only the embeddings cannot end a pass, since a
  // scaled version may follow.
  bool EndsPass(CapturePoint point) const {
    return stop_early_ && point == recording_.plan.points.back() && point > CapturePoint::Layer(0);
  }

  void HandOutEmbeddings() {
    if (embeddings_.empty()) return;
    const std::vector<float> embeddings = std::exchange(embeddings_, {});
    HandOut(CapturePoint::Layer(0), embeddings);
  }

  void HandOut(CapturePoint point, std::span<const float> states) {
    ++n_shown_;
    recording_.sink({point, position_ + n_tokens_ - n_recorded_, n_recorded_, states});
  }

  Recording recording_;
  std::map<std::string, CapturePoint, std::less<>> points_;
  int n_layer_;
  std::size_t width_;
  bool needs_outputs_ = false;

  // Of the pass under way.
  int position_ = 0;
  int n_tokens_ = 0;
  int n_recorded_ = 0;
  bool stop_early_ = false;
  bool stopped_ = false;
  std::size_t n_shown_ = 0;
  std::vector<float> embeddings_;
  std::vector<float> scratch_;
  std::exception_ptr failure_;
};

void Session::Free::operator()(llama_context* context) const { llama_free(context); }

Session::Session(const Model& model, const Schedule& schedule, Recording recording, const std::atomic<bool>& cancel)
    : model_(model), cancel_(cancel), schedule_(schedule) {
  CheckPlan(recording.plan, model.identity().n_layer);
  if (schedule.chunk < 1 || schedule.threads < 1 || schedule.context < 1) {
    throw Error(ErrorKind::kUsage, fmt::format("a schedule of {} positions, chunks of {} and {} threads makes no sense",
                                               schedule.context, schedule.chunk, schedule.threads));
  }
  if (schedule.context > model.n_context()) {
    throw Error(ErrorKind::kUsage, fmt::format("prompt and output of {} tokens are longer than the model's context of {}: "
                                               "shorten the prompt or ask for fewer output tokens",
                                               schedule.context, model.n_context()));
  }
  recorder_ = std::make_unique<Recorder>(model.identity().n_layer, model.identity().width);
  recorder_->Record(std::move(recording));

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(schedule.context);
  params.n_batch = static_cast<std::uint32_t>(std::min(schedule.chunk, schedule.context));
  params.n_ubatch = params.n_batch;
  params.n_threads = schedule.threads;
  params.n_threads_batch = schedule.threads;
  params.cb_eval = Recorder::Callback;
  params.cb_eval_user_data = recorder_.get();
  context_.reset(llama_init_from_model(model.get(), params));
  if (!context_) throw Error(ErrorKind::kWorker, fmt::format("no memory for a context of {} positions", schedule.context));
}

Session::~Session() = default;

void Session::Restart(Recording recording) {
  CheckPlan(recording.plan, model_.identity().n_layer);
  recorder_->Record(std::move(recording));
  // The values are cleared too: attention multiplies what it masks by zero, and a NaN left behind would survive that.
  llama_memory_clear(llama_get_memory(context_.get()), true);
  n_tokens_ = 0;
  logits_row_ = -1;
}

bool Session::Serves(const Schedule& schedule) const {
  return schedule.context <= schedule_.context && schedule.chunk == schedule_.chunk && schedule.threads == schedule_.threads;
}

void Session::Prefill(std::span<const Token> tokens, bool want_logits, const std::function<void(int)>& progress) {
  for (std::size_t done = 0; done < tokens.size();) {
    const std::size_t n = std::min(tokens.size() - done, static_cast<std::size_t>(schedule_.chunk));
    // Where logits are wanted in the end, all passes have to fill the key and value caches of all blocks.
    Decode(tokens.subspan(done, n), want_logits && done + n == tokens.size(), !want_logits);
    done += n;
    if (progress) progress(static_cast<int>(done));
  }
}

void Session::Step(Token token) { Decode({&token, 1}, true, false); }

void Session::Decode(std::span<const Token> tokens, bool want_logits, bool stop_early) {
  if (cancel_) throw Error(ErrorKind::kCancelled, "cancelled");
  const int n = static_cast<int>(tokens.size());
  if (n_tokens_ + n > schedule_.context) {
    throw Error(ErrorKind::kUsage, fmt::format("{} tokens do not fit into a context of {}", n_tokens_ + n, schedule_.context));
  }
  std::vector<Token> token_ids(tokens.begin(), tokens.end());
  std::vector<llama_pos> positions(tokens.size());
  std::vector<std::int8_t> outputs(tokens.size());
  std::vector<int> n_sequences(tokens.size(), 1);
  llama_seq_id sequence = 0;
  std::vector<llama_seq_id*> sequences(tokens.size(), &sequence);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    positions[i] = n_tokens_ + static_cast<int>(i);
    outputs[i] = recorder_->NeedsOutput(positions[i]);
  }
  if (want_logits) outputs.back() = 1;

  // A pass that ends at the last capture point leaves no logits. A context that is asked for embeddings instead holds none, which
  // saves the memory of them and copying it.
  llama_set_embeddings(context_.get(), stop_early);
  recorder_->Begin(n_tokens_, n, stop_early);
  const int status = llama_decode(context_.get(), {.n_tokens = n,
                                                   .token = token_ids.data(),
                                                   .embd = nullptr,
                                                   .pos = positions.data(),
                                                   .n_seq_id = n_sequences.data(),
                                                   .seq_id = sequences.data(),
                                                   .logits = outputs.data()});
  if (status != 0)
    throw Error(ErrorKind::kWorker,
                fmt::format("llama.cpp failed on positions {} to {} (status {})", n_tokens_, n_tokens_ + n - 1, status));
  recorder_->End();
  n_tokens_ += n;
  logits_row_ = want_logits ? n - 1 : -1;
}

std::span<const float> Session::logits() const {
  const float* logits = logits_row_ < 0 ? nullptr : llama_get_logits_ith(context_.get(), logits_row_);
  if (logits == nullptr) throw Error(ErrorKind::kWorker, "no logits were computed");
  return {logits, static_cast<std::size_t>(model_.identity().n_vocab)};
}

}  // namespace verillm
