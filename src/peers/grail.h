// GRAIL, proof version 5 (github.com/one-covenant/grail at 54d6342): a prover commits to one number for each position, a random
// linear sketch of the 16 largest hidden values there in coarse steps; a verifier computes those of 32 positions drawn afterwards
// and tolerates a difference.
//
// What it is good for: agreeing with that network's provers and verifiers. Its tolerance, of 6000 and more, is three times the
// largest standard deviation that a sketch can have (2061), so that the number 0 at every position passes nearly always without
// any model: acceptance says little. Use another policy to tell provers apart.
#ifndef VERILLM_PEERS_GRAIL_H_
#define VERILLM_PEERS_GRAIL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "receipt/hash.h"
#include "trace/state_type.h"
#include "trace/trace_file.h"

namespace verillm {

constexpr std::uint32_t kGrailPrime = 2147483647;  // sketches are residues modulo 2^31 - 1
constexpr std::size_t kGrailTopk = 16;
constexpr std::size_t kGrailChallenges = 32;

using GrailCoefficients = std::array<int, kGrailTopk>;

// `n_bytes` of SHAKE256 (FIPS 202) over the label, "||", and the parts with "||" between them. Error(kIo) where OpenSSL has none.
std::vector<std::byte> GrailExpand(std::string_view label, std::span<const std::span<const std::byte>> parts,
                                   std::size_t n_bytes);

// The bytes of a beacon in hexadecimal, which may have "0x" in front and an odd number of digits. Error(kInput) unless there are
// 1 to 64 of them.
std::vector<std::byte> GrailBeacon(std::string_view hex);

// One that is a number: 8 bytes, big-endian.
std::array<std::byte, 8> GrailBeacon(std::uint64_t number);

// The factors of a sketch, -127 to 127, of a beacon that is known before generation.
GrailCoefficients GrailCoefficientsOf(std::span<const std::byte> beacon);

// The step of a value: the sign times floor(0.8 log2(|x| + 1)), at most 7; 0 for NaN.
int GrailBucket(double value);

// The sketch of one state: the sum of step times coefficient over the 16 elements of largest magnitude (equal ones: those of
// lowest index) in order of index, modulo the prime. Error(kInput) where there are fewer elements.
std::uint32_t GrailSketch(std::span<const std::byte> state, StateType type, const GrailCoefficients& coefficients);

// Distance of two residues on the circle, and how much of it a position is allowed: floor(6000 + 5 sqrt(position)).
std::uint32_t GrailDifference(std::uint32_t a, std::uint32_t b);
std::uint32_t GrailTolerance(int position);

// SHA-256 over the tokens, each as 4 bytes, big-endian.
Hash GrailTokensDigest(std::span<const Token> tokens);

// The positions to check of [begin, end), ascending: `k` of them, or all where there are fewer. They follow from the tokens and a
// beacon through Python's random module. Error(kUsage) unless 0 <= begin <= end.
std::vector<int> GrailChallenge(std::span<const Token> tokens, std::span<const std::byte> beacon, int begin, int end,
                                std::size_t k = kGrailChallenges);

// SHA-256 that a prover signs: of tokens, beacon, model, layer and sketches.
Hash GrailBinding(std::span<const Token> tokens, std::span<const std::byte> beacon, std::string_view model_name, int layer,
                  std::span<const std::uint32_t> sketches);

struct GrailCheck {
  int position;
  std::uint32_t claimed;
  std::uint32_t own;
  std::uint32_t difference;
  std::uint32_t tolerance;

  bool passes() const { return difference <= tolerance; }
};

struct GrailResult {
  bool accepted = false;
  std::string reason;              // one sentence
  std::vector<GrailCheck> checks;  // one a position drawn, in order
};

// What a verifier knows: the tokens, of which the first n_prompt are the prompt, and his own states of all others.
struct GrailStates {
  std::span<const Token> tokens;
  int n_prompt;
  std::span<const std::byte> output_rows;  // of the positions from n_prompt on
  StateType type;
  int width;
};

// Accepts where every position drawn passes. Rejects without a look where there are fewer than 32 output tokens, a sketch is no
// residue or their number is not that of the tokens. Error(kInput) where the states are not those of the output tokens.
GrailResult VerifyGrail(std::span<const std::uint32_t> sketches, const GrailStates& states, const GrailCoefficients& coefficients,
                        std::span<const std::byte> challenge_beacon);

}  // namespace verillm

#endif  // VERILLM_PEERS_GRAIL_H_
