#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "engine/device.h"
#include "report/table.h"
#include "worker/worker.h"

namespace verillm {
namespace {

struct DevicesOptions {
  bool json = false;
};

// Every device that can run is asked in a process of its own: what it says of itself there is what an inference will get.
int RunDevices(const DevicesOptions& options, Streams& streams) {
  Json rows = Json::array();
  ProgressLine progress(streams);
  for (const DeviceCandidate& candidate : ListDevices()) {
    Json row = {{"name", candidate.name},
                {"backend", candidate.backend},
                {"can_run", candidate.can_run},
                {"needs", candidate.features},
                {"software", candidate.software}};
    if (candidate.can_run) {
      progress.Show("asking " + candidate.name);
      try {
        const Worker worker(LocalWorker(candidate.name, {}), streams.cancel);
        row["description"] = worker.device().description;
        row["features"] = worker.device().features;
        row["memory_total"] = worker.device().memory_total;
        row["engine"] = worker.device().engine;
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::kCancelled) throw;
        row["can_run"] = false;
        row["reason"] = error.what();
      }
    } else {
      row["reason"] = candidate.reason;
    }
    rows.push_back(std::move(row));
  }
  progress.Clear();
  if (options.json) {
    streams.out << Json{{"devices", rows}}.dump(2) << "\n";
    return 0;
  }
  Table table({"<device", "<backend", "memory", "<instruction sets", "<hardware, or why it cannot run"});
  for (const Json& row : rows) {
    const bool can_run = row.at("can_run").get<bool>();
    const auto needs = row.at("needs").get<std::vector<std::string>>();
    table.AddRow({row.at("name").get<std::string>(), row.at("backend").get<std::string>(),
                  can_run ? FormatBytes(row.at("memory_total").get<double>()) : "-",
                  needs.empty()
                      ? "-"
                      : fmt::format("{}{}", needs.size() > 3 ? "... " : "",
                                    fmt::join(needs.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(needs.size(), 3)),
                                              needs.end(), " ")),
                  can_run ? row.at("description").get<std::string>() + (row.at("software").get<bool>() ? " (software)" : "")
                          : "cannot run: " + row.at("reason").get<std::string>()});
  }
  table.Print(streams.out);
  return 0;
}

}  // namespace

void AddDevicesCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<DevicesOptions>();
  CLI::App* command = app.add_subcommand("devices", "List the devices that can run models here, and why others cannot");
  command->add_flag("--json", options->json, "Print JSON, with all instruction sets");
  command->callback([options, &run] { run = [options](Streams& streams) { return RunDevices(*options, streams); }; });
}

}  // namespace verillm
