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
namespace {

// Sequences of a context: ours, one for a prefix shared with an earlier request, then the companions.
constexpr llama_seq_id kOwn = 0;
constexpr llama_seq_id kPrefix = 1;
constexpr llama_seq_id kFirstCompanion = 2;

// Most logits that one pass holds where they are handed out.
constexpr std::size_t kMaxLogitsBytes = std::size_t{128} << 20;

ggml_type GgmlType(CacheType type) {
  switch (type) {
    case CacheType::kF16:
      return GGML_TYPE_F16;
    case CacheType::kF32:
      return GGML_TYPE_F32;
    case CacheType::kBF16:
      return GGML_TYPE_BF16;
    case CacheType::kQ8_0:
      return GGML_TYPE_Q8_0;
    case CacheType::kQ5_0:
      return GGML_TYPE_Q5_0;
    case CacheType::kQ4_1:
      return GGML_TYPE_Q4_1;
    case CacheType::kQ4_0:
      return GGML_TYPE_Q4_0;
  }
  return GGML_TYPE_F16;
}

llama_flash_attn_type FlashAttentionType(FlashAttention flash_attention) {
  switch (flash_attention) {
    case FlashAttention::kAuto:
      return LLAMA_FLASH_ATTN_TYPE_AUTO;
    case FlashAttention::kOff:
      return LLAMA_FLASH_ATTN_TYPE_DISABLED;
    case FlashAttention::kOn:
      return LLAMA_FLASH_ATTN_TYPE_ENABLED;
  }
  return LLAMA_FLASH_ATTN_TYPE_AUTO;
}

}  // namespace

// Takes the states of a plan out of llama.cpp's graph through its evaluation callback. ggml asks of every node whether it is
// wanted; a wanted node ends a stretch of the graph and is shown when that stretch is computed. Stretches cost time, so our
// llama.cpp (scripts/build-engine) asks already when it builds the graph and keeps what is wanted until the pass is over; then
// only the node that ends a pass early ends a stretch.
class Session::Recorder {
 public:
  // For a context whose graphs keep what this recording wants.
  Recorder(int n_layer, int width, Recording recording) : n_layer_(n_layer), width_(static_cast<std::size_t>(width)) {
    Record(std::move(recording));
    kept_points_ = points_;
  }

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

  // Whether the output of a position has to be asked for, so that its states exist or its logits can be handed out.
  bool NeedsOutput(int position) const {
    return (needs_outputs_ && position >= recording_.first_position) || WantsLogits(position);
  }
  bool WantsLogits(int position) const { return position >= recording_.first_logits; }
  // Nothing is asked of the positions before this one: later ones attend to them, that is all.
  int first_wanted() const { return std::min(recording_.first_position, recording_.first_logits); }
  bool WantsAnyLogits() const { return recording_.first_logits != std::numeric_limits<int>::max(); }

  void HandOutLogits(int position, std::span<const float> logits) const { recording_.logits_sink(position, logits); }

  // Announces a pass over `n_tokens` positions from `position` on, the last rows of a batch of `n_batch`; `stop_early` lets it
  // end at the last capture point, `only_attended` already where later positions find its keys and values.
  void Begin(int position, int n_tokens, int n_batch, bool stop_early, bool only_attended) {
    position_ = position;
    n_tokens_ = n_tokens;
    n_batch_ = n_batch;
    n_recorded_ = std::clamp(position + n_tokens - recording_.first_position, 0, n_tokens);
    stop_early_ = stop_early;
    last_stores_.clear();
    if (only_attended) {
      const bool to_last_point = stop_early && !recording_.plan.points.empty() && !recording_.plan.points.back().is_final();
      const int last_block = to_last_point ? recording_.plan.points.back().layer() - 1 : n_layer_ - 1;
      last_stores_ = {fmt::format("cache_k_l{} ", last_block), fmt::format("cache_v_l{} ", last_block)};
    }
    n_shown_ = 0;
    stopped_ = false;
    kept_.clear();
    embeddings_.clear();
    failure_ = nullptr;
  }

