// TOPLOC (arXiv 2501.16007): proofs of inference of two bytes for each of the k largest values in a chunk of hidden states. They
// are byte for byte those of the Python package `toploc` 0.1.6, so that either side can be the other's prover or verifier.
//
// A chunk is some rows of the last hidden state (after the final norm), 16-bit floats, one after the other. Its proof is the
// polynomial over GF(65497) through the points (index modulo m, bits of the value) of its k largest values; m is the largest
// modulus up to 65497 under which these indices stay distinct. The verifier evaluates it at the indices of his own k largest
// values and compares exponents and mantissas with his own.
//
// What the package leaves open is settled here: judging is strict. It refuses what the package accepts silently (too few proofs,
// null proofs, fewer coefficients, second encodings of a proof, a polynomial that is one constant, which on Gaussian states
// passes even the paper's thresholds without any model). What it cannot settle: a proof binds neither tokens nor model nor time,
// only the last layer is looked at, signs are ignored, and who can predict indices and values of large channels can forge them.
#ifndef VERILLM_PEERS_TOPLOC_H_
#define VERILLM_PEERS_TOPLOC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peers/largest_elements.h"
#include "trace/state_type.h"

namespace verillm {

// What both sides must know beside the proofs, which do not say it.
struct ToplocParameters {
  int decode_batching_size = 32;  // rows of a chunk
  int topk = 128;                 // values of a chunk that its proof holds
  TieRule ties = TieRule::kLowestIndex;
};

// Hidden states to prove or verify: whole rows of `width` elements, one after the other.
struct ToplocStates {
  std::span<const std::byte> rows;
  StateType type;  // kBF16 or kF16; the package verifies kBF16 alone
  int width;
  std::size_t n_prefill = 0;  // this many first rows are a chunk of their own: the prefill of a prompt (0: skip_prefill)

  std::size_t n_rows() const;
};

// Rows [first_row, first_row + n_rows).
struct ToplocChunk {
  std::size_t first_row;
  std::size_t n_rows;

  bool operator==(const ToplocChunk&) const = default;
};

// The chunks in the order of their proofs: the prefill, if any, then groups of `decode_batching_size` rows; the last may be
// short.
std::vector<ToplocChunk> ToplocChunks(std::size_t n_rows, std::size_t n_prefill, int decode_batching_size);

struct ToplocProof {
  std::uint16_t modulus = 0;                // 0 only in a null proof, which says that building failed
  std::vector<std::uint16_t> coefficients;  // topk of them, the constant one first

