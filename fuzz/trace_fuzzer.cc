#include <string>

#include "base/coding.h"
#include "fuzz/fuzzer.h"
#include "trace/trace_file.h"

using namespace verillm;

namespace {

void TryTrace(std::string_view content) {
  const InputFile file(content);
  Succeeds([&] {
    const TraceFile trace(file.path());
    const CapturePlan& plan = trace.header().plan;
    const auto width = static_cast<std::size_t>(trace.header().model.width);
    const auto element_bytes = static_cast<std::size_t>(FormatOf(plan.type).bytes);
    for (const CapturePoint point : plan.points) {
      std::size_t n_bytes = 0;
      for (const int position : trace.positions()) {
        const std::span<const std::byte> row = trace.Row(point, position);
        Require(row.size() == width * element_bytes, "every row has the model's width");
        Require(FindNonFinite(row, plan.type) < trace.header().model.width, "what is not finite is in the row");
        n_bytes += row.size();
      }
      Require(n_bytes == trace.Rows(point).size(), "the rows are all there is");
      Require(trace.Row(point, trace.header().n_prompt - 1).empty(), "the prompt has no rows");
    }
    ContentsOf(trace);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content = Text(data, size);
  TryTrace(content);
  // Few mutations leave header and length in step, so the length is put right as well: the header ends with its last brace.
  const std::size_t brace = content.rfind('}');
  if (brace != std::string_view::npos && brace >= 8) {
    std::string repaired(content);
    StoreLittleEndian<std::uint64_t>(brace + 1 - 8, reinterpret_cast<std::byte*>(repaired.data()));
    TryTrace(repaired);
  }
  return 0;
}
