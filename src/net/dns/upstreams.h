// Where names outside the cluster are asked for. Private to net/dns.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orch::net::dns {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  bool operator==(const SocketAddress& other) const;
};
// "1.1.1.1", "1.1.1.1:5353", "fd00::1", "[fd00::1]:53".
std::optional<SocketAddress> parse_socket_address(std::string_view text, uint16_t port);

// The nameserver lines of resolv.conf(5).
std::vector<std::string> nameservers_of(std::string_view resolv_conf);

// The configured ones, or those of a resolv.conf that is re-read when it changes.
class Upstreams {
 public:
  Upstreams(const std::vector<std::string>& configured, std::string resolv_conf,
            SocketAddress self);
  // Never our own address: that would be a loop.
  const std::vector<SocketAddress>& current(std::chrono::steady_clock::time_point now);

 private:
  void set(const std::vector<std::string>& texts);
  std::string path_;
  SocketAddress self_;
  bool fixed_ = false;
  std::chrono::steady_clock::time_point next_check_{};
  int64_t changed_ns_ = -1;
  std::vector<SocketAddress> list_;
};

}  // namespace orch::net::dns
