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

TEST_CASE("http: redirects on the same host are followed, no other") {
  const auto to = [](const char* location, int status = 302) {
    return redirect_target("http://10.42.0.7:8080/a/b?c=d", status, location);
  };
  CHECK(to("/x") == "http://10.42.0.7:8080/x");
  CHECK(to("x?y") == "http://10.42.0.7:8080/a/x?y");
  CHECK(to("http://10.42.0.7/x") == "http://10.42.0.7/x");
  CHECK(to("https://10.42.0.7:9/") == "https://10.42.0.7:9/");
  CHECK(to("//10.42.0.7:81/z#part") == "http://10.42.0.7:81/z");
  CHECK(to("http://169.254.169.254/latest/meta-data/").empty());
  CHECK(to("//169.254.169.254/").empty());
  CHECK(to("http://10.42.0.7@169.254.169.254/").empty());
  CHECK(to("http://10.42.0.7.example.com/").empty());
  CHECK(to("http://10.42.0.7:8080@evil:1/").empty());
  CHECK(to("ftp://10.42.0.7/").empty());
  CHECK(to("").empty());
  CHECK(to("/x", 200).empty());
  CHECK(to("/x", 304).empty());
  CHECK(redirect_target("http://[::1]:80", 301, "http://[::1]/x") == "http://[::1]/x");

  const auto answer = [](const std::string& location) {
    return "HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n";
  };
  {
    // The same answer again and again: it ends.
    OneShot server(answer("/again"), 10);
    auto o = probe_http("HTTP", "127.0.0.1", server.port(), "/", {}, Seconds{20});
    CHECK(o.result == Kind::kFailure);
    CHECK(o.output.ends_with("stopped after 10 redirects"));
  }
  OneShot elsewhere("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 1);
  {
    OneShot server(answer("http://localhost:" + std::to_string(elsewhere.port()) + "/"), 1);
    CHECK(probe_http("HTTP", "127.0.0.1", server.port(), "/", {}, Seconds{20}).result ==
          Kind::kSuccess);
  }
  {
    OneShot server(answer("http://127.0.0.1:" + std::to_string(elsewhere.port()) + "/"), 1);
    CHECK(probe_http("HTTP", "127.0.0.1", server.port(), "/", {}, Seconds{20}).result ==
          Kind::kFailure);
  }
}

TEST_CASE("grpc to nobody fails in time") {
  auto o = probe_grpc("127.0.0.1", free_port(), "svc", Seconds{1});
  CHECK(o.result == Kind::kFailure);
}
