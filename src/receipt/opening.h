// An opening: the rows of the challenged positions with one proof that they are those committed to. A file of
//
//   16 bytes "VERILLM-OPENING\1"; 4 bytes length of the header, little-endian; the header, canonical JSON with format_version,
//   receipt (digest) and positions (ascending); the rows, position by position and by capture point in ascending order, each as
//   recorded; the hashes of the multi-proof (merkle.h), 32 bytes each
//
// and nothing else: its length follows from receipt and positions.
#ifndef VERILLM_RECEIPT_OPENING_H_
#define VERILLM_RECEIPT_OPENING_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "receipt/receipt.h"

namespace verillm {

// The rows of a checked opening; they live as long as the bytes it was checked from.
struct OpenedRows {
  std::vector<int> positions;                    // ascending
  std::vector<std::span<const std::byte>> rows;  // of each position, one a capture point of the receipt's plan

  std::span<const std::byte> Row(std::size_t position_index, std::size_t point_index, std::size_t n_points) const {
    return rows[position_index * n_points + point_index];
  }
};

// Checks an opening against receipt and challenged positions, the proof included. Error(kInput) saying what is wrong.
OpenedRows CheckOpening(std::span<const std::byte> opening, const Receipt& receipt, const Hash& receipt_digest,
                        std::span<const int> challenged);

// The opening of `positions` (ascending). `row` gives the row of a position and capture point; `row_hashes` are all leaves
// (RowHashes). Error(kUsage) where they are not those of the receipt, or a position is none of its output.
std::vector<std::byte> MakeOpening(const Receipt& receipt, const Hash& receipt_digest, std::span<const int> positions,
                                   std::span<const Hash> row_hashes,
                                   const std::function<std::span<const std::byte>(CapturePoint, int)>& row);

}  // namespace verillm

#endif  // VERILLM_RECEIPT_OPENING_H_
