#include "trace/state_type.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"

namespace verillm {
namespace {

static_assert(std::endian::native == std::endian::little, "states are written by copying little-endian words");

constexpr std::uint32_t kMaxFiniteBF16 = 0x7F7F;
constexpr std::uint32_t kMaxFiniteF16 = 0x7BFF;

// IEEE binary32 to bfloat16, round to nearest even; overflow rounds to infinity, a NaN stays one.
std::uint16_t RoundToBF16(std::uint32_t bits) {
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// IEEE binary32 to binary16, round to nearest even; overflow rounds to infinity, a NaN stays one.
std::uint16_t RoundToF16(std::uint32_t bits) {
  const std::uint16_t sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<std::uint16_t>(sign | 0x7E00);
  if (magnitude >= 0x47800000) return static_cast<std::uint16_t>(sign | 0x7C00);  // 2^16 and more
  if (magnitude < 0x38800000) {
    // Below 2^-14 the result is subnormal: adding 0.5 aligns the mantissa to 2^-24, and the addition rounds to nearest even.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3F000000));
  }
  const std::uint32_t rebiased = magnitude - (112u << 23);
  return static_cast<std::uint16_t>(sign | ((rebiased + 0xFFF + ((rebiased >> 13) & 1)) >> 13));
}

float FloatFromF16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1F;
  const std::uint32_t mantissa = bits & 0x3FF;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -magnitude : magnitude;
  }
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000 | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// Rounds with `round`; a finite value that became an infinity is replaced by the largest finite value and counted.
template <std::uint32_t kMaxFinite, typename Round>
std::size_t EncodeHalf(std::span<const float> states, std::span<std::byte> out, Round round) {
  std::size_t n_overflow = 0;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(states[i]);
    std::uint16_t half = round(bits);
    const bool overflow = (half & 0x7FFF) == kMaxFinite + 1 && (bits & 0x7FFFFFFF) < 0x7F800000;
    if (overflow) half = static_cast<std::uint16_t>((half & 0x8000) | kMaxFinite);
    n_overflow += overflow;
    std::memcpy(out.data() + 2 * i, &half, 2);
  }
  return n_overflow;
}

}  // namespace

std::string_view StateTypeName(StateType type) {
  switch (type) {
    case StateType::kF16:
      return "f16";
    case StateType::kBF16:
      return "bf16";
    case StateType::kF32:
      return "f32";
  }
  return "unknown";
}

StateType StateTypeFromName(std::string_view name) {
  for (const StateType type : {StateType::kF16, StateType::kBF16, StateType::kF32}) {
    if (StateTypeName(type) == name) return type;
  }
  throw Error(ErrorKind::kUsage, fmt::format("unknown state type \"{}\": choose f16, bf16 or f32", name));
}

std::size_t EncodeStates(std::span<const float> states, StateType type, std::span<std::byte> out) {
  switch (type) {
    case StateType::kF16:
      return EncodeHalf<kMaxFiniteF16>(states, out, RoundToF16);
    case StateType::kBF16:
      return EncodeHalf<kMaxFiniteBF16>(states, out, RoundToBF16);
    case StateType::kF32:
      std::memcpy(out.data(), states.data(), states.size_bytes());
      return 0;
  }
  return 0;
}

float DecodeState(std::span<const std::byte> row, StateType type, std::size_t index) {
  if (type == StateType::kF32) {
    float value;
    std::memcpy(&value, row.data() + 4 * index, 4);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, row.data() + 2 * index, 2);
  if (type == StateType::kF16) return FloatFromF16(bits);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace verillm
