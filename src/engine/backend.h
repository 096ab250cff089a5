// ggml's loadable backends: where their libraries are, what is in them, and loading them into this process.
#ifndef VERILLM_ENGINE_BACKEND_H_
#define VERILLM_ENGINE_BACKEND_H_

#include <ggml-backend.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace verillm {

// The libraries of the CPU's variants, by the variant's name ("haswell").
struct VariantLibrary {
  std::string name;
  std::filesystem::path path;
};
std::vector<VariantLibrary> CpuVariantLibraries();

// ggml's own rating of a CPU variant on this machine: 0 = cannot run.
int ScoreOf(const VariantLibrary& variant);

// Whether there is a library of that backend ("blas", "vulkan").
bool HasBackend(std::string_view backend);

// The GPUs that a backend finds, asked without loading it for computation; or why it finds none.
struct FoundGpus {
  std::vector<ggml_backend_dev_t> gpus;
  std::string reason;  // empty where there are any
};
FoundGpus FindGpus(std::string_view backend);

// Those of a backend that has been loaded, in the same order.
std::vector<ggml_backend_dev_t> GpusOf(ggml_backend_reg_t registry);

// Loads a backend into this process. Error(kWorker).
ggml_backend_reg_t LoadBackend(std::string_view backend);

// What the backend says it was built for or found: "AVX2", "SVE_CNT=64".
std::vector<std::string> FeaturesOf(ggml_backend_reg_t registry);

}  // namespace verillm

#endif  // VERILLM_ENGINE_BACKEND_H_
