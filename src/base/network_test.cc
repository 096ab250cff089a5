#include "base/network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace verillm {
namespace {

constexpr std::chrono::seconds kPatience(5);

// Binds a socket of this host to a free port, and says which.
class LocalSocket {
 public:
  LocalSocket() : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = std::to_string(ntohs(address.sin_port));
  }
  ~LocalSocket() { ::close(descriptor_); }

  void Listen() { EXPECT_EQ(::listen(descriptor_, 1), 0); }
  const std::string& port() const { return port_; }

 private:
  int descriptor_;
  std::string port_;
};

TEST(ParseEndpoint, IsHostAndPort) {
  const auto endpoint = ParseEndpoint("gpu-box:50052");
  ASSERT_TRUE(endpoint.has_value());
  EXPECT_EQ(endpoint->host, "gpu-box");
  EXPECT_EQ(endpoint->port, "50052");
}

TEST(ParseEndpoint, RefusesWhatIsNone) {
  for (const char* const text : {"", ":", "gpu-box", "gpu-box:", ":50052", "gpu-box:http", "gpu-box:5 "}) {
    EXPECT_FALSE(ParseEndpoint(text).has_value()) << text;
  }
}

TEST(AcceptsConnections, IsTrueWhereSomebodyListens) {
  LocalSocket socket;
  EXPECT_FALSE(AcceptsConnections("127.0.0.1", socket.port(), kPatience));
  socket.Listen();
  EXPECT_TRUE(AcceptsConnections("127.0.0.1", socket.port(), kPatience));
  EXPECT_TRUE(AcceptsConnections("localhost", socket.port(), kPatience));
}

TEST(AcceptsConnections, IsFalseForWhatIsNoAddress) {
  EXPECT_FALSE(AcceptsConnections("", "", kPatience));
  EXPECT_FALSE(AcceptsConnections("127.0.0.1", "no such service", kPatience));
  EXPECT_FALSE(AcceptsConnections("127.0.0.1", "70000", kPatience));
}

}  // namespace
}  // namespace verillm
