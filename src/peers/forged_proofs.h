// What who ran no model can send in place of proofs, and whether that passes: the weaknesses of the peers' methods as code. A
// proof is forged from what earlier answers of the same model, or this one's earlier part, have shown.
#ifndef VERILLM_PEERS_FORGED_PROOFS_H_
#define VERILLM_PEERS_FORGED_PROOFS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "peers/grail.h"
#include "peers/toploc.h"

namespace verillm {

// Proofs that were checked, and how many passed: with what the authors' programs look at, and strictly, as JudgeToplocProofs and
// VerifyGrail do. Those programs look at distances alone in TOPLOC; of GRAIL both are the same.
struct ForgeryTally {
  std::size_t n = 0;
  std::size_t accepted_as_published = 0;
  std::size_t accepted_strictly = 0;

  bool operator==(const ForgeryTally&) const = default;
  ForgeryTally& operator+=(const ForgeryTally& more);
};

// The number that a chunk's `topk` largest values are most like, without signs: their commonest exponent with the median mantissa
// of those that have it. The chunk has at least `topk` values of 16 bits.
std::uint16_t TypicalValue(std::span<const std::byte> chunk, StateType type, int topk);

// A proof that says this number of whatever index it is asked: it fits any chunk and tells of none.
ToplocProof ConstantToplocProof(std::uint16_t value, int topk);

// The proof of a chunk of `n_rows` rows that are all the same, the mean magnitudes of some earlier `states`: what is large in
// every state of a model is in it. Errors as BuildToplocProof.
ToplocProof PredictedToplocProof(const ToplocStates& states, std::size_t n_rows, int topk);

// `proofs` against the verifier's chunks from number `first_chunk` on, one each; no prefill. Errors as JudgeToplocProofs.
ForgeryTally CheckForgedToplocProofs(std::span<const ToplocProof> proofs, const ToplocStates& states, std::size_t first_chunk,
                                     const ToplocParameters& parameters, const ToplocThresholds& thresholds);

// One response: its sketches, those of the prompt included. Errors as VerifyGrail.
ForgeryTally CheckForgedSketches(std::span<const std::uint32_t> sketches, const GrailStates& states,
                                 const GrailCoefficients& coefficients, std::span<const std::byte> challenge_beacon);

}  // namespace verillm

#endif  // VERILLM_PEERS_FORGED_PROOFS_H_
