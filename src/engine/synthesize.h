// Models of any shape with random weights and a real tokenizer, so that a published size can be run without its weights.
#ifndef VERILLM_ENGINE_SYNTHESIZE_H_
#define VERILLM_ENGINE_SYNTHESIZE_H_

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/model_shape.h"
#include "engine/model_store.h"

namespace verillm {

struct Synthesis {
  std::string name;                 // general.name of the model
  ModelShape shape;                 // a vocabulary of 0 is as large as the tokenizer's
  std::filesystem::path tokenizer;  // GGUF file whose tokenizer and chat template are taken
  std::uint64_t seed = 0;
};

// Writes `to` with matrices in F16: see RandomWeights for the values and WriteModel for the way. The same request gives the same
// bytes. A vocabulary larger than the tokenizer's is filled with tokens of type "unused", named as llama.cpp's converters do:
// "[PAD49152]" and so on. Error(kUsage) where `to` exists or the shape is impossible, Error(kInput) where the tokenizer's file is
// no sound GGUF model or has more tokens than the vocabulary, Error(kIo), Error(kCancelled).
void SynthesizeModel(const Synthesis& synthesis, const std::filesystem::path& to, const ByteProgress& progress,
                     const std::atomic<bool>& cancel);

}  // namespace verillm

#endif  // VERILLM_ENGINE_SYNTHESIZE_H_
