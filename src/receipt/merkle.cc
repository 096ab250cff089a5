#include "receipt/merkle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"

namespace verillm {
namespace {

constexpr std::byte kLeafPrefix{0x00};
constexpr std::byte kNodePrefix{0x01};

std::uint64_t IndexOf(std::uint64_t index) { return index; }
std::uint64_t IndexOf(const IndexedHash& leaf) { return leaf.index; }

// The `n` leaves from `first` on, and those of them that are opened. Leaf is an index or an IndexedHash.
template <typename Leaf>
struct Subtree {
  std::uint64_t first;
  std::uint64_t n;
  std::span<const Leaf> opened;

  std::pair<Subtree, Subtree> Split() const {
    const std::uint64_t n_left = std::bit_floor(n - 1);
    const std::uint64_t middle = first + n_left;
    const auto right =
        std::partition_point(opened.begin(), opened.end(), [&](const Leaf& leaf) { return IndexOf(leaf) < middle; });
    return {{first, n_left, {opened.begin(), right}}, {middle, n - n_left, {right, opened.end()}}};
  }
};

template <typename Leaf>
Subtree<Leaf> CheckedTree(std::uint64_t n_leaves, std::span<const Leaf> opened) {
  if (opened.empty()) throw Error(ErrorKind::kInput, "no leaf of the Merkle tree is opened");
  for (std::size_t i = 0; i < opened.size(); ++i) {
    const std::uint64_t index = IndexOf(opened[i]);
    if (index >= n_leaves) {
      throw Error(ErrorKind::kInput, fmt::format("leaf {} is not in a Merkle tree of {} leaves", index, n_leaves));
    }
    if (i > 0 && index <= IndexOf(opened[i - 1])) {
      throw Error(ErrorKind::kInput,
                  fmt::format("leaf {} after leaf {}: opened leaves must ascend", index, IndexOf(opened[i - 1])));
    }
  }
  return {0, n_leaves, opened};
}

template <typename Leaf>
std::size_t ProofLength(const Subtree<Leaf>& tree) {
  if (tree.opened.empty()) return 1;
  if (tree.n == 1) return 0;
  const auto [left, right] = tree.Split();
  return ProofLength(left) + ProofLength(right);
}

// Takes the hashes it needs from the front of `proof`.
Hash Root(const Subtree<IndexedHash>& tree, std::span<const Hash>& proof) {
  if (tree.opened.empty()) {
    const Hash& hash = proof.front();
    proof = proof.subspan(1);
    return hash;
  }
  if (tree.n == 1) return tree.opened.front().hash;
  const auto [left, right] = tree.Split();
  const Hash left_hash = Root(left, proof);
  return NodeHash(left_hash, Root(right, proof));
}

}  // namespace

Hash LeafHash(std::initializer_list<std::span<const std::byte>> parts) { return Sha256(kLeafPrefix, parts); }

Hash NodeHash(const Hash& left, const Hash& right) { return Sha256(kNodePrefix, {left, right}); }

Hash RootFromMultiProof(std::uint64_t n_leaves, std::span<const IndexedHash> leaves, std::span<const Hash> proof) {
  const Subtree<IndexedHash> tree = CheckedTree(n_leaves, leaves);
  const std::size_t length = ProofLength(tree);
  if (proof.size() != length) {
    throw Error(ErrorKind::kInput, fmt::format("the Merkle proof has {} hashes, not the {} that prove {} of {} leaves",
                                               proof.size(), length, leaves.size(), n_leaves));
  }
  return Root(tree, proof);
}

std::size_t MultiProofLength(std::uint64_t n_leaves, std::span<const std::uint64_t> indices) {
  return ProofLength(CheckedTree(n_leaves, indices));
}

}  // namespace verillm
