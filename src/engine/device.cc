#include "engine/device.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml-backend.h>
#include <ggml-rpc.h>
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/network.h"
#include "engine/backend.h"
#include "engine/cpu_variant.h"
#include "engine/engine_log.h"

namespace verillm {
namespace {

// Backends other than the CPU that have devices of their own, by the name users type. `mps` is what PyTorch users call Metal.
struct Family {
  std::string_view user_name;
  std::string_view backend;
  std::string_view title;
  std::string_view how_to_build;
};
constexpr Family kFamilies[] = {{"cuda", "cuda", "CUDA", "configure with -DVERILLM_CUDA=ON"},
                                {"vulkan", "vulkan", "Vulkan", "install glslc and configure again"},
                                {"metal", "metal", "Metal", "configure with -DVERILLM_METAL=ON"},
                                {"mps", "metal", "Metal", ""}};

struct ParsedName {
  std::string family;
  std::string rest;  // after the first colon
};

ParsedName ParseName(std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, colon)), std::string(name.substr(colon + 1))};
}

[[noreturn]] void ThrowUnknown(std::string_view name) {
  std::vector<std::string> names = {"cpu"};
  for (const DeviceCandidate& candidate : ListDevices()) {
    if (candidate.can_run) names.push_back(candidate.name);
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("unknown device \"{}\"; here there are: {} (see verillm devices)", name, fmt::join(names, ", ")));
}

// For an RPC server to take a connection.
constexpr std::chrono::seconds kRpcPatience(10);

// Drivers that compute on the CPU what is meant for a GPU.
bool IsSoftware(std::string_view description) {
  return description.starts_with("llvmpipe") || description.starts_with("SwiftShader");
}

// The device of an RPC server of llama.cpp. ggml ends this process where the connection is lost, or cannot be made: hence the
// look before.
ggml_backend_dev_t ConnectRpc(const std::string& endpoint) {
  const auto [host, port] = ParseEndpoint(endpoint).value();
  if (!AcceptsConnections(host, port, kRpcPatience)) {
    throw Error(ErrorKind::kWorker, fmt::format("no RPC server of llama.cpp answers at {}", endpoint));
  }
  const ggml_backend_reg_t rpc = LoadBackend("rpc");
  const auto add_server = reinterpret_cast<decltype(&ggml_backend_rpc_add_server)>(
      ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server"));
  const ggml_backend_reg_t server = add_server == nullptr ? nullptr : add_server(endpoint.c_str());
  if (server == nullptr) {
    throw Error(ErrorKind::kWorker, fmt::format("the RPC server at {} offers no device", endpoint));
  }
  return ggml_backend_reg_dev_get(server, 0);
}

}  // namespace

std::vector<DeviceCandidate> ListDevices() {
  std::vector<DeviceCandidate> candidates;
  for (CpuVariant& variant : CpuVariants()) {
    candidates.push_back({.name = "cpu:" + variant.name,
                          .backend = "CPU",
                          .features = std::move(variant.features),
                          .software = false,
                          .can_run = variant.score > 0,
                          .reason = std::move(variant.reason)});
  }
  if (HasBackend("blas")) {
    candidates.push_back({.name = "blas", .backend = "BLAS", .features = {}, .software = false, .can_run = true, .reason = ""});
  }
  for (const Family& family : kFamilies) {
    if (family.user_name == "mps") continue;
    const auto add = [&](std::size_t index, bool software, std::string reason) {
      candidates.push_back({.name = fmt::format("{}:{}", family.user_name, index),
                            .backend = std::string(family.title),
                            .features = {},
                            .software = software,
                            .can_run = reason.empty(),
                            .reason = std::move(reason)});
    };
    if (!HasBackend(family.backend)) {
      add(0, false, fmt::format("this llama.cpp was built without it ({})", family.how_to_build));
      continue;
    }
    FoundGpus found = FindGpus(family.backend);
    if (found.gpus.empty()) add(0, false, std::move(found.reason));
    for (std::size_t i = 0; i < found.gpus.size(); ++i) {
      add(i, IsSoftware(ggml_backend_dev_description(found.gpus[i])), "");
    }
  }
  return candidates;
}

