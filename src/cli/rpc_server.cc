#include "engine/rpc_server.h"

#include <memory>
#include <string>
#include <thread>

#include "cli/command.h"

namespace verillm {
namespace {

struct RpcServerOptions {
  std::string device = "cpu";
  std::string listen = "127.0.0.1:50052";
  int threads = static_cast<int>(std::thread::hardware_concurrency());
};

}  // namespace

void AddRpcServerCommand(CLI::App& app, Run& run) {
  const auto options = std::make_shared<RpcServerOptions>();
  CLI::App* command = app.add_subcommand(
      "rpc-server", "Offer a device as rpc:HOST:PORT over ggml's RPC backend, which has no keys: for networks that you trust");
  command->add_option("--device", options->device, "Device to offer")->capture_default_str();
  command->add_option("--listen", options->listen, "HOST:PORT to be reached at")->capture_default_str();
  command->add_option("--threads", options->threads, "Threads of the CPU")->check(CLI::PositiveNumber)->capture_default_str();
  command->callback([options, &run] {
    run = [options](Streams&) -> int { ServeRpc(Device::Open(options->device), options->listen, options->threads); };
  });
}

}  // namespace verillm
