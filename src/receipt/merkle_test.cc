#include "receipt/merkle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "base/test_support.h"
#include "receipt/merkle_test_support.h"
#include "receipt/merkle_tree.h"

namespace verillm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using Indices = std::vector<std::uint64_t>;

constexpr std::uint64_t kMostLeaves = std::numeric_limits<std::uint64_t>::max();

// What a prover sends, and the root it is held against.
struct Opening {
  std::uint64_t n_leaves;
  std::vector<IndexedHash> leaves;
  std::vector<Hash> proof;
  Hash root;
};

Opening Open(std::span<const Hash> hashes, const Indices& indices) {
  Opening opening = {hashes.size(), {}, MultiProof(hashes, indices), RecursiveRoot(hashes)};
  for (const std::uint64_t index : indices) opening.leaves.push_back({index, hashes[index]});
  return opening;
}

// False if the root is another one or the input is refused.
bool Proves(const Opening& opening) {
  try {
    return RootFromMultiProof(opening.n_leaves, opening.leaves, opening.proof) == opening.root;
  } catch (const Error& error) {
    EXPECT_EQ(ErrorKindName(error.kind()), ErrorKindName(ErrorKind::kInput)) << error.what();
    return false;
  }
}

// Every set of leaves but the empty one.
std::vector<Indices> Subsets(std::size_t n_leaves) {
  std::vector<Indices> subsets;
  for (unsigned members = 1; members < 1u << n_leaves; ++members) {
    Indices& indices = subsets.emplace_back();
    for (std::size_t i = 0; i < n_leaves; ++i) {
      if (members >> i & 1) indices.push_back(i);
    }
  }
  return subsets;
}

Indices RandomSubset(std::size_t n_leaves, std::size_t n_members, std::mt19937& random) {
  Indices all(n_leaves), members;
  std::iota(all.begin(), all.end(), 0);
  std::sample(all.begin(), all.end(), std::back_inserter(members), n_members, random);
  return members;
}

std::vector<Opening> SmallOpenings(std::size_t most_leaves) {
  const std::vector<Hash> hashes = Leaves(most_leaves);
  std::vector<Opening> openings;
  for (std::size_t n = 1; n <= most_leaves; ++n) {
    for (const Indices& indices : Subsets(n)) openings.push_back(Open(std::span(hashes).first(n), indices));
  }
  return openings;
}

std::vector<Opening> LargeOpenings() {
  std::mt19937 random(1);
  const std::vector<Hash> hashes = Leaves(2000);
  std::vector<Opening> openings;
  for (const std::size_t n : {33, 1000, 2000}) {
    openings.push_back(Open(std::span(hashes).first(n), RandomSubset(n, 8, random)));
  }
  return openings;
}

// Openings of small trees in every way, and of larger ones in a few.
std::vector<Opening> Openings() {
  std::vector<Opening> openings = SmallOpenings(5);
  for (Opening& opening : LargeOpenings()) openings.push_back(std::move(opening));
  return openings;
}

void FlipBit(Hash& hash, std::size_t bit) { hash[bit / 8] ^= std::byte{1} << bit % 8; }

// The turns from the root to a leaf, by RFC 9162, section 2.1.3.1.
std::string Turns(std::uint64_t index, std::uint64_t n_leaves) {
  std::string turns;
  while (n_leaves > 1) {
    std::uint64_t k = 1;
    while (k < n_leaves - k) k *= 2;
    turns += index < k ? 'L' : 'R';
    n_leaves = index < k ? k : n_leaves - k;
    if (turns.back() == 'R') index -= k;
  }
  return turns;
}

TEST(LeafHash, HasPrefixZero) {
  EXPECT_EQ(LeafHash({}), Sha256({Bytes(std::string_view("\0", 1))}));
  EXPECT_EQ(LeafHash({Bytes("ab"), Bytes("c")}), Sha256({Bytes(std::string_view("\0abc", 4))}));
}

