#include "receipt/merkle_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_support.h"
#include "receipt/merkle.h"
#include "receipt/merkle_test_support.h"

namespace verillm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Indices = std::vector<std::uint64_t>;

TEST(MerkleAccumulator, EqualsCertificateTransparencysReferenceRoots) {
  MerkleAccumulator tree;
  EXPECT_EQ(ToHex(tree.Root()), kReferenceRoots[0]);
  for (const Hash& leaf : ReferenceLeaves()) {
    tree.Add(leaf);
    EXPECT_EQ(ToHex(tree.Root()), kReferenceRoots[tree.size()]) << tree.size() << " leaves";
  }
  EXPECT_EQ(tree.size(), 8u);
}

TEST(MerkleAccumulator, EqualsTheRecursiveDefinitionAtEverySize) {
  const std::vector<Hash> leaves = Leaves(300);
  MerkleAccumulator tree;
  for (std::size_t n = 0; n <= leaves.size(); ++n) {
    ASSERT_EQ(tree.size(), n);
    ASSERT_EQ(tree.Root(), RecursiveRoot(std::span(leaves).first(n))) << n << " leaves";
    if (n < leaves.size()) tree.Add(leaves[n]);
  }
}

TEST(MultiProof, HoldsTheLargestSubtreesWithoutOpenedLeavesFromLeftToRight) {
  const std::vector<Hash> h = ReferenceLeaves();
  EXPECT_THAT(MultiProof(h, Indices{2, 5}), ElementsAre(NodeHash(h[0], h[1]), h[3], h[4], NodeHash(h[6], h[7])));
  EXPECT_THAT(MultiProof(std::span(h).first(7), Indices{6}),
              ElementsAre(RecursiveRoot(std::span(h).first(4)), NodeHash(h[4], h[5])));
}

TEST(MultiProof, IsEmptyWhereEveryLeafIsOpened) {
  const std::vector<Hash> leaves = Leaves(5);
  EXPECT_THAT(MultiProof(leaves, Indices{0, 1, 2, 3, 4}), IsEmpty());
  EXPECT_THAT(MultiProof(Leaves(1), Indices{0}), IsEmpty());
}

TEST(MultiProof, RefusesLeavesThatAreNoneNotInOrderOrNotInTheTree) {
  const std::vector<Hash> leaves = Leaves(8);
  ExpectError([&] { MultiProof(leaves, Indices{}); }, ErrorKind::kUsage, "no leaf of the Merkle tree is to be proved");
  for (const Indices& indices : {Indices{3, 3}, Indices{5, 3}, Indices{0, 5, 3}}) {
    ExpectError([&] { MultiProof(leaves, indices); }, ErrorKind::kUsage, "the leaves to be proved must ascend");
  }
  ExpectError([&] { MultiProof(leaves, Indices{7, 8}); }, ErrorKind::kUsage, "leaf 8 is not in a Merkle tree of 8 leaves");
  ExpectError([&] { MultiProof({}, Indices{0}); }, ErrorKind::kUsage, "leaf 0 is not in a Merkle tree of 0 leaves");
}

}  // namespace
}  // namespace verillm
