// What produced a trace: model, device, schedule, sampling. Plain data with a strict JSON form that traces, worker messages and
// result files share.
#ifndef VERILLM_TRACE_PROVENANCE_H_
#define VERILLM_TRACE_PROVENANCE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "trace/capture.h"

namespace verillm {

// A GGUF file, named by its content.
struct ModelIdentity {
  std::string name;               // general.name of the file
  std::string digest;             // SHA-256 of the file, hexadecimal
  std::string architecture;       // "llama", "gemma3", "qwen2"
  std::string weight_type;        // most common type of its tensors as llama.cpp prints it, e.g. "f16"
  int n_layer = 0;                // blocks
  int width = 0;                  // elements of a hidden state
  int n_vocab = 0;                // tokens
  std::string vocabulary_digest;  // SHA-256 over the texts of all tokens: equal for two files with one tokenizer

  bool operator==(const ModelIdentity&) const = default;
};

// One ggml device on one machine, as its worker describes it.
struct DeviceIdentity {
  std::string name;                   // as users type it: "cpu:haswell"
  std::string backend;                // ggml's name of the backend: "CPU", "BLAS", "CUDA"
  std::string description;            // the hardware: "Intel(R) Xeon(R) ..."
  std::vector<std::string> features;  // instruction sets and build features, as ggml reports them
  std::string engine;                 // version of llama.cpp
  std::uint64_t memory_total = 0;     // bytes

  bool operator==(const DeviceIdentity&) const = default;
};

// Whether attention is computed by ggml's fused kernels; kAuto leaves it to llama.cpp.
enum class FlashAttention { kAuto, kOff, kOn };

// "auto", "off", "on"; Error(kUsage) for anything else.
std::string_view FlashAttentionName(FlashAttention flash_attention);
FlashAttention FlashAttentionFromName(std::string_view name);

// Type in which keys and values are cached.
enum class CacheType { kF16, kF32, kBF16, kQ8_0, kQ5_0, kQ4_1, kQ4_0 };

// "f16", "q8_0" ...; Error(kUsage) for anything else.
std::string_view CacheTypeName(CacheType type);
CacheType CacheTypeFromName(std::string_view name);
std::vector<std::string> CacheTypeNames();

// How the states were computed; another schedule on the same device gives other rounding noise. In a request, what is 0 is the
// worker's choice.
struct Schedule {
  int context = 0;  // positions that the context holds (worker's choice: those of the request)
  int chunk = 0;    // most tokens in one pass of a prefill (worker's choice: 512)
  int threads = 0;  // (worker's choice: one a core)
  FlashAttention flash_attention = FlashAttention::kAuto;
  CacheType cache = CacheType::kF16;
  int sequences = 1;      // decoded in one batch: this one and requests of others
  int shared_prefix = 0;  // first tokens of the prompt that came from the cache of an earlier request

  bool operator==(const Schedule&) const = default;
};

// How tokens were chosen: Gumbel-max over the top-p set with public randomness (docs: sampler.h). Temperature 0 takes the most
// likely token.
struct Sampling {
  double temperature = 0.7;
  double top_p = 0.9;
  std::uint64_t seed = 1;
  bool ignore_end = false;  // go on after an end-of-text token

  bool operator==(const Sampling&) const = default;
};

Json ToJson(const ModelIdentity& model);
Json ToJson(const DeviceIdentity& device);
Json ToJson(const Schedule& schedule);
Json ToJson(const Sampling& sampling);
Json ToJson(const CapturePlan& plan);

// The reverse; Error(kInput) for anything missing, unknown, of another type or out of range.
ModelIdentity ModelIdentityFromJson(const Json& json);
DeviceIdentity DeviceIdentityFromJson(const Json& json);
Schedule ScheduleFromJson(const Json& json);
Schedule ScheduleRequestFromJson(const Json& json);  // fields may be 0
Sampling SamplingFromJson(const Json& json);
CapturePlan CapturePlanFromJson(const Json& json);

// Error(kUsage) where a number is negative.
void CheckScheduleRequest(const Schedule& schedule);

// Error(kUsage) unless temperature is in [0, 100] and top_p in (0, 1].
void CheckSampling(const Sampling& sampling);

}  // namespace verillm

#endif  // VERILLM_TRACE_PROVENANCE_H_
