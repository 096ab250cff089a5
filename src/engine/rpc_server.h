// Offers a device to llama.cpp on other machines, over ggml's RPC backend: the server's side of devices named rpc:HOST:PORT.
#ifndef VERILLM_ENGINE_RPC_SERVER_H_
#define VERILLM_ENGINE_RPC_SERVER_H_

#include <string>

#include "engine/device.h"

namespace verillm {

// Serves one client after the other at `endpoint` (HOST:PORT), until the process is ended. Whoever reaches the port can use and
// crash it: ggml's protocol has no keys. Error(kUsage) where the endpoint is none, Error(kWorker) where it cannot be served.
[[noreturn]] void ServeRpc(const Device& device, const std::string& endpoint, int threads);

}  // namespace verillm

#endif  // VERILLM_ENGINE_RPC_SERVER_H_