std::pair<std::string, std::string> MostDifferentDevices(const std::vector<DeviceCandidate>& candidates) {
  const DeviceCandidate* best = nullptr;
  const DeviceCandidate* narrow = nullptr;
  for (const DeviceCandidate& candidate : candidates) {
    if (!candidate.can_run || candidate.software || candidate.backend == "BLAS") continue;
    if (best == nullptr) {
      best = &candidate;
    } else if (candidate.backend != "CPU") {
      return {best->name, candidate.name};
    } else if (narrow == nullptr && 2 * VectorBits(candidate.features) <= VectorBits(best->features)) {
      narrow = &candidate;
    }
  }
  if (best != nullptr && narrow != nullptr) return {best->name, narrow->name};
  for (const DeviceCandidate& candidate : candidates) {
    if (best != nullptr && candidate.can_run && candidate.name != best->name) return {best->name, candidate.name};
  }
  throw Error(ErrorKind::kUsage, "an experiment over two devices needs two that run here; see verillm devices");
}

Device Device::Open(std::string_view name) {
  const LoggedTime timed(fmt::format("opening device {}", name));
  static std::optional<std::string> opened;
  if (opened && *opened != name) {
    throw Error(ErrorKind::kWorker, fmt::format("this process has opened {} and cannot open {} too", *opened, name));
  }
  const ParsedName parsed = ParseName(name);
  const Family* family =
      std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return f.user_name == parsed.family; });
  const bool is_gpu = family != std::end(kFamilies);
  const bool is_rpc = parsed.family == "rpc" && ParseEndpoint(parsed.rest);
  if ((parsed.family != "cpu" && name != "blas" && !is_gpu && !is_rpc) || name.ends_with(':')) ThrowUnknown(name);

  const std::vector<CpuVariant> variants = CpuVariants();
  if (variants.empty() || variants.front().score == 0) {
    throw Error(ErrorKind::kWorker, "no CPU backend of llama.cpp runs here; set VERILLM_BACKENDS to the folder of its libraries");
  }
  const CpuVariant* cpu = &variants.front();
  if (parsed.family == "cpu" && !parsed.rest.empty()) {
    const auto found = std::ranges::find(variants, parsed.rest, &CpuVariant::name);
    if (found == variants.end()) ThrowUnknown(name);
    cpu = &*found;
    if (cpu->score == 0) throw Error(ErrorKind::kUsage, fmt::format("device {} cannot run here: {}", name, cpu->reason));
  }
  if (name == "blas" && !HasBackend("blas")) {
    throw Error(ErrorKind::kUsage, "device blas cannot run here: this llama.cpp was built without BLAS");
  }
  if (is_gpu && !HasBackend(family->backend)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("device {} cannot run here: this llama.cpp was built without {}", name, family->title));
  }

  // From here on backends are loaded, whether or not the rest succeeds.
  opened = name;
  RedirectEngineLog();
  llama_backend_init();
  Device device;
  const ggml_backend_reg_t cpu_registry = LoadBackend("cpu-" + cpu->name);
  ggml_backend_dev_t described = ggml_backend_reg_dev_get(cpu_registry, 0);
  device.identity_.name = name == "cpu" ? "cpu:" + cpu->name : std::string(name);
  device.identity_.backend = "CPU";
  device.identity_.features = FeaturesOf(cpu_registry);
  if (name == "blas") {
    LoadBackend("blas");
    device.identity_.backend = "BLAS";
  } else if (is_gpu) {
    const ggml_backend_reg_t registry = LoadBackend(family->backend);
    const std::vector<ggml_backend_dev_t> gpus = GpusOf(registry);
    const std::size_t index = parsed.rest.empty() ? 0 : std::strtoul(parsed.rest.c_str(), nullptr, 10);
    if (index >= gpus.size() || (!parsed.rest.empty() && parsed.rest != std::to_string(index))) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("device {} cannot run here: {} finds {} devices", name, family->title, gpus.size()));
    }
    described = gpus[index];
    device.offloads_ = true;
    device.shares_cores_ = IsSoftware(ggml_backend_dev_description(described));
    device.identity_.backend = family->title;
    device.identity_.features = FeaturesOf(registry);
  } else if (is_rpc) {
    described = ConnectRpc(parsed.rest);
    device.offloads_ = true;
    device.shares_cores_ = false;
    device.identity_.backend = "RPC";
    device.identity_.features = {};
  }

  device.device_ = described;
  std::size_t memory_free = 0;
  std::size_t memory_total = 0;
  ggml_backend_dev_memory(described, &memory_free, &memory_total);
  device.identity_.description = ggml_backend_dev_description(described);
  device.identity_.engine = fmt::format("llama.cpp {}", llama_version());
  device.identity_.memory_total = memory_total;
  return device;
}

}  // namespace verillm
