// Thresholds, and the adapters against real sockets on loopback.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "agent/probes/probe.h"

using namespace orch;
using namespace orch::agent;
using Kind = ProbeOutcome::Result;

namespace {

// A server that gives one answer to each of `connections` connections.
class OneShot {
 public:
  OneShot(std::string answer, int connections) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    ::bind(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a);
    ::listen(fd_, 5);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &size);
    port_ = ntohs(a.sin_port);
    thread_ = std::thread([this, answer, connections] {
      for (int i = 0; i < connections; ++i) {
        int c = ::accept(fd_, nullptr, nullptr);
        char buffer[2048];
        [[maybe_unused]] ssize_t n = answer.empty() ? 0 : ::read(c, buffer, sizeof buffer);
        n = ::write(c, answer.data(), answer.size());
        ::close(c);
      }
    });
  }
  ~OneShot() {
    thread_.join();
    ::close(fd_);
  }
  int port() const { return port_; }

 private:
  int fd_, port_;
  std::thread thread_;
};

int free_port() {
  OneShot server("", 0);
  return server.port();
}

}  // namespace

TEST_CASE("thresholds count runs of equal outcomes") {
  ProbeCounter c(1, 3);
  CHECK_FALSE(c.observe(Kind::kFailure));
  CHECK_FALSE(c.observe(Kind::kFailure));
  CHECK(c.observe(Kind::kSuccess) == true);
  CHECK_FALSE(c.observe(Kind::kFailure));
  CHECK_FALSE(c.observe(Kind::kFailure));
  CHECK(c.observe(Kind::kFailure) == false);
  ProbeCounter twice(2, 1);
  CHECK_FALSE(twice.observe(Kind::kSuccess));
  CHECK(twice.observe(Kind::kSuccess) == true);
}

TEST_CASE("named ports") {
  corev1::Container c;
  auto& p = c.ports.emplace_back();
  p.name = "http";
  p.containerPort = 8080;
  CHECK(*resolve_port(api::IntOrString("http"), c) == 8080);
  CHECK(*resolve_port(api::IntOrString(80), c) == 80);
  CHECK(resolve_port(api::IntOrString("x"), c).error() == "couldn't find port: x");
}

TEST_CASE("tcp") {
  OneShot server("", 1);
  CHECK(probe_tcp("127.0.0.1", server.port(), Seconds{1}).result == Kind::kSuccess);
  int port = free_port();
  auto refused = probe_tcp("127.0.0.1", port, Seconds{1});
  CHECK(refused.result == Kind::kFailure);
  CHECK(refused.output ==
        "dial tcp 127.0.0.1:" + std::to_string(port) + ": connect: connection refused");
}

TEST_CASE("http") {
  {
    OneShot server("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1);
    CHECK(probe_http("HTTP", "127.0.0.1", server.port(), "/x", {}, Seconds{2}).result ==
          Kind::kSuccess);
  }
  {
    OneShot server("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 1);
    auto o = probe_http("HTTP", "127.0.0.1", server.port(), "/x", {}, Seconds{2});
    CHECK(o.result == Kind::kFailure);
    CHECK(o.output == "HTTP probe failed with statuscode: 500");
  }
  auto o = probe_http("HTTP", "127.0.0.1", free_port(), "/x", {}, Seconds{1});
  CHECK(o.result == Kind::kFailure);
  CHECK(o.output.find("connection refused") != std::string::npos);
}

TEST_CASE("grpc to nobody fails in time") {
  auto o = probe_grpc("127.0.0.1", free_port(), "svc", Seconds{1});
  CHECK(o.result == Kind::kFailure);
}
