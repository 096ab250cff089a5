#include "engine/device.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <ggml-backend.h>
#include <llama.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/error.h"
#include "engine/engine_log.h"

namespace verillm {
namespace {

namespace fs = std::filesystem;

#ifdef __APPLE__
constexpr std::string_view kLibrarySuffix = ".dylib";
#else
constexpr std::string_view kLibrarySuffix = ".so";
#endif

// Instruction sets of ggml's x86 CPU variants, in the spelling of /proc/cpuinfo (ggml/src/CMakeLists.txt of llama.cpp 0.5.0).
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
    return table;
  }();
  return *features;
}

// Bits of the widest vectors that a variant with these features computes with.
int VectorBits(const std::vector<std::string>& features) {
  const auto has = [&](std::string_view feature) {
    return std::find(features.begin(), features.end(), feature) != features.end();
  };
  return has("avx512f") ? 512 : has("avx") ? 256 : 128;
}

// Flags of this machine's CPU, empty where the system does not list them.
std::set<std::string> CpuFlags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("flags")) {
      std::istringstream words(line.substr(line.find(':') + 1));
      return {std::istream_iterator<std::string>(words), {}};
    }
  }
  return {};
}

// The folder of the loadable backends: $VERILLM_BACKENDS, else the folder of libggml itself.
fs::path BackendFolder() {
  if (const char* folder = std::getenv("VERILLM_BACKENDS")) return folder;
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&ggml_backend_load), &info) == 0 || info.dli_fname == nullptr) {
    throw Error(ErrorKind::kWorker, "cannot find the folder of llama.cpp's backends; set VERILLM_BACKENDS to it");
  }
  return fs::path(info.dli_fname).parent_path();
}

// ggml's own rating of a CPU variant on this machine: 0 = cannot run.
int Score(const fs::path& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return 0;
  const auto score = reinterpret_cast<int (*)()>(::dlsym(handle, "ggml_backend_score"));
  const int value = score == nullptr ? 1 : score();
  ::dlclose(handle);
  return value;
}

fs::path LibraryPath(std::string_view backend) { return BackendFolder() / fmt::format("libggml-{}{}", backend, kLibrarySuffix); }

std::string MissingFeatures(const std::vector<std::string>& needed) {
  const std::set<std::string> flags = CpuFlags();
  std::vector<std::string> missing;
  for (const std::string& feature : needed) {
    if (!flags.contains(feature)) missing.push_back(feature);
  }
  if (missing.empty()) return "this CPU lacks an instruction set that it needs";
  return fmt::format("this CPU lacks {}", fmt::join(missing, ", "));
}

struct RatedVariant {
  DeviceCandidate candidate;
  int score;
};

// All CPU variants, best first.
std::vector<RatedVariant> RateCpuVariants() {
  constexpr std::string_view kPrefix = "libggml-cpu-";
  std::vector<RatedVariant> variants;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(BackendFolder(), ignored)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(kPrefix) || entry.path().extension() != kLibrarySuffix) continue;
    const std::string variant = file.substr(kPrefix.size(), file.size() - kPrefix.size() - kLibrarySuffix.size());
    RatedVariant rated{{.name = "cpu:" + variant, .backend = "CPU", .features = {}, .can_run = false, .reason = ""},
                       Score(entry.path())};
    if (const auto found = VariantFeatures().find(variant); found != VariantFeatures().end())
      rated.candidate.features = found->second;
    rated.candidate.can_run = rated.score > 0;
    if (!rated.candidate.can_run) rated.candidate.reason = MissingFeatures(rated.candidate.features);
    variants.push_back(std::move(rated));
  }
  std::sort(variants.begin(), variants.end(), [](const RatedVariant& a, const RatedVariant& b) {
    return a.score != b.score ? a.score > b.score : a.candidate.name < b.candidate.name;
  });
  return variants;
}

// Loads a backend into this process.
ggml_backend_reg_t LoadBackend(std::string_view backend) {
  const ggml_backend_reg_t registry = ggml_backend_load(LibraryPath(backend).c_str());
  if (registry == nullptr) {
    throw Error(ErrorKind::kWorker, fmt::format("llama.cpp cannot load {}", LibraryPath(backend).string()));
  }
  return registry;
}

// Backends other than the CPU that have devices of their own, by the name users type. `mps` is what PyTorch users call Metal.
struct Family {
  std::string_view user_name;
  std::string_view backend;
  std::string_view title;
};
constexpr Family kFamilies[] = {
    {"cuda", "cuda", "CUDA"}, {"vulkan", "vulkan", "Vulkan"}, {"metal", "metal", "Metal"}, {"mps", "metal", "Metal"}};

struct ParsedName {
  std::string family;
  std::string rest;  // after the first colon
};

ParsedName ParseName(std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, colon)), std::string(name.substr(colon + 1))};
}

[[noreturn]] void ThrowUnknown(std::string_view name) {
  std::vector<std::string> names = {"cpu"};
  for (const DeviceCandidate& candidate : ListDevices()) {
    if (candidate.can_run) names.push_back(candidate.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("unknown device \"{}\"; here there are: {} (see verillm devices)", name, fmt::join(names, ", ")));
}

std::vector<std::string> FeaturesOf(ggml_backend_reg_t registry) {
  std::vector<std::string> features;
  const auto get =
      reinterpret_cast<ggml_backend_get_features_t>(ggml_backend_reg_get_proc_address(registry, "ggml_backend_get_features"));
  if (get == nullptr) return features;
  for (const ggml_backend_feature* feature = get(registry); feature != nullptr && feature->name != nullptr; ++feature) {
    features.push_back(std::string_view(feature->value) == "1" ? feature->name
                                                               : fmt::format("{}={}", feature->name, feature->value));
  }
  return features;
}

}  // namespace

