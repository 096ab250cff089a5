// One sequence at a time on a loaded model: prefill and single steps, with the hidden states of a capture plan handed out as they
// are computed.
#ifndef VERILLM_ENGINE_SESSION_H_
#define VERILLM_ENGINE_SESSION_H_

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "engine/model.h"
#include "trace/capture.h"
#include "trace/provenance.h"
#include "trace/trace_file.h"

struct llama_context;

namespace verillm {

// Rows of one capture point as llama.cpp computed them (F32), for consecutive positions. `states` lives until the sink returns.
struct StateRows {
  CapturePoint point;
  int position;  // of the first row
  int n_rows;
  std::span<const float> states;  // n_rows x width
};

// Receives rows: all capture points of one pass (at most Schedule::chunk positions), shallow ones first, before the next pass.
using StateSink = std::function<void(const StateRows&)>;

// What to record. Positions below `first_position` are computed but not handed out.
struct Recording {
  CapturePlan plan;
  int first_position = 0;
  StateSink sink = {};
  // Receives the logits of each position from `first_logits` on, pass by pass; they live until the sink returns.
  int first_logits = std::numeric_limits<int>::max();
  std::function<void(int position, std::span<const float> logits)> logits_sink = {};
};

class Session {
 public:
  // Makes a context for schedule.context positions. `cancel` may be set by another thread at any time; the pass under way is the
  // last. Error(kUsage) where the schedule or the recording's plan does not fit the model, Error(kWorker) where memory does not
  // suffice.
  Session(const Model& model, const Schedule& schedule, Recording recording, const std::atomic<bool>& cancel);
  ~Session();

  // Begins another sequence in the same memory, which saves making a context and touching its pages, most of them logits.
  // The states are the same bits as in a new session. Error(kUsage) where the plan does not fit the model.
  void Restart(Recording recording);

  // Whether a sequence with this schedule can be run by Restart.
  bool Serves(const Schedule& schedule) const;

  // Appends `tokens` in passes of at most schedule.chunk, fewer where logits are handed out and those of a whole chunk would take
  // too much memory. Tokens before the first position that is recorded or gives logits become passes of their own where that
  // takes no more passes, and these end when keys and values of the last block needed are stored. The first
  // schedule.shared_prefix tokens of a sequence are computed as another sequence, from which this one goes on. With `want_logits`
  // the logits of the last token are computed; where no logits are wanted at all, each pass ends where the last capture point is
  // reached: llama.cpp's blocks above it, and the vocabulary, are never computed, and the states are the same bits; nor are keys
  // and values of these blocks, so that later logits of this session would be wrong. `progress` hears the number of tokens done
  // after each pass. Error(kCancelled).
  void Prefill(std::span<const Token> tokens, bool want_logits, const std::function<void(int)>& progress = {});

  // Appends one token, in one pass with a token of each of the other sequences that the schedule names (they repeat what this
  // sequence began with).
  void Step(Token token, bool want_logits = true);

  // Of the last token, one a vocabulary entry; valid until the next call.
  std::span<const float> logits() const;

  int n_tokens() const { return n_tokens_; }

 private:
  class Recorder;
  struct Free {
    void operator()(llama_context* context) const;
  };

  struct Pass {
    bool stop_early;     // may end at the last capture point
    bool only_attended;  // may end where later positions find all keys and values that they need
    bool in_company;     // with tokens of the other sequences
  };

  // One pass: tokens of this sequence at their positions, companions first.
  void Decode(std::span<const Token> tokens, bool want_logits, Pass pass);
  int PassSize() const;

  const Model& model_;
  const std::atomic<bool>& cancel_;
  Schedule schedule_;
  int n_tokens_ = 0;
  int logits_row_ = -1;
  bool in_prefix_ = false;        // the pass under way computes the shared prefix
  int n_steps_ = 0;               // taken in company
  std::vector<Token> beginning_;  // what companions repeat
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<llama_context, Free> context_;
};

}  // namespace verillm

#endif  // VERILLM_ENGINE_SESSION_H_
