#include "cli/device_options.h"

#include <fmt/format.h>

#include <chrono>

#include "engine/model_store.h"

namespace verillm {

void AddWorkerTimeout(CLI::App& command, std::optional<int>& seconds) {
  command
      .add_option("--worker-timeout", seconds,
                  fmt::format("Seconds of silence after which a worker is given up (default: {})", kWorkerTimeout))
      ->check(CLI::Range(kMinWorkerTimeout, kMaxWorkerTimeout));
}

void AddDeviceOptions(CLI::App& command, DeviceOptions& options) {
  command.add_option("--model", options.model, fmt::format("Path of a GGUF file, or one of: {}", fmt::join(ModelNames(), ", ")))
      ->required();
  command.add_option("--device", options.device, "Device to compute on, see verillm devices (default: the best CPU variant)");
  command.add_option("--chunk", options.schedule.chunk, "Most tokens in one pass of a prefill (default: 512)")
      ->check(CLI::Range(1, 65536));
  command.add_option("--threads", options.schedule.threads, "Threads to compute with (default: one a core)")
      ->check(CLI::Range(1, 512));
  command
      .add_option_function<std::string>(
          "--flash-attention", [&](const std::string& name) { options.schedule.flash_attention = FlashAttentionFromName(name); },
          "Fused attention: auto, on or off (default: auto)")
      ->check(CLI::IsMember({"auto", "on", "off"}));
  command
      .add_option_function<std::string>(
          "--cache", [&](const std::string& name) { options.schedule.cache = CacheTypeFromName(name); },
          "Type of the cached keys and values (default: f16)")
      ->check(CLI::IsMember(CacheTypeNames()));
  AddWorkerTimeout(command, options.worker_timeout);
}

ReadyWorker StartWorker(const DeviceOptions& options, Streams& streams, ProgressLine& progress) {
  const std::filesystem::path path =
      ResolveModel(options.model, [&](std::string_view step) { streams.talk << step << " ...\n"
                                                                            << std::flush; });
  progress.Show("hashing the model");
  const ModelReference reference = ReferenceTo(path);
  ReadyWorker ready;
  ready.model_path = path;
  ready.worker = std::make_unique<Worker>(LocalWorker(options.device, {std::filesystem::absolute(path).parent_path()}),
                                          streams.cancel, std::chrono::seconds(options.worker_timeout.value_or(kWorkerTimeout)));
  WorkerEvents events;
  events.progress = [&](std::string_view phase, double done, double total) {
    progress.Show(total > 0 ? fmt::format("{} the model: {:.0f} %", phase, 100 * done / total) : std::string(phase));
  };
  ready.model = ready.worker->Load(reference, events);
  return ready;
}

}  // namespace verillm
