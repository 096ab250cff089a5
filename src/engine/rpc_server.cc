#include "engine/rpc_server.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml-rpc.h>

#include "base/error.h"
#include "base/network.h"
#include "engine/backend.h"

namespace verillm {

void ServeRpc(const Device& device, const std::string& endpoint, int threads) {
  if (!ParseEndpoint(endpoint)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("\"{}\" is no endpoint: name one as HOST:PORT, such as 127.0.0.1:50052", endpoint));
  }
  const ggml_backend_reg_t rpc = LoadBackend("rpc");
  const auto start = reinterpret_cast<decltype(&ggml_backend_rpc_start_server)>(
      ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_start_server"));
  if (start == nullptr) throw Error(ErrorKind::kWorker, "this llama.cpp has no RPC server");
  ggml_backend_dev_t served = device.ggml_device();
  start(endpoint.c_str(), nullptr, static_cast<std::size_t>(threads), 1, &served);
  throw Error(ErrorKind::kWorker, fmt::format("{} cannot be served at {}", device.identity().name, endpoint));
}

}  // namespace verillm
