#include "audit/opening_verification.h"

#include <utility>

#include "base/scratch_folder.h"

namespace verillm {

Verification VerifyOpening(Worker& worker, const ModelIdentity& model, const Receipt& receipt, const OpenedRows& opened,
                           const VerificationRequest& request, const VerificationProgress& progress) {
  TraceContents contents{.header = {.model = receipt.model,
                                    .device = receipt.device,
                                    .schedule = receipt.schedule,
                                    .sampling = receipt.sampling,
                                    .plan = receipt.plan,
                                    .n_prompt = receipt.n_prompt},
                         .tokens = receipt.tokens,
                         .positions = opened.positions,
                         .rows = {}};
  const std::size_t n_points = receipt.plan.points.size();
  for (std::size_t position = 0; position < opened.positions.size(); ++position) {
    for (std::size_t point = 0; point < n_points; ++point) {
      std::vector<std::byte>& rows = contents.rows[receipt.plan.points[point]];
      const auto row = opened.Row(position, point, n_points);
      rows.insert(rows.end(), row.begin(), row.end());
    }
  }
  // As a trace with rows at the opened positions, so that one way of verifying serves both.
  const ScratchFolder scratch;
  const std::filesystem::path path = scratch.path() / "opened.safetensors";
  WriteTrace(contents, path);
  const TraceFile trace(path);
  VerificationRequest at_opened = request;
  at_opened.positions = opened.positions;
  at_opened.first_outputs = 0;
  at_opened.keep.clear();
  const std::string text = worker.Detokenize(trace.tokens().subspan(static_cast<std::size_t>(receipt.n_prompt)));
  return VerifyTrace(worker, model, trace, text, at_opened, progress);
}

}  // namespace verillm
