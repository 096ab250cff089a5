// The values of a tensor of type F16, BF16 or F32 as floats, and back, rounded to nearest.
#ifndef VERILLM_ENGINE_TENSOR_VALUES_H_
#define VERILLM_ENGINE_TENSOR_VALUES_H_

#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace verillm {

// ggml has no conversion from F32 to itself.
inline std::vector<float> ToFloats(ggml_type type, std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / ggml_type_size(type));
  if (type == GGML_TYPE_F32) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  } else {
    ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), static_cast<std::int64_t>(values.size()));
  }
  return values;
}

// `bytes` has room for the values.
inline void FromFloats(std::span<const float> values, ggml_type type, std::span<std::byte> bytes) {
  if (type == GGML_TYPE_F32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  } else {
    ggml_get_type_traits(type)->from_float_ref(values.data(), bytes.data(), static_cast<std::int64_t>(values.size()));
  }
}

}  // namespace verillm

#endif  // VERILLM_ENGINE_TENSOR_VALUES_H_
