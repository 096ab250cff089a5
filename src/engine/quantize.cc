#include "engine/quantize.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "engine/engine_log.h"
#include "engine/gguf_file.h"

namespace verillm {
namespace {

constexpr std::array<std::pair<std::string_view, llama_ftype>, 12> kTypes = {{
    {"f32", LLAMA_FTYPE_ALL_F32},
    {"f16", LLAMA_FTYPE_MOSTLY_F16},
    {"bf16", LLAMA_FTYPE_MOSTLY_BF16},
    {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"q6_k", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"q5_k_m", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    {"q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
    {"q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"q3_k_m", LLAMA_FTYPE_MOSTLY_Q3_K_M},
    {"q2_k", LLAMA_FTYPE_MOSTLY_Q2_K},
}};

}  // namespace

std::vector<std::string_view> WeightTypeNames() {
  std::vector<std::string_view> names;
  for (const auto& [name, type] : kTypes) names.push_back(name);
  return names;
}

void QuantizeModel(const std::filesystem::path& from, const std::filesystem::path& to, std::string_view type, int n_threads) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& entry) { return entry.first == type; });
  if (found == kTypes.end()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("unknown weight type \"{}\": choose {}", type, fmt::join(WeightTypeNames(), ", ")));
  }
  InspectGguf(from);
  MakeFolder(std::filesystem::absolute(to).parent_path());

  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.nthread = n_threads;
  params.ftype = found->second;
  params.allow_requantize = true;
  const QuietEngineLog quiet;  // it warns of every tensor that takes another type than asked for
  const std::filesystem::path temporary = to.string() + ".part";
  const std::uint32_t status = llama_model_quantize(from.c_str(), temporary.c_str(), &params);
  std::error_code error;
  if (status == 0) std::filesystem::rename(temporary, to, error);
  if (status != 0 || error) {
    const std::string why = error ? error.message() : "llama.cpp's quantiser failed; is there room on the disk?";
    std::filesystem::remove(temporary, error);
    throw Error(ErrorKind::kIo, fmt::format("{}: cannot write: {}", to.string(), why));
  }
}

}  // namespace verillm
