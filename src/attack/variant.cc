#include "attack/variant.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/file.h"
#include "engine/model_store.h"
#include "engine/quantize.h"

namespace verillm {

std::filesystem::path VariantOf(const std::filesystem::path& model_path, const ModelIdentity& model, const std::string& name,
                                const std::function<void(const std::filesystem::path&)>& make) {
  // Part of the digest keeps variants of equally named models apart.
  const std::filesystem::path path =
      ModelFolder() / fmt::format("{}.{}.{}.gguf", model_path.stem().string(), name, model.digest.substr(0, 8));
  if (!std::filesystem::exists(path)) {
    MakeFolder(ModelFolder());
    make(path);
  }
  return path;
}

std::filesystem::path QuantizedVariant(const std::filesystem::path& model_path, const ModelIdentity& model,
                                       std::string_view type) {
  return VariantOf(model_path, model, std::string(type), [&](const std::filesystem::path& path) {
    QuantizeModel(model_path, path, type, static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  });
}

}  // namespace verillm
