// The leaves of a commitment to a whole trace, as the prover needs them to open some.
#ifndef VERILLM_AUDIT_ROW_HASHES_H_
#define VERILLM_AUDIT_ROW_HASHES_H_

#include <span>
#include <vector>

#include "receipt/receipt.h"
#include "receipt/row_commitment.h"
#include "trace/trace_file.h"

namespace verillm {

// RowHash of each row, in the order of the tree. Error(kInput) where the trace lacks rows or has none.
std::vector<Hash> RowHashes(const TraceFile& trace);

// MakeOpening with the rows of a trace.
std::vector<std::byte> OpenTrace(const TraceFile& trace, const Receipt& receipt, const Hash& receipt_digest,
                                 std::span<const int> positions);

}  // namespace verillm

#endif  // VERILLM_AUDIT_ROW_HASHES_H_
