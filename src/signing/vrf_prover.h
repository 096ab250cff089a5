// Proofs of a verifiable random function (receipt/vrf.h).
#ifndef VERILLM_SIGNING_VRF_PROVER_H_
#define VERILLM_SIGNING_VRF_PROVER_H_

#include <cstddef>
#include <span>

#include "receipt/vrf.h"

namespace verillm {

// The proof of the output for `alpha` under the key that belongs to an Ed25519 seed (RFC 9381 section 5.1); always the same one.
// It takes no time that depends on the seed, and is checked before it is given away: one that a fault of the machine has damaged
// could betray the key.
//
// The same key may make minisign signatures (SecretKey), but must not sign 32 bytes as they are: RFC 8032 and RFC 9381 derive the
// secret nonce alike from the key and the message, here a point's 32 bytes, and a nonce used twice betrays the key. minisign
// signs 64 bytes or more.
VrfProof ProveVrf(std::span<const std::byte, 32> seed, std::span<const std::byte> alpha);

}  // namespace verillm

#endif  // VERILLM_SIGNING_VRF_PROVER_H_
