// Addresses, and whether somebody listens there.
#ifndef VERILLM_BASE_NETWORK_H_
#define VERILLM_BASE_NETWORK_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace verillm {

struct Endpoint {
  std::string host;
  std::string port;
};

// What "HOST:PORT" names; nullopt where there is no host, or the port is no number.
std::optional<Endpoint> ParseEndpoint(std::string_view text);

// Whether a TCP connection to `host` and `port` (a number or a service) is accepted within `patience`.
bool AcceptsConnections(const std::string& host, const std::string& port, std::chrono::milliseconds patience);

}  // namespace verillm

#endif  // VERILLM_BASE_NETWORK_H_
