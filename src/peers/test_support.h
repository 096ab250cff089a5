// For the tests of the peers' methods: the reference vectors of tests/data/peers, made with the peers' own code, and the
// generator of their inputs.
#ifndef VERILLM_PEERS_TEST_SUPPORT_H_
#define VERILLM_PEERS_TEST_SUPPORT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/split_mix.h"
#include "receipt/base64.h"
#include "trace/state_type.h"

namespace verillm {

inline std::filesystem::path PeerVectorPath(const std::string& name) {
  return std::filesystem::path(VERILLM_SOURCE_DIR) / "tests" / "data" / "peers" / name;
}

inline Json ReadPeerVectors(const std::string& name) {
  return ParseJson(ReadFile(PeerVectorPath(name), std::uint64_t{1} << 20), name);
}

// Activations as their 16 bits, row after row, and their type.
struct Activations {
  std::vector<std::uint16_t> bits;
  StateType type = StateType::kBF16;

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bits)); }
  std::string Sha256() const { return Sha256Hex(bytes()); }
};

inline std::uint16_t RoundTo(float value, StateType type) {
  std::uint16_t bits;
  EncodeStates(std::span(&value, 1), type, std::as_writable_bytes(std::span(&bits, 1)));
  return bits;
}

// Element i of a case, exact in binary32: dist "normal", "heavy" (few channels up to 32 times larger) or "coarse" (few values).
inline float GeneratedValue(std::string_view dist, std::uint64_t seed, std::uint64_t i, std::uint64_t hidden) {
  std::int64_t t = -393210;
  for (std::uint64_t d = 1; d <= 3; ++d) {
    const std::uint64_t z = SplitMix(seed, 3 * i + d);
    t += static_cast<std::int64_t>((z & 0xFFFF) + ((z >> 16) & 0xFFFF) + ((z >> 32) & 0xFFFF) + (z >> 48));
  }
  if (dist == "heavy") {
    const std::uint64_t h = SplitMix(seed ^ 0x5851F42D4C957F2D, i % hidden + 1) & 0xFFF;
    t *= h < 8 ? 32 : h < 64 ? 8 : h < 512 ? 2 : 1;
  } else if (dist == "coarse") {
    t = t / 8192 * 8192;
  }
  return static_cast<float>(t) * 0x1p-16f;
}

inline Activations GenerateActivations(std::string_view dist, std::uint64_t seed, std::uint64_t n_rows, std::uint64_t hidden,
                                       StateType type) {
  Activations activations{.bits = {}, .type = type};
  activations.bits.reserve(n_rows * hidden);
  for (std::uint64_t i = 0; i < n_rows * hidden; ++i)
    activations.bits.push_back(RoundTo(GeneratedValue(dist, seed, i, hidden), type));
  return activations;
}

// Little-endian numbers, one after the other.
template <typename Number>
std::vector<Number> NumbersFromBase64(std::string_view text) {
  const std::vector<std::byte> bytes = BytesFromBase64(text, "vectors");
  std::vector<Number> numbers(bytes.size() / sizeof(Number));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(Number));
  return numbers;
}

}  // namespace verillm

#endif  // VERILLM_PEERS_TEST_SUPPORT_H_
