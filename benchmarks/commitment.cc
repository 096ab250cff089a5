// Committing to rows against OpenSSL's SHA-256 of the same bytes, as one long message and with each row as a message of its own:
// what the Merkle tree costs beyond SHA-256 itself.
//
//   benchmark_commitment [MiB of rows] [repetitions]
//
// It first checks that the tree's root is the one the verifier's side computes. Commitments and plain hashes then take turns, so
// that all see the same state of the machine.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "interleaved.h"
#include "receipt/hash.h"
#include "receipt/merkle.h"
#include "receipt/merkle_tree.h"

namespace verillm {
namespace {

constexpr std::size_t kHeaderBytes = 16;  // before each row: which one it is

struct RowKind {
  const char* name;
  std::size_t bytes;
};
constexpr RowKind kRowKinds[] = {{"576 x f16", 576 * 2}, {"3584 x f16", 3584 * 2}, {"3584 x f32", 3584 * 4}};

// Headers and rows, one after the other.
std::vector<std::byte> MakeRows(std::size_t n_rows, std::size_t row_bytes) {
  std::mt19937 random(1);
  std::vector<std::byte> bytes(n_rows * (kHeaderBytes + row_bytes));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Hash HashOfRow(std::span<const std::byte> rows, std::size_t begin, std::size_t row_bytes) {
  return LeafHash({rows.subspan(begin, kHeaderBytes), rows.subspan(begin + kHeaderBytes, row_bytes)});
}

Hash Commit(std::span<const std::byte> rows, std::size_t row_bytes) {
  MerkleAccumulator tree;
  for (std::size_t begin = 0; begin < rows.size(); begin += kHeaderBytes + row_bytes) tree.Add(HashOfRow(rows, begin, row_bytes));
  return tree.Root();
}

// As a verifier does who has every row.
Hash RootFromAllRows(std::span<const std::byte> rows, std::size_t row_bytes) {
  std::vector<IndexedHash> leaves;
  for (std::size_t begin = 0; begin < rows.size(); begin += kHeaderBytes + row_bytes) {
    leaves.push_back({leaves.size(), HashOfRow(rows, begin, row_bytes)});
  }
  return RootFromMultiProof(leaves.size(), leaves, {});
}

Hash PlainHash(std::span<const std::byte> bytes) {
  Hash hash;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(hash.data()), nullptr, EVP_sha256(), nullptr);
  return hash;
}

// Of every row with its header, as `openssl speed` hashes messages of one length: one context, begun anew for each.
Hash HashRows(std::span<const std::byte> rows, std::size_t row_bytes) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex2(context.get(), EVP_sha256(), nullptr);
  Hash hash;
  for (std::size_t begin = 0; begin < rows.size(); begin += kHeaderBytes + row_bytes) {
    EVP_DigestInit_ex2(context.get(), nullptr, nullptr);
    EVP_DigestUpdate(context.get(), rows.data() + begin, kHeaderBytes + row_bytes);
    EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(hash.data()), nullptr);
  }
  return hash;
}

int Run(std::size_t n_bytes, int n_repetitions) {
  fmt::print("{} MiB of rows, medians of {} repetitions\n", n_bytes >> 20, n_repetitions);
  fmt::print("{:<12}{:>16}{:>14}{:>14}{:>22}\n", "row", "one message", "each row", "commit, GB/s", "ratio to both");
  for (const RowKind& kind : kRowKinds) {
    const std::vector<std::byte> rows = MakeRows(n_bytes / (kHeaderBytes + kind.bytes), kind.bytes);
    if (Commit(rows, kind.bytes) != RootFromAllRows(rows, kind.bytes)) {
      fmt::print(stderr, "{}: the root is not the one that a verifier computes\n", kind.name);
      return 1;
    }
    const double giga_bytes = 1e-9 * static_cast<double>(rows.size());
    std::vector<double> plain, by_row, commit, ratio, ratio_by_row;
    for (int i = 0; i < n_repetitions; ++i) {
      plain.push_back(giga_bytes / Seconds([&] { return PlainHash(rows); }));
      by_row.push_back(giga_bytes / Seconds([&] { return HashRows(rows, kind.bytes); }));
      commit.push_back(giga_bytes / Seconds([&] { return Commit(rows, kind.bytes); }));
      ratio.push_back(commit.back() / plain.back());
      ratio_by_row.push_back(commit.back() / by_row.back());
    }
    fmt::print("{:<12}{:>16.2f}{:>14.2f}{:>14.2f}{:>12.2f}{:>10.2f}\n", kind.name, Median(plain), Median(by_row), Median(commit),
               Median(ratio), Median(ratio_by_row));
  }
  return 0;
}

}  // namespace
}  // namespace verillm

int main(int argc, char** argv) { return verillm::RunWithSizes(argc, argv, "rows", verillm::Run); }
