// For the tests of both sides of Merkle trees: reference trees with published roots, trees of any size, and the RFC's definition.
#ifndef VERILLM_RECEIPT_MERKLE_TEST_SUPPORT_H_
#define VERILLM_RECEIPT_MERKLE_TEST_SUPPORT_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "receipt/hash.h"
#include "receipt/merkle.h"

namespace verillm {

inline std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// The leaves of Certificate Transparency's reference trees, and the root of the first n of them.
inline std::vector<Hash> ReferenceLeaves() {
  using namespace std::string_view_literals;
  std::vector<Hash> hashes;
  for (const std::string_view leaf :
       {""sv, "\0"sv, "\x10"sv, "\x20\x21"sv, "\x30\x31"sv, "\x40\x41\x42\x43"sv, "\x50\x51\x52\x53\x54\x55\x56\x57"sv,
        "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"sv}) {
    hashes.push_back(LeafHash({Bytes(leaf)}));
  }
  return hashes;
}
constexpr std::array<const char*, 9> kReferenceRoots = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                                        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                                        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                                        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                                        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                                        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                                        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                                        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

// No two alike.
inline std::vector<Hash> Leaves(std::size_t n) {
  std::vector<Hash> hashes;
  for (std::size_t i = 0; i < n; ++i) hashes.push_back(LeafHash({Bytes(std::to_string(i))}));
  return hashes;
}

// RFC 9162, section 2.1.1, word by word.
inline Hash RecursiveRoot(std::span<const Hash> leaves) {
  if (leaves.empty()) return Sha256({});
  if (leaves.size() == 1) return leaves.front();
  std::size_t k = 1;
  while (2 * k < leaves.size()) k *= 2;
  return NodeHash(RecursiveRoot(leaves.first(k)), RecursiveRoot(leaves.subspan(k)));
}

}  // namespace verillm

#endif  // VERILLM_RECEIPT_MERKLE_TEST_SUPPORT_H_
