// The verifier's side of Merkle trees as in RFC 9162, section 2.1.1 (SHA-256; a tree of n leaves splits at the largest power of
// two smaller than n): from some leaves and a multi-proof to the root. Everything given here may come from somebody who cheats.
//
// A root does not say that what is given as a leaf is one: the hash of an inner node stands as well in a smaller tree. So compute
// each leaf's hash with LeafHash from the opened bytes, never take it from the prover.
// Nor does it say how many leaves there are: 5 and 8 leaves lead from leaf 0 to the root by the same path. So sign the number of
// leaves together with the root, derive challenges from both, and let the bytes of a leaf say which leaf it is.
#ifndef VERILLM_RECEIPT_MERKLE_H_
#define VERILLM_RECEIPT_MERKLE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "receipt/hash.h"

namespace verillm {

// SHA-256(0x00 || parts) and SHA-256(0x01 || left || right). The prefixes keep a leaf that consists of two hashes from passing
// for their node, and a node for a leaf.
Hash LeafHash(std::initializer_list<std::span<const std::byte>> parts);
Hash NodeHash(const Hash& left, const Hash& right);

struct IndexedHash {
  std::uint64_t index;  // of the leaf, 0 ... n_leaves - 1
  Hash hash;
};

// Root of the tree of `n_leaves` leaves some of which are `leaves`, strictly ascending by index. `proof` holds the hash of each
// largest subtree without any of them, from left to right. Error(kInput) if there are no leaves, one is not in the tree or not in
// order, or the proof has a hash too few or too many. O(k log n) for k leaves, without allocating; the recursion is 64 deep at
// most.
Hash RootFromMultiProof(std::uint64_t n_leaves, std::span<const IndexedHash> leaves, std::span<const Hash> proof);

// How many hashes that proof has; the same errors. Lets a parser check sizes before it reads or hashes anything.
std::size_t MultiProofLength(std::uint64_t n_leaves, std::span<const std::uint64_t> indices);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_MERKLE_H_
