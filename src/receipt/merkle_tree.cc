#include "receipt/merkle_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "base/error.h"
#include "receipt/merkle.h"

namespace verillm {
namespace {

void CheckIndices(std::span<const std::uint64_t> indices, std::size_t n_leaves) {
  if (indices.empty()) throw Error(ErrorKind::kUsage, "no leaf of the Merkle tree is to be proved");
  if (std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()) != indices.end()) {
    throw Error(ErrorKind::kUsage, "the leaves to be proved must ascend");
  }
  if (indices.back() >= n_leaves) {
    throw Error(ErrorKind::kUsage, fmt::format("leaf {} is not in a Merkle tree of {} leaves", indices.back(), n_leaves));
  }
}

// Appends the proof for the subtree `leaf_hashes`, which begins with leaf `first`; `indices` are those within it.
void AppendProof(std::span<const Hash> leaf_hashes, std::uint64_t first, std::span<const std::uint64_t> indices,
                 std::vector<Hash>& proof) {
  if (indices.empty()) {
    proof.push_back(MerkleRoot(leaf_hashes));
  } else if (leaf_hashes.size() > 1) {
    const std::size_t n_left = std::bit_floor(leaf_hashes.size() - 1);
    const auto right = std::lower_bound(indices.begin(), indices.end(), first + n_left);
    AppendProof(leaf_hashes.first(n_left), first, {indices.begin(), right}, proof);
    AppendProof(leaf_hashes.subspan(n_left), first + n_left, {right, indices.end()}, proof);
  }
}

}  // namespace

void MerkleAccumulator::Add(const Hash& leaf_hash) {
  // As in adding one to a binary number: each one-bit at the end is a subtree as large as the one that arrives, and joins it.
  Hash hash = leaf_hash;
  for (std::uint64_t n = size_; n % 2 == 1; n /= 2) {
    hash = NodeHash(subtrees_.back(), hash);
    subtrees_.pop_back();
  }
  subtrees_.push_back(hash);
  ++size_;
}

Hash MerkleAccumulator::Root() const {
  if (subtrees_.empty()) return Sha256({});
  Hash root = subtrees_.back();
  for (auto subtree = subtrees_.rbegin() + 1; subtree != subtrees_.rend(); ++subtree) root = NodeHash(*subtree, root);
  return root;
}

Hash MerkleRoot(std::span<const Hash> leaf_hashes) {
  MerkleAccumulator tree;
  for (const Hash& hash : leaf_hashes) tree.Add(hash);
  return tree.Root();
}

std::vector<Hash> MultiProof(std::span<const Hash> leaf_hashes, std::span<const std::uint64_t> indices) {
  CheckIndices(indices, leaf_hashes.size());
  std::vector<Hash> proof;
  AppendProof(leaf_hashes, 0, indices, proof);
  return proof;
}

}  // namespace verillm
