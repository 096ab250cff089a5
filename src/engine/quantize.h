// Converting the weights of a model to another type with llama.cpp's own quantiser.
#ifndef VERILLM_ENGINE_QUANTIZE_H_
#define VERILLM_ENGINE_QUANTIZE_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

// "f16", "bf16", "q8_0", "q6_k", ...
std::vector<std::string_view> WeightTypeNames();

// Writes `from` with weights of `type` to `to` (temporary name, then rename). Already quantised weights are dequantised first.
// Error(kUsage) for an unknown type, Error(kInput) where `from` is no sound model, Error(kIo) where `to` cannot be written.
void QuantizeModel(const std::filesystem::path& from, const std::filesystem::path& to, std::string_view type, int n_threads);

}  // namespace verillm

#endif  // VERILLM_ENGINE_QUANTIZE_H_
