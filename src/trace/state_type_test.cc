#include "trace/state_type.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"

namespace verillm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Encoding {
  std::uint16_t bits;
  std::size_t n_overflow;

  bool operator==(const Encoding&) const = default;
};

Encoding Encode16(float value, StateType type) {
  std::uint16_t bits = 0;
  const std::size_t n_overflow = EncodeStates(std::span(&value, 1), type, std::as_writable_bytes(std::span(&bits, 1)));
  return {bits, n_overflow};
}

float Decode16(std::uint16_t bits, StateType type) { return DecodeState(std::as_bytes(std::span(&bits, 1)), type, 0); }

TEST(StateType, NamesRoundTrip) {
  for (const StateType type : {StateType::kF16, StateType::kBF16, StateType::kF32}) {
    EXPECT_EQ(StateTypeFromName(StateTypeName(type)), type);
  }
  EXPECT_EQ(StateTypeName(StateType::kBF16), "bf16");
}

TEST(StateType, UnknownNameIsAUsageError) {
  for (const char* const name : {"", "F16", "float16", "f64"}) {
    try {
      StateTypeFromName(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
}

TEST(StateType, FormatsFillTheirBytes) {
  for (const StateType type : {StateType::kF16, StateType::kBF16, StateType::kF32}) {
    const StateFormat format = FormatOf(type);
    EXPECT_EQ(1 + format.exponent_bits + format.mantissa_bits, 8 * format.bytes);
  }
}

TEST(EncodeStates, KnownNumbersHaveKnownBits) {
  EXPECT_EQ(Encode16(1.0f, StateType::kF16), (Encoding{0x3C00, 0}));
  EXPECT_EQ(Encode16(-2.0f, StateType::kF16), (Encoding{0xC000, 0}));
  EXPECT_EQ(Encode16(65504.0f, StateType::kF16), (Encoding{0x7BFF, 0}));
  EXPECT_EQ(Encode16(-0.0f, StateType::kF16), (Encoding{0x8000, 0}));
  EXPECT_EQ(Encode16(1.0f, StateType::kBF16), (Encoding{0x3F80, 0}));
  EXPECT_EQ(Encode16(-2.0f, StateType::kBF16), (Encoding{0xC000, 0}));
  EXPECT_EQ(Encode16(-0.0f, StateType::kBF16), (Encoding{0x8000, 0}));
}

TEST(EncodeStates, RoundsToNearest) {
  // F16 between 1 and 2 has steps of 2^-10.
  EXPECT_EQ(Encode16(1 + 0.49f / 1024, StateType::kF16).bits, 0x3C00);
  EXPECT_EQ(Encode16(1 + 0.51f / 1024, StateType::kF16).bits, 0x3C01);
  EXPECT_EQ(Encode16(-1 - 0.51f / 1024, StateType::kF16).bits, 0xBC01);
  // BF16 between 1 and 2 has steps of 2^-7.
  EXPECT_EQ(Encode16(1 + 0.49f / 128, StateType::kBF16).bits, 0x3F80);
  EXPECT_EQ(Encode16(1 + 0.51f / 128, StateType::kBF16).bits, 0x3F81);
  EXPECT_EQ(Encode16(-1 - 0.51f / 128, StateType::kBF16).bits, 0xBF81);
}

TEST(EncodeStates, RoundsTiesToEven) {
  EXPECT_EQ(Encode16(1 + 0.5f / 1024, StateType::kF16).bits, 0x3C00);  // between ...00 and ...01
  EXPECT_EQ(Encode16(1 + 1.5f / 1024, StateType::kF16).bits, 0x3C02);  // between ...01 and ...02
  EXPECT_EQ(Encode16(2 - 0.5f / 1024, StateType::kF16).bits, 0x4000);  // carries into the exponent
  EXPECT_EQ(Encode16(1 + 0.5f / 128, StateType::kBF16).bits, 0x3F80);
  EXPECT_EQ(Encode16(1 + 1.5f / 128, StateType::kBF16).bits, 0x3F82);
  EXPECT_EQ(Encode16(2 - 0.5f / 128, StateType::kBF16).bits, 0x4000);
}

TEST(EncodeStates, SubnormalsRoundToNearestEven) {
  const float f16_step = std::ldexp(1.0f, -24);
  EXPECT_EQ(Encode16(f16_step, StateType::kF16).bits, 0x0001);
  EXPECT_EQ(Encode16(-3 * f16_step, StateType::kF16).bits, 0x8003);
  EXPECT_EQ(Encode16(0.5f * f16_step, StateType::kF16).bits, 0x0000);
  EXPECT_EQ(Encode16(0.51f * f16_step, StateType::kF16).bits, 0x0001);
  EXPECT_EQ(Encode16(1.5f * f16_step, StateType::kF16).bits, 0x0002);
  EXPECT_EQ(Encode16(2.5f * f16_step, StateType::kF16).bits, 0x0002);
  EXPECT_EQ(Encode16(1023.5f * f16_step, StateType::kF16).bits, 0x0400) << "becomes the least normal number";
  EXPECT_EQ(Encode16(std::numeric_limits<float>::denorm_min(), StateType::kF16), (Encoding{0x0000, 0}));

  const float bf16_step = std::ldexp(1.0f, -133);
  EXPECT_EQ(Encode16(bf16_step, StateType::kBF16).bits, 0x0001);
  EXPECT_EQ(Encode16(-1.5f * bf16_step, StateType::kBF16).bits, 0x8002);
  EXPECT_EQ(Encode16(127.5f * bf16_step, StateType::kBF16).bits, 0x0080);
}

TEST(EncodeStates, OverflowSaturatesAndIsCounted) {
  // F16 ends at 65504; 65520 is the middle between it and 2^16, which would be infinite.
  EXPECT_EQ(Encode16(std::nextafter(65520.0f, 0.0f), StateType::kF16), (Encoding{0x7BFF, 0}));
  EXPECT_EQ(Encode16(65520.0f, StateType::kF16), (Encoding{0x7BFF, 1}));
  EXPECT_EQ(Encode16(-1e6f, StateType::kF16), (Encoding{0xFBFF, 1}));
  EXPECT_EQ(Encode16(std::numeric_limits<float>::max(), StateType::kF16), (Encoding{0x7BFF, 1}));
  // BF16 ends at 0x7F7F; F32 goes on for 2^16 - 1 more steps, the upper half of which would be infinite.
  EXPECT_EQ(Encode16(std::bit_cast<float>(0x7F7F7FFFu), StateType::kBF16), (Encoding{0x7F7F, 0}));
  EXPECT_EQ(Encode16(std::bit_cast<float>(0x7F7F8000u), StateType::kBF16), (Encoding{0x7F7F, 1}));
  EXPECT_EQ(Encode16(-std::numeric_limits<float>::max(), StateType::kBF16), (Encoding{0xFF7F, 1}));

  const std::vector<float> states = {1e5f, 1, -1e5f, kInfinity};
  std::vector<std::byte> row(2 * states.size());
  EXPECT_EQ(EncodeStates(states, StateType::kF16, row), 2u);
  EXPECT_EQ(EncodeStates(states, StateType::kBF16, row), 0u);
}

TEST(EncodeStates, InfinitiesAndNaNStay) {
  EXPECT_EQ(Encode16(kInfinity, StateType::kF16), (Encoding{0x7C00, 0}));
  EXPECT_EQ(Encode16(-kInfinity, StateType::kF16), (Encoding{0xFC00, 0}));
  EXPECT_EQ(Encode16(kInfinity, StateType::kBF16), (Encoding{0x7F80, 0}));
  EXPECT_EQ(Encode16(-kInfinity, StateType::kBF16), (Encoding{0xFF80, 0}));
  for (const StateType type : {StateType::kF16, StateType::kBF16}) {
    // A payload in the low bits alone must not be cut off, which would leave an infinity.
    for (const std::uint32_t bits : {0x7FC00000u, 0x7F800001u, 0xFF800001u, 0x7FFFFFFFu}) {
      const Encoding encoding = Encode16(std::bit_cast<float>(bits), type);
      EXPECT_TRUE(std::isnan(Decode16(encoding.bits, type))) << StateTypeName(type) << " " << bits;
      EXPECT_EQ(encoding.n_overflow, 0u);
    }
  }
}

TEST(EncodeStates, Float32IsCopied) {
  const std::vector<float> states = {
      0, -0.0f, 1.1f, std::numeric_limits<float>::max(), kInfinity, std::numeric_limits<float>::denorm_min()};
  std::vector<std::byte> row(4 * states.size());
  EXPECT_EQ(EncodeStates(states, StateType::kF32, row), 0u);
  EXPECT_EQ(std::memcmp(row.data(), states.data(), row.size()), 0);
  for (std::size_t i = 0; i < states.size(); ++i) EXPECT_EQ(DecodeState(row, StateType::kF32, i), states[i]);
}

TEST(EncodeStates, BytesAreLittleEndian) {
  const std::vector<float> states = {1.0f};
  std::vector<std::byte> row(4);
  EncodeStates(states, StateType::kF32, row);  // 0x3F800000
  EXPECT_EQ(row, (std::vector{std::byte{0}, std::byte{0}, std::byte{0x80}, std::byte{0x3F}}));
  row.resize(2);
  EncodeStates(states, StateType::kBF16, row);  // 0x3F80
  EXPECT_EQ(row, (std::vector{std::byte{0x80}, std::byte{0x3F}}));
  EncodeStates(states, StateType::kF16, row);  // 0x3C00
  EXPECT_EQ(row, (std::vector{std::byte{0}, std::byte{0x3C}}));
}

TEST(DecodeState, KnownBitsAreKnownNumbers) {
  EXPECT_EQ(Decode16(0x3C01, StateType::kF16), 1 + 1.0f / 1024);
  EXPECT_EQ(Decode16(0x0001, StateType::kF16), std::ldexp(1.0f, -24));
  EXPECT_EQ(Decode16(0x03FF, StateType::kF16), std::ldexp(1023.0f, -24));
  EXPECT_EQ(Decode16(0x0400, StateType::kF16), std::ldexp(1.0f, -14));
  EXPECT_EQ(Decode16(0xFBFF, StateType::kF16), -65504.0f);
  EXPECT_EQ(Decode16(0x7C00, StateType::kF16), kInfinity);
  EXPECT_TRUE(std::isnan(Decode16(0x7C01, StateType::kF16)));
  EXPECT_TRUE(std::signbit(Decode16(0x8000, StateType::kF16)));
  EXPECT_EQ(Decode16(0x3F81, StateType::kBF16), 1 + 1.0f / 128);
  EXPECT_EQ(Decode16(0xFF80, StateType::kBF16), -kInfinity);
  EXPECT_EQ(Decode16(0x0001, StateType::kBF16), std::ldexp(1.0f, -133));
}

TEST(DecodeState, TakesTheElementAtTheIndex) {
  const std::vector<float> states = {1, 2, 3};
  for (const StateType type : {StateType::kF16, StateType::kBF16, StateType::kF32}) {
    std::vector<std::byte> row(states.size() * static_cast<std::size_t>(FormatOf(type).bytes));
    EncodeStates(states, type, row);
    for (std::size_t i = 0; i < states.size(); ++i) EXPECT_EQ(DecodeState(row, type, i), states[i]);
  }
}

TEST(DecodeState, EveryPatternEncodesToItself) {
  for (const StateType type : {StateType::kF16, StateType::kBF16}) {
    for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
      const float value = Decode16(static_cast<std::uint16_t>(bits), type);
      const Encoding encoding = Encode16(value, type);
      ASSERT_EQ(encoding.n_overflow, 0u) << StateTypeName(type) << " " << bits;
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(Decode16(encoding.bits, type))) << StateTypeName(type) << " " << bits;
      } else {
        ASSERT_EQ(encoding.bits, bits) << StateTypeName(type);
      }
    }
  }
}

TEST(DecodeState, OrderOfPatternsIsOrderOfNumbers) {
  for (const StateType type : {StateType::kF16, StateType::kBF16}) {
    const std::uint32_t infinity = ((1u << FormatOf(type).exponent_bits) - 1) << FormatOf(type).mantissa_bits;
    for (std::uint32_t bits = 0; bits < infinity; ++bits) {
      ASSERT_LT(Decode16(static_cast<std::uint16_t>(bits), type), Decode16(static_cast<std::uint16_t>(bits + 1), type)) << bits;
    }
  }
}

}  // namespace
}  // namespace verillm
