// The prover's side of the trees of merkle.h: the root while leaves come in, and the proof for some of them.
#ifndef VERILLM_RECEIPT_MERKLE_TREE_H_
#define VERILLM_RECEIPT_MERKLE_TREE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "receipt/hash.h"

namespace verillm {

// Keeps only the perfect subtrees at the right edge, one hash for each one-bit of size(): O(log n) memory, one NodeHash per leaf
// on average.
class MerkleAccumulator {
 public:
  void Add(const Hash& leaf_hash);

  std::uint64_t size() const { return size_; }

  // Of the leaves so far; more may follow. Of none it is the SHA-256 of nothing, as RFC 9162 has it; that commits to nothing, so
  // callers refuse to sign it and to accept it.
  Hash Root() const;

 private:
  std::uint64_t size_ = 0;
  std::vector<Hash> subtrees_;  // from left to right, that is from large to small
};

// The root of a tree whose leaves are all there.
Hash MerkleRoot(std::span<const Hash> leaf_hashes);

// What RootFromMultiProof needs beside the leaves of `indices`. Error(kUsage) unless those are strictly ascending, in the tree
// and at least one. O(n) hashes.
std::vector<Hash> MultiProof(std::span<const Hash> leaf_hashes, std::span<const std::uint64_t> indices);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_MERKLE_TREE_H_
