// The commitment to recorded states: a Merkle tree whose leaves are the rows of a trace, position by position and in each
// position by capture point in ascending order. A leaf binds a row to its place:
//
//   position, capture point (0xffffffff for final), token at the position, state type (1: f16, 2: bf16, 3: f32), each 4 bytes
//   little-endian, then the row as recorded
//
// so that rows can neither be exchanged nor read in another type. The tree is built while rows come, in memory of O(log n).
#ifndef VERILLM_RECEIPT_ROW_COMMITMENT_H_
#define VERILLM_RECEIPT_ROW_COMMITMENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "receipt/merkle_tree.h"
#include "trace/trace_file.h"

namespace verillm {

// The hash of a row's leaf.
Hash RowHash(int position, CapturePoint point, Token token, StateType type, std::span<const std::byte> row);

// The place of a row among the leaves of a response whose output begins at `n_prompt`.
std::uint64_t RowIndex(const CapturePlan& plan, int n_prompt, std::size_t point_index, int position);

// Commits to rows as a recording brings them: capture point by capture point, and the token of each position.
class RowCommitment {
 public:
  // `width` elements a row, of the plan's type; the first row is that of position `n_prompt`.
  RowCommitment(CapturePlan plan, int width, int n_prompt);

  // As TraceWriter: rows of a capture point for the positions that follow those already added. What cannot be hashed yet, because
  // the position's token or a row of it is still to come, is held.
  void AppendRows(CapturePoint point, std::span<const std::byte> rows);
  void AppendToken(Token token);

  // Error(kInput) where there is no row at all, or a position lacks its token or a row.
  Hash Root() const;

 private:
  void HashWhatIsComplete();

  CapturePlan plan_;
  std::size_t row_bytes_;
  int position_;                              // the first that is not hashed yet
  std::vector<std::vector<std::byte>> rows_;  // by capture point, from position_ on
  std::deque<Token> tokens_;                  // from position_ on
  MerkleAccumulator tree_;
};

}  // namespace verillm

#endif  // VERILLM_RECEIPT_ROW_COMMITMENT_H_
