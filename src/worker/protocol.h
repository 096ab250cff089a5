// What a worker and its client say to each other, as structures with a form as frames. The client sends one request at a time and
// gets events, then one reply: "done" with the result, or "error". A "cancel" may come while a request is running.
#ifndef VERILLM_WORKER_PROTOCOL_H_
#define VERILLM_WORKER_PROTOCOL_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_store.h"
#include "trace/provenance.h"
#include "trace/trace_file.h"
#include "worker/frame.h"

namespace verillm {

// Raised whenever a message changes its meaning; both sides must have the same.
constexpr int kProtocolVersion = 3;

// A worker that answers a request sends something at least so often, "alive" where there is nothing else to say.
constexpr std::chrono::milliseconds kHeartbeat(1000);

// The phase of "progress" that a worker reports when it has to wait for its turn to compute.
constexpr std::string_view kWaitingPhase = "waiting for another worker of this host";

struct LoadResult {
  ModelIdentity model;
  double waited_seconds = 0;  // for its turn, here and below; no other time includes it
};

// Generate `output_tokens` tokens after the prompt and record the plan's states at their positions. Events: "prompt" (its
// tokens), "rows", "tokens".
struct GenerateRequest {
  std::string prompt;
  bool raw = false;  // do not wrap the prompt in the model's chat template
  Sampling sampling;
  int output_tokens = 0;
  CapturePlan plan;
  Schedule schedule;
};

struct GenerateResult {
  Schedule schedule;             // as it was computed
  std::uint64_t n_overflow = 0;  // elements beyond the range of the recorded type
  double prefill_seconds = 0;    // of the prompt
  double decode_seconds = 0;     // of the steps that generate, sampling and recording included
  double waited_seconds = 0;
};

// One prefill over `tokens`, handing out the plan's states from `first_position` on and, where `check` is given, how far the
// logits are from explaining the tokens there (SamplingMargin). Events: "rows", "margins", "progress" (tokens).
struct PrefillRequest {
  std::vector<Token> tokens;
  int first_position = 0;
  CapturePlan plan;
  std::optional<Sampling> check = {};
  bool in_steps = false;  // tokens from first_position on in single steps, as a prover feeds them
  Schedule schedule;
};

struct PrefillResult {
  Schedule schedule;
  std::uint64_t n_overflow = 0;
  double seconds = 0;
  double waited_seconds = 0;
};

// Requests carry their name in "type": "hello", "load", "generate", "prefill", "tokenize", "detokenize",
// "cancel".
Frame ToFrame(const ModelReference& reference);
Frame ToFrame(const LoadResult& result);
Frame ToFrame(const GenerateRequest& request);
Frame ToFrame(const GenerateResult& result);
Frame ToFrame(const PrefillRequest& request);
Frame ToFrame(const PrefillResult& result);

// The reverse. Error(kInput) for anything missing, unknown, of another type or out of range, and for a payload where none
// belongs.
ModelReference ModelReferenceFromFrame(const Frame& frame);
LoadResult LoadResultFromFrame(const Frame& frame);
GenerateRequest GenerateRequestFromFrame(const Frame& frame);
GenerateResult GenerateResultFromFrame(const Frame& frame);
PrefillRequest PrefillRequestFromFrame(const Frame& frame);
PrefillResult PrefillResultFromFrame(const Frame& frame);

}  // namespace verillm

#endif  // VERILLM_WORKER_PROTOCOL_H_
