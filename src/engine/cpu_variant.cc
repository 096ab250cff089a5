#include "engine/cpu_variant.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "engine/backend.h"

namespace verillm {
namespace {

// Instruction sets of ggml's CPU variants for x86 and Linux on ARM, in the spelling of /proc/cpuinfo (ggml/src/CMakeLists.txt of
// llama.cpp 0.5.0).
const std::map<std::string, std::vector<std::string>, std::less<>>& VariantFeatures() {
  static const auto* const features = [] {
    auto* table = new std::map<std::string, std::vector<std::string>, std::less<>>;
    const auto add = [&](const char* name, std::vector<std::string> base, std::vector<std::string> more) {
      base.insert(base.end(), more.begin(), more.end());
      return table->emplace(name, std::move(base)).first->second;
    };
    add("x64", {}, {});
    const auto sse42 = add("sse42", {}, {"sse4_2"});
    const auto sandybridge = add("sandybridge", sse42, {"avx"});
    const auto ivybridge = add("ivybridge", sandybridge, {"f16c"});
    add("piledriver", ivybridge, {"fma"});
    const auto haswell = add("haswell", ivybridge, {"fma", "avx2", "bmi2"});
    add("alderlake", haswell, {"avx_vnni"});
    const auto skylakex = add("skylakex", haswell, {"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"});
    add("cannonlake", skylakex, {"avx512vbmi"});
    const auto cascadelake = add("cascadelake", skylakex, {"avx512_vnni"});
    add("icelake", skylakex, {"avx512vbmi", "avx512_vnni"});
    add("cooperlake", cascadelake, {"avx512_bf16"});
    const auto zen4 = add("zen4", skylakex, {"avx512vbmi", "avx512_vnni", "avx512_bf16"});
    add("sapphirerapids", zen4, {"amx_tile", "amx_int8"});

    add("armv8.0_1", {}, {});
    const auto dot_product = add("armv8.2_1", {}, {"asimddp"});
    const auto half_precision = add("armv8.2_2", dot_product, {"asimdhp"});
    const auto scalable = add("armv8.2_3", half_precision, {"sve"});
    const auto matrix = add("armv8.6_1", scalable, {"i8mm"});
    add("armv8.6_2", matrix, {"sve2"});
    return table;
  }();
  return *features;
}

// Flags of this machine's CPU, empty where the system does not list them.
std::set<std::string> CpuFlags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("flags") || line.starts_with("Features")) {
      std::istringstream words(line.substr(line.find(':') + 1));
      return {std::istream_iterator<std::string>(words), {}};
    }
  }
  return {};
}

std::string MissingFeatures(const std::vector<std::string>& needed) {
  const std::set<std::string> flags = CpuFlags();
  std::vector<std::string> missing;
  for (const std::string& feature : needed) {
    if (!flags.contains(feature)) missing.push_back(feature);
  }
  if (missing.empty()) return "this CPU lacks an instruction set that it needs";
  return fmt::format("this CPU lacks {}", fmt::join(missing, ", "));
}

}  // namespace

std::vector<CpuVariant> CpuVariants() {
  std::vector<CpuVariant> variants;
  for (const VariantLibrary& library : CpuVariantLibraries()) {
    CpuVariant variant{.name = library.name, .features = {}, .score = ScoreOf(library), .reason = {}};
    if (const auto found = VariantFeatures().find(library.name); found != VariantFeatures().end())
      variant.features = found->second;
    if (variant.score == 0) variant.reason = MissingFeatures(variant.features);
    variants.push_back(std::move(variant));
  }
  std::sort(variants.begin(), variants.end(),
            [](const CpuVariant& a, const CpuVariant& b) { return a.score != b.score ? a.score > b.score : a.name < b.name; });
  return variants;
}

int VectorBits(const std::vector<std::string>& features) {
  const auto has = [&](std::string_view feature) {
    return std::find(features.begin(), features.end(), feature) != features.end();
  };
  return has("avx512f") ? 512 : has("avx") ? 256 : 128;
}

}  // namespace verillm
