#include "audit/row_hashes.h"

#include <fmt/format.h>

#include "base/error.h"
#include "receipt/opening.h"

namespace verillm {

std::vector<Hash> RowHashes(const TraceFile& trace) {
  const TraceHeader& header = trace.header();
  std::vector<Hash> hashes;
  for (int position = header.n_prompt; position < static_cast<int>(trace.tokens().size()); ++position) {
    for (const CapturePoint point : header.plan.points) {
      const std::span<const std::byte> row = trace.Row(point, position);
      if (row.empty()) {
        throw Error(ErrorKind::kInput,
                    fmt::format("the trace has no row of capture point {} at position {}", point.Name(), position));
      }
      hashes.push_back(RowHash(position, point, trace.tokens()[static_cast<std::size_t>(position)], header.plan.type, row));
    }
  }
  if (hashes.empty()) throw Error(ErrorKind::kInput, "the trace has no states to commit to");
  return hashes;
}

std::vector<std::byte> OpenTrace(const TraceFile& trace, const Receipt& receipt, const Hash& receipt_digest,
                                 std::span<const int> positions) {
  return MakeOpening(receipt, receipt_digest, positions, RowHashes(trace),
                     [&](CapturePoint point, int position) { return trace.Row(point, position); });
}

}  // namespace verillm
