// A compact fingerprint of hidden states: low-order digits of random projections.
//
// Verifier and prover differ by rounding noise, so of a projection the verifier knows all but the last digits, and only these
// tell who computed. Each position is sent as `numbers` projections on random signs, in steps of about the honest noise, modulo
// 2^bits: of a number that would take 16 bits, four or fewer are left, and the rest is what the verifier has anyway (as in
// distributed source coding, Wyner and Ziv, IEEE Transactions on Information Theory 22, 1976). States that are further off than
// some steps give residues as good as random.
//
// Nobody can make them up: they are digits that depend on every element of the state, and a state that is a few per cent off has
// others. How likely random ones pass is ChanceOfRandomResidues.
#ifndef VERILLM_RESIDUE_RESIDUES_H_
#define VERILLM_RESIDUE_RESIDUES_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "trace/state_type.h"

namespace verillm {

struct ResidueScheme {
  int numbers = 8;         // a position
  int bits = 4;            // of each, 1 to 8; honest outliers should lie within half a turn
  double step = 0.01;      // of quantisation, as a share of the size of the states
  std::uint64_t seed = 1;  // of the signs; drawn after the model is fixed, so that none can be trained for them
};

struct Residues {
  int size = 0;                     // of the states, which the step is a share of: 8 log2 of their median element, rounded
  std::vector<std::uint8_t> codes;  // numbers a position, position after position

  bool operator==(const Residues&) const = default;
};

// What the residues of so many positions take: one byte, then `bits` a number.
std::size_t ResidueBytes(const ResidueScheme& scheme, std::size_t n_positions);

// The size of states whose median is zero, or which have no finite element: they have no residues, and pass for nothing.
constexpr int kNoSize = std::numeric_limits<int>::min();

// Of rows of `width` elements, one a position; numbers whose projection is not finite have code 0. Error(kInput) where there are
// no whole rows.
Residues ResiduesOf(const ResidueScheme& scheme, std::span<const std::byte> rows, StateType type, int width);

// Mean square of the differences between the prover's residues and the verifier's own projections, in steps, the short way round:
// 1/12 where the states are the same, 4^bits / 12 where they have nothing to do with each other. Infinite where the sizes differ
// by more than 1, there is none, or a projection of the verifier is not finite. Error(kInput) as of ResiduesOf, and for another
// number of codes.
double ResidueDistance(const ResidueScheme& scheme, const Residues& prover, std::span<const std::byte> verifier_rows,
                       StateType type, int width);

// Upper bound of the probability that random residues of `n_positions` have a distance of at most `threshold` (Hoeffding, Journal
// of the American Statistical Association 58, 1963: means of values within half a turn).
double ChanceOfRandomResidues(const ResidueScheme& scheme, std::size_t n_positions, double threshold);

}  // namespace verillm

#endif  // VERILLM_RESIDUE_RESIDUES_H_
