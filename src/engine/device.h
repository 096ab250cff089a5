// ggml devices of this machine: which there are, which can run, and opening one. A process opens one device and keeps it, since
// llama.cpp can hold only one CPU variant; other devices live in other worker processes.
#ifndef VERILLM_ENGINE_DEVICE_H_
#define VERILLM_ENGINE_DEVICE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trace/provenance.h"

struct ggml_backend_device;

namespace verillm {

// A device that could be opened here, or why not.
struct DeviceCandidate {
  std::string name;                   // "cpu:haswell", "blas", "cuda:0"
  std::string backend;                // "CPU", "BLAS", "CUDA" ...
  std::vector<std::string> features;  // instruction sets that it needs
  bool software = false;              // a GPU that a driver imitates on the CPU, for tests
  bool can_run = false;
  std::string reason;  // why it cannot run; empty where it can
};

// Every device that the installed backends offer, best CPU variant first. Asks the drivers of GPUs, and opens nothing.
std::vector<DeviceCandidate> ListDevices();

// The two devices among `candidates` that differ most and both run: the first of another backend family than the CPU beside the
// best CPU variant, else the best CPU variant and the best one with half its vector width or less, else the first two (BLAS
// and software last). Error(kUsage) where fewer than two run.
std::pair<std::string, std::string> MostDifferentDevices(const std::vector<DeviceCandidate>& candidates);

// The device that this process computes on.
class Device {
 public:
  // Loads the backends that `name` needs. Error(kUsage) for a name that does not exist or cannot run here, naming those that can;
  // Error(kWorker) where loading fails, or where this process has opened another device before.
  static Device Open(std::string_view name);

  const DeviceIdentity& identity() const { return identity_; }
  // The ggml device to place weights on; null for the CPU, which needs no placing.
  ggml_backend_device* offload() const { return offloads_ ? device_ : nullptr; }
  // It, as ggml knows it.
  ggml_backend_device* ggml_device() const { return device_; }
  // Whether it computes on the cores of the CPU, which other processes use too.
  bool shares_cores() const { return shares_cores_; }
  // Whether weights may be repacked for the CPU variant; BLAS cannot read repacked ones, and would be left without work.
  bool repacks_weights() const { return identity_.backend != "BLAS"; }

 private:
  Device() = default;

  DeviceIdentity identity_;
  ggml_backend_device* device_ = nullptr;
  bool offloads_ = false;
  bool shares_cores_ = true;
};

}  // namespace verillm

#endif  // VERILLM_ENGINE_DEVICE_H_
