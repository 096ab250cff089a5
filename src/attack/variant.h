// Files of the model that cheats run in place of the one that was ordered.
#ifndef VERILLM_ATTACK_VARIANT_H_
#define VERILLM_ATTACK_VARIANT_H_

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "trace/provenance.h"

namespace verillm {

// The variant `name` of a model, kept in the model folder; `make` writes it to the path given where it is not there yet.
std::filesystem::path VariantOf(const std::filesystem::path& model_path, const ModelIdentity& model, const std::string& name,
                                const std::function<void(const std::filesystem::path&)>& make);

// The model with its weights in another type.
std::filesystem::path QuantizedVariant(const std::filesystem::path& model_path, const ModelIdentity& model,
                                       std::string_view type);

}  // namespace verillm

#endif  // VERILLM_ATTACK_VARIANT_H_
