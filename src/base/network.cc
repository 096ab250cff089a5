#include "base/network.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace verillm {
namespace {

bool Connects(const addrinfo& address, std::chrono::milliseconds patience) {
  const int descriptor = ::socket(address.ai_family, address.ai_socktype, address.ai_protocol);
  if (descriptor < 0) return false;
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
  bool connected = ::connect(descriptor, address.ai_addr, address.ai_addrlen) == 0;
  if (!connected && errno == EINPROGRESS) {
    pollfd pending{.fd = descriptor, .events = POLLOUT, .revents = 0};
    int failure = 0;
    socklen_t size = sizeof(failure);
    connected = ::poll(&pending, 1, static_cast<int>(patience.count())) == 1 &&
                ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0;
  }
  ::close(descriptor);
  return connected;
}

}  // namespace

std::optional<Endpoint> ParseEndpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view port = text.substr(colon + 1);
  if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return Endpoint{.host = std::string(text.substr(0, colon)), .port = std::string(port)};
}

bool AcceptsConnections(const std::string& host, const std::string& port, std::chrono::milliseconds patience) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    if (Connects(*address, patience)) return true;
  }
  return false;
}

}  // namespace verillm
