#include "receipt/opening.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/coding.h"
#include "base/error.h"
#include "receipt/canonical_json.h"
#include "receipt/merkle.h"
#include "receipt/merkle_tree.h"
#include "receipt/row_commitment.h"

namespace verillm {
namespace {

constexpr std::string_view kMagic = "VERILLM-OPENING\1";
constexpr int kOpeningVersion = 1;
constexpr std::size_t kLengthBytes = 4;  // of the header's length
// Positions are at most seven digits and a comma each; the rest of the header is short.
constexpr std::size_t kMaxHeaderBytes = std::size_t{16} << 20;

[[noreturn]] void Refuse(const std::string& what) { throw Error(ErrorKind::kInput, "opening: " + what); }

std::string HeaderText(const Hash& receipt_digest, std::span<const int> positions) {
  return CanonicalJson({{"format_version", kOpeningVersion},
                        {"positions", std::vector<int>(positions.begin(), positions.end())},
                        {"receipt", ToHex(receipt_digest)}});
}

std::vector<std::uint64_t> LeavesOf(const Receipt& receipt, std::span<const int> positions) {
  std::vector<std::uint64_t> leaves;
  for (const int position : positions) {
    for (std::size_t point = 0; point < receipt.plan.points.size(); ++point) {
      leaves.push_back(RowIndex(receipt.plan, receipt.n_prompt, point, position));
    }
  }
  return leaves;
}

}  // namespace

OpenedRows CheckOpening(std::span<const std::byte> opening, const Receipt& receipt, const Hash& receipt_digest,
                        std::span<const int> challenged) {
  const auto magic = std::as_bytes(std::span(kMagic));
  if (opening.size() < magic.size() + kLengthBytes || !std::equal(magic.begin(), magic.end(), opening.begin())) {
    Refuse("does not begin as an opening does");
  }
  const auto header_bytes = LoadLittleEndian<std::uint32_t>(&opening[magic.size()]);
  std::size_t offset = magic.size() + kLengthBytes;
  if (header_bytes > kMaxHeaderBytes || header_bytes > opening.size() - offset) {
    Refuse(fmt::format("a header of {} bytes does not fit", header_bytes));
  }
  const std::string_view text(reinterpret_cast<const char*>(opening.data()) + offset, header_bytes);
  offset += header_bytes;
  const Json json = ParseCanonicalJson(text, "opening");
  JsonFields fields(json, "opening");
  const int version = fields.Get<int>("format_version");
  if (version != kOpeningVersion) Refuse(fmt::format("format version {} is not {}", version, kOpeningVersion));
  const auto of_receipt = HashFromHex(fields.Get<std::string>("receipt"), "opening: receipt");
  OpenedRows opened{.positions = fields.Get<std::vector<int>>("positions"), .rows = {}};
  fields.Finish();
  if (of_receipt != receipt_digest) {
    Refuse(fmt::format("is of the receipt {}, not of {}", ToHex(of_receipt), ToHex(receipt_digest)));
  }
  if (!std::equal(opened.positions.begin(), opened.positions.end(), challenged.begin(), challenged.end())) {
    Refuse(fmt::format("opens {} positions that are not the {} challenged ones", opened.positions.size(), challenged.size()));
  }

  const std::vector<std::uint64_t> leaves = LeavesOf(receipt, opened.positions);
  const std::size_t row_bytes = receipt.row_bytes();
  const std::size_t n_proof = MultiProofLength(receipt.n_rows(), leaves);
  const std::size_t expected = leaves.size() * row_bytes + n_proof * sizeof(Hash);
  if (opening.size() - offset != expected) {
    Refuse(fmt::format("{} bytes of rows and proof, where {} belong", opening.size() - offset, expected));
  }
  std::vector<IndexedHash> hashes;
  for (const int position : opened.positions) {
    for (const CapturePoint point : receipt.plan.points) {
      opened.rows.push_back(opening.subspan(offset, row_bytes));
      offset += row_bytes;
      hashes.push_back({leaves[hashes.size()], RowHash(position, point, receipt.tokens[static_cast<std::size_t>(position)],
                                                       receipt.plan.type, opened.rows.back())});
    }
  }
  std::vector<Hash> proof(n_proof);
  for (Hash& hash : proof) {
    std::copy_n(opening.begin() + static_cast<std::ptrdiff_t>(offset), hash.size(), hash.begin());
    offset += hash.size();
  }
  if (RootFromMultiProof(receipt.n_rows(), hashes, proof) != receipt.root) {
    Refuse("the rows are not those that the receipt commits to");
  }
  return opened;
}

std::vector<std::byte> MakeOpening(const Receipt& receipt, const Hash& receipt_digest, std::span<const int> positions,
                                   std::span<const Hash> row_hashes,
                                   const std::function<std::span<const std::byte>(CapturePoint, int)>& row) {
  if (row_hashes.size() != receipt.n_rows() || MerkleRoot(row_hashes) != receipt.root) {
    throw Error(ErrorKind::kUsage, "the recorded states are not those that the receipt commits to");
  }
  std::vector<std::byte> opening;
  const auto append = [&](std::span<const std::byte> bytes) {
    opening.resize(opening.size() + bytes.size());
    std::copy(bytes.begin(), bytes.end(), opening.end() - static_cast<std::ptrdiff_t>(bytes.size()));
  };
  append(std::as_bytes(std::span(kMagic)));
  const std::string header = HeaderText(receipt_digest, positions);
  std::array<std::byte, kLengthBytes> length;
  StoreLittleEndian(static_cast<std::uint32_t>(header.size()), length.data());
  append(length);
  append(std::as_bytes(std::span(header)));
  for (const int position : positions) {
    if (position < receipt.n_prompt || position >= static_cast<int>(receipt.tokens.size())) {
      throw Error(ErrorKind::kUsage, fmt::format("position {} is not one of the output's, {} to {}", position, receipt.n_prompt,
                                                 receipt.tokens.size() - 1));
    }
    for (const CapturePoint point : receipt.plan.points) append(row(point, position));
  }
  for (const Hash& hash : MultiProof(row_hashes, LeavesOf(receipt, positions))) append(hash);
  return opening;
}

}  // namespace verillm
