// Whether somebody listens at an address.
#ifndef VERILLM_BASE_NETWORK_H_
#define VERILLM_BASE_NETWORK_H_

#include <chrono>
#include <string>

namespace verillm {

// Whether a TCP connection to `host` and `port` (a number or a service) is accepted within `patience`.
bool AcceptsConnections(const std::string& host, const std::string& port, std::chrono::milliseconds patience);

}  // namespace verillm

#endif  // VERILLM_BASE_NETWORK_H_