  bool operator==(const ToplocProof&) const = default;
};

// Building

// The proof of one chunk, whatever its values (the package's rule: NaN counts as largest). Error(kUsage) unless 1 <= topk <=
// 65497, Error(kInput) where the states are not 16-bit floats, the chunk has fewer than topk elements, or no modulus will do.
ToplocProof BuildToplocProof(std::span<const std::byte> chunk, StateType type, int topk, TieRule ties);

// The proofs of all chunks. Error(kInput) also where there are no rows or where a chunk holds NaN or infinities, and
// Error(kUsage) for a batching size below 1. What is wrong with a chunk names its rows.
std::vector<ToplocProof> BuildToplocProofs(const ToplocStates& states, const ToplocParameters& parameters);

// The largest modulus up to 65497 under which the indices, which are distinct, stay so; Error(kInput) where there is none. Of k
// indices of a large chunk the modulus 65497 keeps a share of exp(-k^2 / 131,000) of all choices distinct, 0.88 for k = 128; from
// k = 1200 on there is seldom any modulus that does.
std::uint16_t InjectiveModulus(std::span<const std::uint32_t> indices);

// Encoding: modulus and coefficients as 16-bit big-endian numbers; in text as base64 with padding (RFC 4648).

std::vector<std::byte> ToplocProofBytes(const ToplocProof& proof);
std::string ToplocProofBase64(const ToplocProof& proof);

// The proof that has exactly this encoding. Error(kInput), naming `what`, for an odd number of bytes, no coefficients, a modulus
// above 65497, coefficients of 65497 and more, and for base64 with other characters, wrong padding or bits that belong to no
// byte. Null proofs are read: JudgeToplocProofs rejects them.
ToplocProof ToplocProofFromBytes(std::span<const std::byte> bytes, std::string_view what);
ToplocProof ToplocProofFromBase64(std::string_view text, std::string_view what);

// Proofs as text: one a line, or a JSON list of strings, which is what Python's json makes of the package's base64 proofs.
std::string ToplocProofLines(std::span<const ToplocProof> proofs);
std::string ToplocProofJson(std::span<const ToplocProof> proofs);

// The reverse of both; Error(kInput) naming `what` and the line or element.
std::vector<ToplocProof> ParseToplocProofs(std::string_view text, std::string_view what);

// Measuring, as lenient as the package

// How far a proof is from a chunk of the verifier's, as the package measures it for tensors. For lists of activations it takes
// the average of the two middle differences as their median, and does not reduce indices by the proof's modulus, so that there a
// proof whose modulus is below 65497 fails against its own states.
//
// Signs are ignored. Mantissas are compared where exponents are equal, in units of 2^-7 of the power of two (those of kBF16; kF16
// has eighths of them), so that thresholds mean the same for both types.
struct ToplocDistance {
  std::size_t exponent_mismatches = 0;
  // Of the absolute differences. Where no exponents are equal, the package's value for it: 2^64.
  double mantissa_mean = 0;
  double mantissa_median = 0;  // element n / 2 of the n sorted differences, counted from 0
};

// Any proof with a modulus can be measured, with any number of coefficients. Errors as BuildToplocProof, but for the modulus, and
// Error(kInput) for a null proof.
ToplocDistance MeasureToplocProof(const ToplocProof& proof, std::span<const std::byte> chunk, StateType type, int topk,
                                  TieRule ties);

// Judging, strictly

// A chunk passes where nothing is above these.
struct ToplocThresholds {
  double exponent_mismatches;
  double mantissa_mean;
  double mantissa_median;
};

// "paper": 38, 10, 8, those of the paper's code for bf16 and topk 128 (toploc-experiments, TEXP=90 TMEAN=10 TMEDIAN=8);
// "deployed": 60, 40, 40, those of toploc-validator. For another topk the number of mismatches is in proportion, rounded down.
// Error(kUsage) for another name.
ToplocThresholds ToplocThresholdsFromName(std::string_view name, int topk);
std::vector<std::string_view> ToplocThresholdNames();

// Error(kUsage) where they are negative or let any proof of topk values pass.
void CheckToplocThresholds(const ToplocThresholds& thresholds, int topk);

struct ToplocChunkResult {
  ToplocChunk chunk;
  std::optional<ToplocDistance> distance;  // nullopt where there is no proof to measure
  std::string failure;                     // empty where the chunk passes
};

struct ToplocResult {
  bool accepted = false;
  std::string reason;                     // one sentence: why, with the values that decided it
  std::vector<ToplocChunkResult> chunks;  // one a chunk of the verifier's
};

// Accepts where there is one proof a chunk and every chunk passes. Beside the thresholds a chunk fails by: a null proof; another
// number of coefficients than topk; a modulus that the chunk's size or the verifier's indices rule out; from topk 16 on, a
// polynomial of a degree so low that no prover gets it by chance (a constant, above all; of fewer values it may be honest); NaN
// or infinities among the verifier's own values. Errors as CheckToplocThresholds and
// BuildToplocProofs.
ToplocResult JudgeToplocProofs(std::span<const ToplocProof> proofs, const ToplocStates& states,
                               const ToplocParameters& parameters, const ToplocThresholds& thresholds);

}  // namespace verillm

#endif  // VERILLM_PEERS_TOPLOC_H_
