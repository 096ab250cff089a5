// The type in which hidden states are recorded. llama.cpp computes them in F32; both sides of a comparison are rounded to one
// recorded type first, so that a prover who sends F16 and one who sends F32 are judged by the same bits.
#ifndef VERILLM_TRACE_STATE_TYPE_H_
#define VERILLM_TRACE_STATE_TYPE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace verillm {

enum class StateType { kF16, kBF16, kF32 };

// Bits of one element, and of its exponent and mantissa fields.
struct StateFormat {
  int bytes;
  int exponent_bits;
  int mantissa_bits;
};

constexpr StateFormat FormatOf(StateType type) {
  switch (type) {
    case StateType::kF16:
      return {2, 5, 10};
    case StateType::kBF16:
      return {2, 8, 7};
    case StateType::kF32:
      return {4, 8, 23};
  }
  return {};
}

// Of a row of `width` elements.
constexpr std::size_t RowBytes(int width, StateType type) {
  return static_cast<std::size_t>(width) * static_cast<std::size_t>(FormatOf(type).bytes);
}

// "f16", "bf16", "f32". StateTypeFromName throws Error(kUsage) for anything else.
std::string_view StateTypeName(StateType type);
StateType StateTypeFromName(std::string_view name);

// Rounds `states` to nearest even and writes them little-endian to `out`, which holds states.size() * FormatOf(type).bytes.
// Finite values beyond the type's range become its largest finite value; their number is returned, so that nothing becomes
// an infinity unnoticed. NaN and infinities stay what they are.
std::size_t EncodeStates(std::span<const float> states, StateType type, std::span<std::byte> out);

// The element at `index` of a row as a float; exact for every type.
float DecodeState(std::span<const std::byte> row, StateType type, std::size_t index);

}  // namespace verillm

#endif  // VERILLM_TRACE_STATE_TYPE_H_
