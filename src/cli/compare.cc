#include <fmt/format.h>
#include <fmt/ostream.h>

#include <memory>
#include <string>

#include "audit/recording.h"
#include "audit/verification.h"
#include "cli/command.h"
#include "experiment/result_json.h"
#include "report/verdict_report.h"

namespace verillm {
namespace {

struct CompareOptions {
  std::string a;
  std::string b;
  bool json = false;
};

int RunCompare(const CompareOptions& options, Streams& streams) {
  const TraceFile a(options.a);
  const TraceFile b(options.b);
  const ResponseDiscrepancy discrepancy = CompareTraces(a, b);
  for (const std::string& failure : discrepancy.failures) fmt::print(streams.talk, "warning: {}\n", failure);
  if (options.json) {
    Json points = Json::object();
    for (const CapturePoint point : discrepancy.plan.points) {
      points[point.Name()] = ToJson(PoolOverPositions(discrepancy, point));
      const auto median = MedianRelativeError(discrepancy, point);
      points[point.Name()]["median_relative_error"] = median ? NumberOrNull(*median) : Json(nullptr);
    }
    streams.out << Json{{"schema_version", kSchemaVersion},
                        {"a", ToJson(a.header().device)},
                        {"b", ToJson(b.header().device)},
                        {"n_positions", discrepancy.positions.size()},
                        {"per_capture_point", points}}
                       .dump(2)
                << "\n";
    return 0;
  }
  fmt::print(streams.out, "{} positions, {} against {}\n\n", discrepancy.positions.size(), a.header().device.name,
             b.header().device.name);
  PrintDiscrepancy(discrepancy, streams.out);
  return 0;
}

}  // namespace

void AddCompareCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand("compare", "Compare two traces of the same tokens");
  command->add_option("a", options->a, "Trace in the prover's place (.safetensors)")->required();
  command->add_option("b", options->b, "Trace in the verifier's place (.safetensors)")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &run] { run = [options](Streams& streams) { return RunCompare(*options, streams); }; });
}

}  // namespace verillm
