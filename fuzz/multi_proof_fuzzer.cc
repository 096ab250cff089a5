#include <cstring>
#include <vector>

#include "fuzz/fuzzer.h"
#include "receipt/merkle.h"

using namespace verillm;

// 8 bytes number of leaves, 1 byte number of opened ones, 8 bytes index of each; what remains are hashes of the proof.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto take = [&](void* to, std::size_t n) {
    if (size < n) return false;
    std::memcpy(to, data, n);
    data += n;
    size -= n;
    return true;
  };
  std::uint64_t n_leaves = 0;
  std::uint8_t n_opened = 0;
  if (!take(&n_leaves, 8) || !take(&n_opened, 1)) return 0;
  std::vector<IndexedHash> leaves(n_opened);
  std::vector<std::uint64_t> indices;
  for (IndexedHash& leaf : leaves) {
    if (!take(&leaf.index, 8)) return 0;
    leaf.hash.fill(static_cast<std::byte>(leaf.index));
    indices.push_back(leaf.index);
  }
  std::vector<Hash> proof(size / sizeof(Hash));
  for (Hash& hash : proof) take(hash.data(), hash.size());
  std::size_t expected = 0;
  const bool sound = Succeeds([&] { expected = MultiProofLength(n_leaves, indices); });
  const bool rooted = Succeeds([&] { RootFromMultiProof(n_leaves, leaves, proof); });
  Require(rooted == (sound && proof.size() == expected), "a proof leads to a root if and only if it has the right length");
  return 0;
}