std::vector<DeviceCandidate> ListDevices() {
  std::vector<DeviceCandidate> candidates;
  for (RatedVariant& rated : RateCpuVariants()) candidates.push_back(std::move(rated.candidate));
  if (fs::exists(LibraryPath("blas"))) {
    candidates.push_back({.name = "blas", .backend = "BLAS", .features = {}, .can_run = true, .reason = ""});
  }
  for (const Family& family : kFamilies) {
    if (family.user_name == "mps") continue;
    const bool built = fs::exists(LibraryPath(family.backend));
    const std::string upper = [&] {
      std::string text(family.backend);
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      return text;
    }();
    candidates.push_back(
        {.name = fmt::format("{}:0", family.user_name),
         .backend = std::string(family.title),
         .features = {},
         .can_run = built,
         .reason = built ? "" : fmt::format("this llama.cpp was built without it (configure with -DVERILLM_{}=ON)", upper)});
  }
  return candidates;
}

std::pair<std::string, std::string> MostDifferentDevices(const std::vector<DeviceCandidate>& candidates) {
  const DeviceCandidate* best = nullptr;
  const DeviceCandidate* narrow = nullptr;
  for (const DeviceCandidate& candidate : candidates) {
    if (!candidate.can_run || candidate.backend == "BLAS") continue;
    if (best == nullptr) {
      best = &candidate;
    } else if (candidate.backend != "CPU") {
      return {best->name, candidate.name};
    } else if (narrow == nullptr && 2 * VectorBits(candidate.features) <= VectorBits(best->features)) {
      narrow = &candidate;
    }
  }
  if (best != nullptr && narrow != nullptr) return {best->name, narrow->name};
  for (const DeviceCandidate& candidate : candidates) {
    if (best != nullptr && candidate.can_run && candidate.name != best->name) return {best->name, candidate.name};
  }
  throw Error(ErrorKind::kUsage, "an experiment over two devices needs two that run here; see verillm devices");
}

Device Device::Open(std::string_view name) {
  static std::optional<std::string> opened;
  if (opened && *opened != name) {
    throw Error(ErrorKind::kWorker, fmt::format("this process has opened {} and cannot open {} too", *opened, name));
  }
  const ParsedName parsed = ParseName(name);
  const Family* family =
      std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return f.user_name == parsed.family; });
  const bool is_cpu = parsed.family == "cpu" || name == "blas";
  if ((!is_cpu && family == std::end(kFamilies)) || name.ends_with(':')) ThrowUnknown(name);

  const std::vector<RatedVariant> variants = RateCpuVariants();
  if (variants.empty() || !variants.front().candidate.can_run) {
    throw Error(ErrorKind::kWorker,
                fmt::format("no CPU backend of llama.cpp runs here (looked in {})", BackendFolder().string()));
  }
  const DeviceCandidate* cpu = &variants.front().candidate;
  if (parsed.family == "cpu" && !parsed.rest.empty()) {
    const auto found =
        std::find_if(variants.begin(), variants.end(), [&](const RatedVariant& rated) { return rated.candidate.name == name; });
    if (found == variants.end()) ThrowUnknown(name);
    cpu = &found->candidate;
    if (!cpu->can_run) throw Error(ErrorKind::kUsage, fmt::format("device {} cannot run here: {}", name, cpu->reason));
  }
  if (name == "blas" && !fs::exists(LibraryPath("blas"))) {
    throw Error(ErrorKind::kUsage, "device blas cannot run here: this llama.cpp was built without BLAS");
  }
  if (family != std::end(kFamilies) && !fs::exists(LibraryPath(family->backend))) {
    throw Error(ErrorKind::kUsage,
                fmt::format("device {} cannot run here: this llama.cpp was built without {}", name, family->title));
  }

  // From here on backends are loaded, whether or not the rest succeeds.
  opened = name;
  RedirectEngineLog();
  llama_backend_init();
  Device device;
  const ggml_backend_reg_t cpu_registry = LoadBackend("cpu-" + cpu->name.substr(4));
  ggml_backend_dev_t described = ggml_backend_reg_dev_get(cpu_registry, 0);
  device.identity_.features = FeaturesOf(cpu_registry);
  if (name == "blas") {
    LoadBackend("blas");
  } else if (family != std::end(kFamilies)) {
    const ggml_backend_reg_t registry = LoadBackend(family->backend);
    const std::size_t n_devices = ggml_backend_reg_dev_count(registry);
    const std::size_t index = parsed.rest.empty() ? 0 : std::strtoul(parsed.rest.c_str(), nullptr, 10);
    if (index >= n_devices || (!parsed.rest.empty() && parsed.rest != std::to_string(index))) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("device {} cannot run here: {} finds {} devices", name, family->title, n_devices));
    }
    described = ggml_backend_reg_dev_get(registry, index);
    device.offload_ = described;
    device.identity_.features = FeaturesOf(registry);
  }

  std::size_t memory_free = 0;
  std::size_t memory_total = 0;
  ggml_backend_dev_memory(described, &memory_free, &memory_total);
  device.identity_.name = name == "cpu" ? cpu->name : std::string(name);
  device.identity_.backend = name == "blas" ? "BLAS" : family != std::end(kFamilies) ? std::string(family->title) : "CPU";
  device.identity_.description = ggml_backend_dev_description(described);
  device.identity_.engine = fmt::format("llama.cpp {}", llama_version());
  device.identity_.memory_total = memory_total;
  return device;
}

}  // namespace verillm
