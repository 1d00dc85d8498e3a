// Network namespaces of a test's own, small servers in them, and clients that say what they saw.
#pragma once

#include <catch2/catch.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/netlink.h"
#include "orch/net/proxy.h"

namespace orch::net::test {

// Prints why and returns true where tests with real namespaces cannot run.
bool skip_kernel_tests();

// Removed with everything in it when it goes.
class TestNetns {
 public:
  explicit TestNetns(const std::string& name);
  ~TestNetns();
  TestNetns(const TestNetns&) = delete;
  TestNetns& operator=(const TestNetns&) = delete;
  const std::string& path() const { return path_; }
  std::unique_ptr<Netlink> netlink() const;
  // Inside; fails the test on an error.
  void run(const std::function<Result<Unit, NetError>()>& fn) const;
  void forwarding() const { run(enable_forwarding); }

 private:
  std::string path_;
};

// veth a.name_a <-> b.name_b with addresses "10.0.0.1/24", both up.
void connect(const TestNetns& a, const std::string& name_a, const std::string& address_a,
             const TestNetns& b, const std::string& name_b, const std::string& address_b);

// Answers every connection or datagram with "NAME CLIENT_IP".
class EchoServer {
 public:
  EchoServer(const TestNetns& netns, Protocol protocol, const std::string& ip, uint16_t port,
             const std::string& name);
  ~EchoServer();

 private:
  void serve(const std::string& name);
  int fd_ = -1;
  bool tcp_ = true;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Asked {
  std::string server, client_ip;  // as the server saw it
  std::string error;              // "Connection refused", "timeout" ...
};
Asked ask(const TestNetns& from, Protocol protocol, const std::string& ip, uint16_t port,
          uint16_t source_port = 0, int timeout_ms = 5000);

// Off where the kernel has br_netfilter; hosts without it behave so anyway.
void without_bridge_filter(const TestNetns& netns);

std::string shell(const std::string& command);  // its stdout; for looking at the kernel's state

}  // namespace orch::net::test
