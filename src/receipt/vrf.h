// A verifiable random function (RFC 9381), ciphersuite ECVRF-EDWARDS25519-SHA512-TAI: with a secret key one can compute a number
// for each input and prove it, and with the public key anybody can check that it is the only one. Checking only; proving is
// another module's.
//
// The number is as random as its key: whoever may choose a key after the input is known can choose among numbers. So a key must
// be known before what it is to judge.
#ifndef VERILLM_RECEIPT_VRF_H_
#define VERILLM_RECEIPT_VRF_H_

#include <array>
#include <cstddef>
#include <span>

#include "receipt/edwards25519.h"

namespace verillm {

using VrfProof = std::array<std::byte, 80>;   // "pi": Gamma (32 bytes), c (16), s (32)
using VrfOutput = std::array<std::byte, 64>;  // "beta"

// What the owner of the key computes for the input `alpha` (RFC 9381 section 5.3). The key is validated as in section 5.4.5.
// Error(kInput) saying whether length, Gamma, s or the key is wrong, or whether the three do not belong together.
//
// A key's owner can make several proofs of one output, by adding a point of small order to Gamma; the output is one.
VrfOutput VerifyVrf(const EdwardsPoint& public_key, std::span<const std::byte> alpha, std::span<const std::byte> proof);

// What proving and checking share: section 5.4.1.1, with the public key as salt, and section 5.4.3, with the public key, the
// input as a point, Gamma, U and V.
EdwardsPoint VrfInputPoint(const EdwardsPoint& public_key, std::span<const std::byte> alpha);
EdwardsScalar VrfChallenge(const EdwardsPoint& public_key, const EdwardsPoint& input, const EdwardsPoint& gamma,
                           const EdwardsPoint& u, const EdwardsPoint& v);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_VRF_H_
