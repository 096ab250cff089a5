#include "engine/backend.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

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

// The folder of the loadable backends: $VERILLM_BACKENDS, else the folder of libggml itself.
fs::path BackendFolder() {
  if (const char* folder = std::getenv("VERILLM_BACKENDS")) return folder;
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&ggml_backend_load), &info) == 0 || info.dli_fname == nullptr) {
    throw Error(ErrorKind::kWorker, "cannot find the folder of llama.cpp's backends; set VERILLM_BACKENDS to it");
  }
  return fs::path(info.dli_fname).parent_path();
}

fs::path LibraryPath(std::string_view backend) { return BackendFolder() / fmt::format("libggml-{}{}", backend, kLibrarySuffix); }

}  // namespace

std::vector<VariantLibrary> CpuVariantLibraries() {
  constexpr std::string_view kPrefix = "libggml-cpu-";
  std::vector<VariantLibrary> libraries;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(BackendFolder(), ignored)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(kPrefix) || entry.path().extension() != kLibrarySuffix) continue;
    libraries.push_back({file.substr(kPrefix.size(), file.size() - kPrefix.size() - kLibrarySuffix.size()), entry.path()});
  }
  return libraries;
}

int ScoreOf(const VariantLibrary& variant) {
  void* handle = ::dlopen(variant.path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return 0;
  const auto score = reinterpret_cast<int (*)()>(::dlsym(handle, "ggml_backend_score"));
  const int value = score == nullptr ? 1 : score();
  ::dlclose(handle);
  return value;
}

bool HasBackend(std::string_view backend) { return fs::exists(LibraryPath(backend)); }

FoundGpus FindGpus(std::string_view backend) {
  RedirectEngineLog();
  // Never closed: drivers of GPUs do not like to go.
  void* handle = ::dlopen(LibraryPath(backend).c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return {.gpus = {}, .reason = fmt::format("its library does not load: {}", ::dlerror())};
  const auto init = reinterpret_cast<ggml_backend_reg_t (*)()>(::dlsym(handle, "ggml_backend_init"));
  const ggml_backend_reg_t registry = init == nullptr ? nullptr : init();
  FoundGpus found;
  if (registry != nullptr) found.gpus = GpusOf(registry);
  if (found.gpus.empty()) found.reason = "its driver finds no device";
  return found;
}

std::vector<ggml_backend_dev_t> GpusOf(ggml_backend_reg_t registry) {
  std::vector<ggml_backend_dev_t> gpus;
  for (std::size_t i = 0; i < ggml_backend_reg_dev_count(registry); ++i) {
    const ggml_backend_dev_t device = ggml_backend_reg_dev_get(registry, i);
    const auto type = ggml_backend_dev_type(device);
    if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU) gpus.push_back(device);
  }
  return gpus;
}

ggml_backend_reg_t LoadBackend(std::string_view backend) {
  const ggml_backend_reg_t registry = ggml_backend_load(LibraryPath(backend).c_str());
  if (registry == nullptr) {
    throw Error(ErrorKind::kWorker, fmt::format("llama.cpp cannot load {}", LibraryPath(backend).string()));
  }
  return registry;
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

}  // namespace verillm
