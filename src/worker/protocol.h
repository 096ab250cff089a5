// What a worker and its client say to each other, as structures with a JSON form. The client sends one request at a time and gets
// events, then one reply: "done" with the result, or "error". A "cancel" may come while a request is running.
#ifndef VERILLM_WORKER_PROTOCOL_H_
#define VERILLM_WORKER_PROTOCOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/model_store.h"
#include "trace/provenance.h"
#include "trace/trace_file.h"

namespace verillm {

// Raised whenever a message changes its meaning; both sides must have the same.
constexpr int kProtocolVersion = 2;

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
};

// Requests carry their name in "type": "hello", "load", "generate", "prefill", "detokenize", "cancel".
Json ToJson(const ModelReference& reference);
Json ToJson(const GenerateRequest& request);
Json ToJson(const GenerateResult& result);
Json ToJson(const PrefillRequest& request);
Json ToJson(const PrefillResult& result);

// The reverse. Error(kInput) for anything missing, unknown, of another type or out of range.
ModelReference ModelReferenceFromJson(const Json& json);
GenerateRequest GenerateRequestFromJson(const Json& json);
GenerateResult GenerateResultFromJson(const Json& json);
PrefillRequest PrefillRequestFromJson(const Json& json);
PrefillResult PrefillResultFromJson(const Json& json);

}  // namespace verillm

#endif  // VERILLM_WORKER_PROTOCOL_H_