  // Ends the pass, which is computed: hands out what was kept or held back, and throws what the sink threw inside llama.cpp's
  // code.
  void End() {
    if (failure_ == nullptr) {
      ShowKept();
      HandOutEmbeddings();
    }
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    if (n_recorded_ > 0 && n_shown_ < recording_.plan.points.size()) {
      throw Error(ErrorKind::kWorker, fmt::format("llama.cpp's graph of this model shows {} of the {} capture points", n_shown_,
                                                  recording_.plan.points.size()));
    }
  }

  static bool Callback(ggml_tensor* tensor, bool ask, void* self) { return static_cast<Recorder*>(self)->Observe(tensor, ask); }

 private:
  bool Observe(ggml_tensor* tensor, bool ask) {
    // Not allocated yet: the graph is being built. The answers stay the same, since llama.cpp lays out memory once for all graphs
    // alike.
    if (tensor->buffer == nullptr) return kept_points_.contains(tensor->name);
    // A stop ends one stretch only; graphs split over backends go on with the next, whose first node is refused here.
    if (stopped_) return ask;
    const auto wanted = Wanted(tensor);
    if (ask) return EndsStores(tensor) || (wanted != points_.end() && EndsStretch(tensor, wanted->second));
    if (wanted == points_.end()) {
      stopped_ = true;  // the last store
      return false;
    }
    try {
      ShowKept();
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

  // Whether all that a pass is made for is in the cache with this node. llama.cpp names a store after the cache's tensor; an
  // architecture that has no such two stores computes the rest in vain.
  bool EndsStores(const ggml_tensor* tensor) {
    if (last_stores_.empty() || tensor->op != GGML_OP_SET_ROWS) return false;
    return std::erase_if(last_stores_,
                         [&](const std::string& store) { return std::string_view(tensor->name).starts_with(store); }) > 0 &&
           last_stores_.empty();
  }

  // Whether a wanted node has to be shown before the graph goes on; else it is kept.
  bool EndsStretch(const ggml_tensor* tensor, CapturePoint point) {
    if (EndsPass(point)) return true;
    if (n_recorded_ == 0) return false;
    if ((tensor->flags & GGML_TENSOR_FLAG_OUTPUT) == 0) return true;
    kept_.emplace_back(tensor, point);
    return false;
  }

  void ShowKept() {
    for (const auto& [tensor, point] : std::exchange(kept_, {})) Show(tensor, point);
  }

  void Show(const ggml_tensor* tensor, CapturePoint point) {
    const std::int64_t n_rows = tensor->ne[1];
    if (tensor->type != GGML_TYPE_F32 || static_cast<std::size_t>(tensor->ne[0]) != width_ || !ggml_is_contiguous(tensor) ||
        (n_rows != n_batch_ && n_rows < n_recorded_)) {
      throw Error(ErrorKind::kWorker, fmt::format("tensor {} of llama.cpp's graph is {} [{}, {}], not F32 [{}, {}]", tensor->name,
                                                  ggml_type_name(tensor->type), tensor->ne[0], n_rows, width_, n_batch_));
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
  std::map<std::string, CapturePoint, std::less<>> points_;       // by names of nodes
  std::map<std::string, CapturePoint, std::less<>> kept_points_;  // in graphs of this context
  int n_layer_;
  std::size_t width_;
  bool needs_outputs_ = false;

  // Of the pass under way.
  int position_ = 0;
  int n_tokens_ = 0;
  int n_batch_ = 0;
  int n_recorded_ = 0;
  bool stop_early_ = false;
  std::vector<std::string> last_stores_;  // of keys and values, still to come before the pass may end
  bool stopped_ = false;
  std::vector<std::pair<const ggml_tensor*, CapturePoint>> kept_;  // computed by the end of the pass, and not overwritten
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
  CheckScheduleRequest(schedule);
  recorder_ = std::make_unique<Recorder>(model.identity().n_layer, model.identity().width, std::move(recording));

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(schedule.context * schedule.sequences);
  params.n_threads = schedule.threads;
  params.n_threads_batch = schedule.threads;
  params.flash_attn_type = FlashAttentionType(schedule.flash_attention);
  params.type_k = params.type_v = GgmlType(schedule.cache);
  const bool alone = schedule.sequences == 1 && schedule.shared_prefix == 0;
  const int n_sequences = alone ? 1 : kFirstCompanion + schedule.sequences - 1;
  if (!alone) {
    // All sequences in one cache, as servers keep them.
    params.n_seq_max = static_cast<std::uint32_t>(n_sequences);
    params.kv_unified = true;
  }
  // llama.cpp wants room for an output of every sequence.
  params.n_batch = static_cast<std::uint32_t>(std::max(std::min(schedule.chunk, schedule.context), n_sequences));
  params.n_ubatch = params.n_batch;
  params.cb_eval = Recorder::Callback;
  params.cb_eval_user_data = recorder_.get();
  context_.reset(llama_init_from_model(model.get(), params));
  if (!context_) {
    throw Error(ErrorKind::kWorker,
                fmt::format("llama.cpp cannot make a context of {} positions with keys and values in {} and "
                            "flash attention {} (see --verbose); is there enough memory?",
                            schedule.context, CacheTypeName(schedule.cache), FlashAttentionName(schedule.flash_attention)));
  }
}

Session::~Session() = default;

void Session::Restart(Recording recording) {
  CheckPlan(recording.plan, model_.identity().n_layer);
  recorder_->Record(std::move(recording));
  // The values are cleared too: attention multiplies what it masks by zero, and a NaN left behind would survive that.
  llama_memory_clear(llama_get_memory(context_.get()), true);
  n_tokens_ = 0;
  logits_row_ = -1;
  n_steps_ = 0;
  beginning_.clear();
}

bool Session::Serves(const Schedule& schedule) const {
  Schedule same = schedule;
  same.context = schedule_.context;
  return schedule.context <= schedule_.context && same == schedule_;
}

int Session::PassSize() const {
  if (!recorder_->WantsAnyLogits()) return schedule_.chunk;
  const std::size_t row_bytes = static_cast<std::size_t>(model_.identity().n_vocab) * sizeof(float);
  return std::min(schedule_.chunk, std::max(1, static_cast<int>(kMaxLogitsBytes / row_bytes)));
}

void Session::Prefill(std::span<const Token> tokens, bool want_logits, const std::function<void(int)>& progress) {
  if (tokens.empty()) return;
  // Where logits are wanted in the end, all passes have to fill the key and value caches of all blocks.
  const bool stop_early = !want_logits && !recorder_->WantsAnyLogits();
  const int n_before = n_tokens_;
  const int n = static_cast<int>(tokens.size());
  const auto append = [&](int begin, int end, int pass_size) {
    while (begin < end) {
      const int next = std::min(end, begin + pass_size);
      const bool gives_logits = want_logits && next == n;
      const bool only_attended = n_before + next <= recorder_->first_wanted() && !gives_logits;
      Decode(tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(next - begin)), gives_logits,
             {.stop_early = stop_early, .only_attended = only_attended, .in_company = false});
      begin = next;
      if (progress) progress(begin);
    }
  };
  const int n_prefix = n_before == 0 ? std::min(n - 1, schedule_.shared_prefix) : 0;
  if (n_prefix > 0) {
    in_prefix_ = true;
    append(0, n_prefix, PassSize());
    in_prefix_ = false;
    llama_memory_seq_cp(llama_get_memory(context_.get()), kPrefix, kOwn, 0, n_prefix);
  }
  // What is only attended to becomes passes of its own, which end earlier; not where that takes more passes, since each reads
  // all weights.
  const auto n_passes = [](int n_tokens, int pass_size) { return (n_tokens + pass_size - 1) / pass_size; };
  int n_attended = std::clamp(recorder_->first_wanted() - n_before, n_prefix, n);
  if (n_passes(n_attended - n_prefix, schedule_.chunk) + n_passes(n - n_attended, PassSize()) >
      n_passes(n - n_prefix, PassSize()))
    n_attended = n_prefix;
  append(n_prefix, n_attended, schedule_.chunk);
  append(n_attended, n, PassSize());
  if (schedule_.sequences > 1) beginning_.insert(beginning_.end(), tokens.begin(), tokens.end());
}

void Session::Step(Token token, bool want_logits) {
  Decode({&token, 1}, want_logits,
         {.stop_early = !want_logits && !recorder_->WantsAnyLogits(), .only_attended = false, .in_company = true});
}

void Session::Decode(std::span<const Token> tokens, bool want_logits, Pass pass) {
  if (cancel_) throw Error(ErrorKind::kCancelled, "cancelled");
  const int n = static_cast<int>(tokens.size());
  if (n_tokens_ + n > schedule_.context) {
    throw Error(ErrorKind::kUsage, fmt::format("{} tokens do not fit into a context of {}", n_tokens_ + n, schedule_.context));
  }
  const int n_companions = pass.in_company && !beginning_.empty() ? schedule_.sequences - 1 : 0;
  const std::size_t n_batch = tokens.size() + static_cast<std::size_t>(n_companions);
  std::vector<Token> token_ids;
  std::vector<llama_pos> positions;
  std::vector<llama_seq_id> sequence_ids;
  std::vector<std::int8_t> outputs;
  for (int i = 0; i < n_companions; ++i) {
    // Each begins at another place, so that they differ.
    token_ids.push_back(beginning_[static_cast<std::size_t>(7 * i + n_steps_) % beginning_.size()]);
    positions.push_back(n_steps_);
    sequence_ids.push_back(kFirstCompanion + i);
    outputs.push_back(1);
  }
  n_steps_ += n_companions > 0;
  for (int i = 0; i < n; ++i) {
    token_ids.push_back(tokens[static_cast<std::size_t>(i)]);
    positions.push_back(n_tokens_ + i);
    sequence_ids.push_back(in_prefix_ ? kPrefix : kOwn);
    outputs.push_back(recorder_->NeedsOutput(n_tokens_ + i));
  }
  if (want_logits) outputs.back() = 1;
  std::vector<int> n_sequences(n_batch, 1);
  std::vector<llama_seq_id*> sequences;
  for (llama_seq_id& id : sequence_ids) sequences.push_back(&id);

  // A pass that ends at the last capture point leaves no logits. A context that is asked for embeddings instead holds none, which
  // saves the memory of them and copying it.
  llama_set_embeddings(context_.get(), pass.stop_early);
  recorder_->Begin(n_tokens_, n, static_cast<int>(n_batch), pass.stop_early, pass.only_attended);
  const int status = llama_decode(context_.get(), {.n_tokens = static_cast<int>(n_batch),
                                                   .token = token_ids.data(),
                                                   .embd = nullptr,
                                                   .pos = positions.data(),
                                                   .n_seq_id = n_sequences.data(),
                                                   .seq_id = sequences.data(),
                                                   .logits = outputs.data()});
  if (status != 0)
    throw Error(ErrorKind::kWorker,
                fmt::format("llama.cpp failed on positions {} to {} (status {})", n_tokens_, n_tokens_ + n - 1, status));
  llama_synchronize(context_.get());
  recorder_->End();
  for (int i = 0; i < n; ++i) {
    if (!recorder_->WantsLogits(n_tokens_ + i)) continue;
    logits_row_ = n_companions + i;
    recorder_->HandOutLogits(n_tokens_ + i, logits());
  }
  n_tokens_ += n;
  logits_row_ = want_logits ? static_cast<int>(n_batch) - 1 : -1;
}

std::span<const float> Session::logits() const {
  const float* logits = logits_row_ < 0 ? nullptr : llama_get_logits_ith(context_.get(), logits_row_);
  if (logits == nullptr) throw Error(ErrorKind::kWorker, "no logits were computed");
  return {logits, static_cast<std::size_t>(model_.identity().n_vocab)};
}

}  // namespace verillm
