#include "report/verdict_report.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <string>
#include <vector>

#include "experiment/result_json.h"
#include "report/table.h"

namespace verillm {
namespace {

const std::vector<std::string> kHeaders = {
    "<layer", "Pe", "Pm", "Pw", "exact", "mean error", "mean |error|", "max |error|", "relative error"};

std::vector<std::string> Cells(const ResponseDiscrepancy& discrepancy, CapturePoint point, const PairStatistics& pool) {
  return {point.Name(),
          FormatNumber(pool.Pe()),
          FormatNumber(pool.Pm()),
          FormatNumber(pool.Pw()),
          FormatNumber(pool.ExactShare()),
          FormatNumber(pool.MeanError()),
          FormatNumber(pool.MeanAbsError()),
          FormatNumber(pool.max_abs_error),
          FormatNumber(MedianRelativeError(discrepancy, point))};
}

}  // namespace

void PrintDiscrepancy(const ResponseDiscrepancy& discrepancy, std::ostream& out) {
  Table table(kHeaders);
  for (const CapturePoint point : discrepancy.plan.points)
    table.AddRow(Cells(discrepancy, point, PoolOverPositions(discrepancy, point)));
  table.Print(out);
}

void PrintVerdict(const ResponseDiscrepancy& discrepancy, const PolicyResult& result, std::ostream& out) {
  std::vector<std::string> headers = kHeaders;
  headers.insert(headers.end(), {"accepted", "<pooled"});
  Table table(headers);
  for (const PointResult& point : result.points) {
    std::vector<std::string> cells = Cells(discrepancy, point.point, point.pool);
    if (result.peer) {
      cells.insert(cells.end(), {"-", "-"});
    } else {
      cells.push_back(fmt::format("{}/{}", point.accept_count, point.total_count));
      cells.push_back(point.pool_failure.empty() ? "ok" : point.pool_failure);
    }
    table.AddRow(std::move(cells));
  }
  table.Print(out);
  fmt::print(out, "\n{} ({} policy): {}\n", VerdictName(result.verdict), result.policy, result.reason);
}

}  // namespace verillm
