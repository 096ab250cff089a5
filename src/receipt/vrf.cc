#include "receipt/vrf.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "base/error.h"
#include "receipt/sodium.h"

namespace verillm {
namespace {

// What is hashed begins with the suite and with what the hash is for, and ends with a zero (RFC 9381 sections 5.2 and 5.4).
constexpr std::byte kSuite{3};
constexpr std::byte kForInputPoint{1};
constexpr std::byte kForChallenge{2};
constexpr std::byte kForOutput{3};
constexpr std::byte kEnd{0};

constexpr std::size_t kChallengeBytes = 16;

std::array<std::byte, 64> Hash512(std::byte purpose, std::initializer_list<std::span<const std::byte>> parts) {
  RequireSodium();
  crypto_hash_sha512_state state;
  crypto_hash_sha512_init(&state);
  const auto update = [&](std::span<const std::byte> part) { crypto_hash_sha512_update(&state, Unsigned(part), part.size()); };
  update(std::array{kSuite, purpose});
  for (const auto part : parts) update(part);
  update(std::array{kEnd});
  std::array<std::byte, 64> hash;
  crypto_hash_sha512_final(&state, Unsigned(hash));
  return hash;
}

[[noreturn]] void Refuse(std::string_view what) { throw Error(ErrorKind::kInput, fmt::format("VRF {}", what)); }

// `size` bytes of the proof from `offset` on, the rest zeros.
std::array<std::byte, 32> Part(std::span<const std::byte> proof, std::size_t offset, std::size_t size) {
  std::array<std::byte, 32> part{};
  std::copy_n(proof.begin() + static_cast<std::ptrdiff_t>(offset), size, part.begin());
  return part;
}

}  // namespace

EdwardsPoint VrfInputPoint(const EdwardsPoint& public_key, std::span<const std::byte> alpha) {
  for (int counter = 0; counter < 256; ++counter) {
    const auto hash = Hash512(kForInputPoint, {public_key, alpha, std::array{static_cast<std::byte>(counter)}});
    EdwardsPoint candidate;
    std::copy_n(hash.begin(), candidate.size(), candidate.begin());
    if (!IsPoint(candidate)) continue;
    const EdwardsPoint point = TimesCofactor(candidate);
    if (point != kNeutralPoint) return point;
  }
  Refuse("input: cannot be made a point of the curve, which happens to one input in 2^256");
}

EdwardsScalar VrfChallenge(const EdwardsPoint& public_key, const EdwardsPoint& input, const EdwardsPoint& gamma,
                           const EdwardsPoint& u, const EdwardsPoint& v) {
  return Part(Hash512(kForChallenge, {public_key, input, gamma, u, v}), 0, kChallengeBytes);
}

VrfOutput VerifyVrf(const EdwardsPoint& public_key, std::span<const std::byte> alpha, std::span<const std::byte> proof) {
  if (!IsPoint(public_key)) Refuse("public key: is no point of edwards25519");
  if (TimesCofactor(public_key) == kNeutralPoint) Refuse("public key: is of small order, so that everybody has its secret");
  if (proof.size() != sizeof(VrfProof)) {
    Refuse(fmt::format("proof: has {} bytes, where one has {}", proof.size(), sizeof(VrfProof)));
  }
  const EdwardsPoint gamma = Part(proof, 0, 32);
  const EdwardsScalar challenge = Part(proof, 32, kChallengeBytes);
  const EdwardsScalar response = Part(proof, 48, 32);
  if (!IsPoint(gamma)) Refuse("proof: Gamma, bytes 0 to 31, is no point of edwards25519");
  if (!IsReduced(response)) Refuse("proof: s, bytes 48 to 79, is not below the order of the base point");

  const EdwardsPoint input = VrfInputPoint(public_key, alpha);
  const EdwardsPoint u = Subtract(Times(response, kBasePoint), Times(challenge, public_key));
  const EdwardsPoint v = Subtract(Times(response, input), Times(challenge, gamma));
  if (VrfChallenge(public_key, input, gamma, u, v) != challenge) {
    Refuse("proof: is not that of this public key for this input; one of the three was changed");
  }
  return Hash512(kForOutput, {TimesCofactor(gamma)});
}

}  // namespace verillm
