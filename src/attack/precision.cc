// Less precision than was paid for: weights or cached keys and values in a smaller type.
#include <fmt/format.h>

#include "attack/cheater.h"
#include "attack/groups.h"

namespace verillm {
namespace {

Attack Weights(const char* type, const char* what) {
  return {fmt::format("weights-{}", type), "precision", fmt::format("runs the model with its weights in {}", what),
          [type](Cheater& cheater) {
            cheater.LoadQuantized(type);
            cheater.Submit(cheater.Generate(cheater.order().request));
          }};
}

Attack Cache(CacheType type) {
  return {fmt::format("cache-{}", CacheTypeName(type)), "precision",
          fmt::format("caches keys and values in {}", CacheTypeName(type)), [type](Cheater& cheater) {
            GenerateRequest request = cheater.order().request;
            request.schedule.cache = type;
            request.schedule.flash_attention = FlashAttention::kOn;  // quantised values cannot be read without
            cheater.Submit(cheater.Generate(request));
          }};
}

}  // namespace

std::vector<Attack> PrecisionAttacks() {
  return {Weights("bf16", "BF16"),
          Weights("q8_0", "Q8_0 (8.5 bits)"),
          Weights("q6_k", "Q6_K (6.6 bits)"),
          Weights("q5_k_m", "Q5_K_M"),
          Weights("q4_k_m", "Q4_K_M"),
          Weights("q4_1", "Q4_1"),
          Weights("q4_0", "Q4_0"),
          Cache(CacheType::kQ8_0),
          Cache(CacheType::kQ4_0)};
}

}  // namespace verillm