TEST(NodeHash, HasPrefixOneAndDependsOnTheOrder) {
  const std::vector<Hash> h = Leaves(2);
  EXPECT_EQ(NodeHash(h[0], h[1]), Sha256({Bytes("\1"), h[0], h[1]}));
  EXPECT_NE(NodeHash(h[0], h[1]), NodeHash(h[1], h[0]));
}

// Audit paths published with Certificate Transparency's reference trees, here from left to right.
TEST(RootFromMultiProof, AcceptsPublishedAuditPaths) {
  struct Path {
    std::uint64_t n_leaves, index;
    std::vector<const char*> hashes;
  };
  const std::vector<Path> paths = {{8,
                                    0,
                                    {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                                     "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                                     "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
                                   {8,
                                    5,
                                    {"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                     "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                                     "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"}},
                                   {3, 2, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
                                   {5,
                                    1,
                                    {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                     "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                                     "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}}};
  for (const Path& path : paths) {
    std::vector<Hash> proof;
    for (const char* const hash : path.hashes) proof.push_back(HashFromHex(hash, "proof"));
    const std::vector<IndexedHash> leaves = {{path.index, ReferenceLeaves()[path.index]}};
    EXPECT_EQ(ToHex(RootFromMultiProof(path.n_leaves, leaves, proof)), kReferenceRoots[path.n_leaves])
        << "leaf " << path.index << " of " << path.n_leaves;
  }
}

TEST(RootFromMultiProof, GivesTheReferenceRootsFromEverySubset) {
  const std::vector<Hash> hashes = ReferenceLeaves();
  for (std::size_t n = 1; n <= hashes.size(); ++n) {
    for (const Indices& indices : Subsets(n)) {
      const Opening opening = Open(std::span(hashes).first(n), indices);
      EXPECT_EQ(ToHex(RootFromMultiProof(n, opening.leaves, opening.proof)), kReferenceRoots[n]);
      EXPECT_EQ(MultiProofLength(n, indices), opening.proof.size());
    }
  }
}

TEST(RootFromMultiProof, GivesTheRootFromRandomSubsetsOfLargerTrees) {
  std::mt19937 random(2);
  const std::vector<Hash> hashes = Leaves(2000);
  for (int i = 0; i < 50; ++i) {
    const std::size_t n = std::uniform_int_distribution<std::size_t>(9, hashes.size())(random);
    const Indices indices = RandomSubset(n, std::uniform_int_distribution<std::size_t>(1, i % 2 == 0 ? n : 20)(random), random);
    const Opening opening = Open(std::span(hashes).first(n), indices);
    EXPECT_TRUE(Proves(opening)) << indices.size() << " of " << n << " leaves";
    EXPECT_EQ(MultiProofLength(n, indices), opening.proof.size());
  }
}

TEST(RootFromMultiProof, EveryBitOfALeafsHashMatters) {
  for (Opening& opening : Openings()) {
    for (IndexedHash& leaf : opening.leaves) {
      for (std::size_t bit = 0; bit < 256; ++bit) {
        FlipBit(leaf.hash, bit);
        ASSERT_FALSE(Proves(opening)) << "bit " << bit << " of leaf " << leaf.index << " of " << opening.n_leaves;
        FlipBit(leaf.hash, bit);
      }
    }
    ASSERT_TRUE(Proves(opening));
  }
}

TEST(RootFromMultiProof, EveryBitOfTheProofMatters) {
  for (Opening& opening : Openings()) {
    for (std::size_t i = 0; i < opening.proof.size(); ++i) {
      for (std::size_t bit = 0; bit < 256; ++bit) {
        FlipBit(opening.proof[i], bit);
        ASSERT_FALSE(Proves(opening)) << "bit " << bit << " of hash " << i << ", " << opening.n_leaves << " leaves";
        FlipBit(opening.proof[i], bit);
      }
    }
  }
}

TEST(RootFromMultiProof, EveryBitOfALeafsIndexMatters) {
  for (Opening& opening : Openings()) {
    for (IndexedHash& leaf : opening.leaves) {
      for (std::size_t bit = 0; bit < 64; ++bit) {
        leaf.index ^= std::uint64_t{1} << bit;
        ASSERT_FALSE(Proves(opening)) << "bit " << bit << " gives leaf " << leaf.index << " of " << opening.n_leaves;
        leaf.index ^= std::uint64_t{1} << bit;
      }
    }
  }
}

// A root binds the number of leaves only as far as the paths to the opened leaves show it; signing both binds it altogether.
TEST(RootFromMultiProof, AnotherNumberOfLeavesPassesOnlyWhereEveryPathIsTheSame) {
  for (const Opening& opening : Openings()) {
    for (std::size_t bit = 0; bit < 64; ++bit) {
      Opening other = opening;
      other.n_leaves ^= std::uint64_t{1} << bit;
      const bool same_paths = std::all_of(opening.leaves.begin(), opening.leaves.end(), [&](const IndexedHash& leaf) {
        return leaf.index < other.n_leaves && Turns(leaf.index, other.n_leaves) == Turns(leaf.index, opening.n_leaves);
      });
      ASSERT_EQ(Proves(other), same_paths) << opening.n_leaves << " and " << other.n_leaves << " leaves";
    }
  }
  Opening opening = Open(Leaves(8), {0});
  opening.n_leaves = 5;
  EXPECT_TRUE(Proves(opening));
  opening.n_leaves = 4;
  EXPECT_FALSE(Proves(opening));
}

TEST(RootFromMultiProof, RowsSwappedGiveAnotherRoot) {
  for (const Opening& opening : Openings()) {
    for (std::size_t i = 1; i < opening.leaves.size(); ++i) {
      Opening other = opening;
      std::swap(other.leaves[i - 1].hash, other.leaves[i].hash);
      ASSERT_FALSE(Proves(other));
    }
  }
}

TEST(RootFromMultiProof, ProofHashesSwappedGiveAnotherRoot) {
  for (const Opening& opening : Openings()) {
    for (std::size_t i = 1; i < opening.proof.size(); ++i) {
      Opening other = opening;
      std::swap(other.proof[i - 1], other.proof[i]);
      ASSERT_FALSE(Proves(other));
    }
  }
}

TEST(RootFromMultiProof, OpeningOfAnotherTreeGivesAnotherRoot) {
  Opening opening = Open(Leaves(100), {3, 70});
  opening.root = RecursiveRoot(ReferenceLeaves());
  EXPECT_FALSE(Proves(opening));
}

// A row that consists of the two hashes under a node is not that node; nor are two leaves' hashes a row of 64 bytes.
TEST(RootFromMultiProof, NodesAndLeavesDoNotPassForEachOther) {
  const std::vector<Hash> h = Leaves(4);
  const std::vector<IndexedHash> rows = {{0, LeafHash({h[0], h[1]})}, {1, LeafHash({h[2], h[3]})}};
  EXPECT_NE(RootFromMultiProof(2, rows, {}), RecursiveRoot(h));

  const std::vector<IndexedHash> halves = {{0, h[0]}, {1, h[1]}};
  EXPECT_NE(RootFromMultiProof(2, halves, {}), LeafHash({h[0], h[1]}));
}

TEST(RootFromMultiProof, RefusesAProofTooShortOrTooLong) {
  for (const Opening& opening : SmallOpenings(8)) {
    Opening other = opening;
    other.proof.push_back(opening.root);
    ExpectError([&] { RootFromMultiProof(other.n_leaves, other.leaves, other.proof); }, ErrorKind::kInput,
                StartsWith("the Merkle proof has " + std::to_string(opening.proof.size() + 1) + " hashes, not the "));
    if (opening.proof.empty()) continue;
    other.proof.resize(opening.proof.size() - 1);
    ExpectError([&] { RootFromMultiProof(other.n_leaves, other.leaves, other.proof); }, ErrorKind::kInput,
                HasSubstr("not the " + std::to_string(opening.proof.size()) + " that prove "));
  }
}

TEST(RootFromMultiProof, RefusesNoLeavesAndAnEmptyTree) {
  const Hash of_nothing = Sha256({});
  ExpectError([&] { RootFromMultiProof(8, {}, {&of_nothing, 1}); }, ErrorKind::kInput, "no leaf of the Merkle tree is opened");
  ExpectError([&] { RootFromMultiProof(0, {}, {}); }, ErrorKind::kInput, "no leaf of the Merkle tree is opened");
  const IndexedHash leaf = {0, of_nothing};
  ExpectError([&] { RootFromMultiProof(0, {&leaf, 1}, {}); }, ErrorKind::kInput, "leaf 0 is not in a Merkle tree of 0 leaves");
}

TEST(RootFromMultiProof, RefusesLeavesDoubledUnsortedOrOutOfRange) {
  const auto expect_error = [](const Indices& indices, const char* message) {
    std::vector<IndexedHash> leaves;
    for (const std::uint64_t index : indices) leaves.push_back({index, Sha256({})});
    ExpectError([&] { RootFromMultiProof(8, leaves, {}); }, ErrorKind::kInput, message);
    ExpectError([&] { MultiProofLength(8, indices); }, ErrorKind::kInput, message);
  };
  expect_error({3, 3}, "leaf 3 after leaf 3: opened leaves must ascend");
  expect_error({1, 5, 3}, "leaf 3 after leaf 5: opened leaves must ascend");
  expect_error({8}, "leaf 8 is not in a Merkle tree of 8 leaves");
  expect_error({0, kMostLeaves}, "leaf 18446744073709551615 is not in a Merkle tree of 8 leaves");
}

TEST(RootFromMultiProof, ReachesBothEndsOfTheLargestTree) {
  const std::vector<Hash> proof = Leaves(64);
  const Hash leaf = Sha256({});
  const std::vector<IndexedHash> first = {{0, leaf}};
  EXPECT_EQ(RootFromMultiProof(kMostLeaves, first, proof),
            std::accumulate(proof.begin(), proof.end(), leaf,
                            [](const Hash& hash, const Hash& right) { return NodeHash(hash, right); }));

  const std::vector<IndexedHash> last = {{kMostLeaves - 1, leaf}};
  EXPECT_EQ(RootFromMultiProof(kMostLeaves, last, std::span(proof).first(63)),
            std::accumulate(proof.rbegin() + 1, proof.rend(), leaf,
                            [](const Hash& hash, const Hash& left) { return NodeHash(left, hash); }));
}

TEST(MultiProofLength, IsTheDepthForOneLeaf) {
  EXPECT_EQ(MultiProofLength(1, Indices{0}), 0u);
  EXPECT_EQ(MultiProofLength(1024, Indices{77}), 10u);
  EXPECT_EQ(MultiProofLength(1025, Indices{77}), 11u);
  EXPECT_EQ(MultiProofLength(1025, Indices{1024}), 1u);
}

// 1024 leaves 2^53 apart lie below one node each of the level of 1024: 53 hashes each, none above.
TEST(MultiProofLength, DoesNotVisitTheWholeTree) {
  Indices indices;
  for (std::uint64_t i = 0; i < 1024; ++i) indices.push_back(i << 53);
  EXPECT_EQ(MultiProofLength(std::uint64_t{1} << 63, indices), 1024u * 53);
}

TEST(MultiProofLength, RefusesNoLeaves) {
  ExpectError([] { MultiProofLength(8, {}); }, ErrorKind::kInput, "no leaf of the Merkle tree is opened");
}

}  // namespace
}  // namespace verillm
