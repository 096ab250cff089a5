// Options of the commands that load a model on a device.
#ifndef VERILLM_CLI_DEVICE_OPTIONS_H_
#define VERILLM_CLI_DEVICE_OPTIONS_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "worker/worker.h"

namespace verillm {

struct DeviceOptions {
  std::string model;
  std::string device = "cpu";
  Schedule schedule;
  std::optional<int> worker_timeout;
};

// --worker-timeout of every command that starts workers.
void AddWorkerTimeout(CLI::App& command, std::optional<int>& seconds);

void AddDeviceOptions(CLI::App& command, DeviceOptions& options);

// A worker with the model loaded.
struct ReadyWorker {
  std::unique_ptr<Worker> worker;
  ModelIdentity model;
  std::filesystem::path model_path;
};

ReadyWorker StartWorker(const DeviceOptions& options, Streams& streams, ProgressLine& progress);

}  // namespace verillm

#endif  // VERILLM_CLI_DEVICE_OPTIONS_H_
