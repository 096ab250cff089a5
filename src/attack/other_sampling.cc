// The right model, but tokens chosen otherwise than asked: states are honest, and only the sampling check can find it.
#include "attack/cheater.h"
#include "attack/groups.h"

namespace verillm {
namespace {

Attack Sampled(const char* name, const char* summary, void (*change)(Sampling&)) {
  return {name, "sampling", summary, [change](Cheater& cheater) {
            GenerateRequest request = cheater.order().request;
            change(request.sampling);
            cheater.Submit(cheater.Generate(request));
          }};
}

}  // namespace

std::vector<Attack> SamplingAttacks() {
  return {
      Sampled("other-temperature", "samples at half as much temperature again", [](Sampling& s) { s.temperature *= 1.5; }),
      Sampled("greedy", "takes the most likely token", [](Sampling& s) { s.temperature = 0; }),
      Sampled("biased-sampling", "samples among half of the probability that it should", [](Sampling& s) { s.top_p /= 2; }),
      Sampled("other-seed", "samples with randomness of its own", [](Sampling& s) { s.seed ^= 0x5DEECE66D; }),
  };
}

}  // namespace verillm
