// A CA, key pairs, servers and a bare TCP peer for the tests of net/http.
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "orch/net/http.h"
#include "orch/net/tls.h"

namespace orch::net::test {

inline CertificateRequest leaf(std::string name, bool server) {
  WallTime now = system_clock().now();
  CertificateRequest request;
  request.common_name = std::move(name);
  request.server_auth = server;
  request.client_auth = !server;
  if (server) {
    request.dns_names = {"localhost", "orch.test"};
    request.ip_addresses = {"127.0.0.1"};
  }
  request.not_before = now - Seconds{60};
  request.not_after = now + Seconds{3600};
  return request;
}

// One CA for the whole program: key generation takes a moment.
inline const KeyPair& ca() {
  static const KeyPair pair = make_ca("test-ca", system_clock().now(), Seconds{86400}).value();
  return pair;
}
inline const KeyPair& other_ca() {
  static const KeyPair pair = make_ca("other-ca", system_clock().now(), Seconds{86400}).value();
  return pair;
}

inline std::shared_ptr<TlsServerContext> server_tls() {
  TlsServerContext::Options options;
  options.key_pair = issue(ca(), leaf("server", true)).value();
  options.client_ca_pem = ca().certificate_pem;
  return TlsServerContext::create(options).value();
}

inline HttpServerOptions local(bool tls = false) {
  HttpServerOptions options;
  options.address = "127.0.0.1";
  options.read_workers = 2;
  if (tls) options.tls = server_tls();
  return options;
}

inline std::string url(const HttpServer& server, bool tls = false) {
  return (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(server.port());
}

inline std::shared_ptr<TlsClientContext> client_tls(KeyPair pair = {}) {
  TlsClientContext::Options options;
  options.ca_pem = ca().certificate_pem;
  options.key_pair = std::move(pair);
  return TlsClientContext::create(options).value();
}

inline std::unique_ptr<HttpClient> client_for(const HttpServer& server, bool tls = false,
                                              KeyPair pair = {}) {
  HttpClientOptions options;
  options.base_url = url(server, tls);
  if (tls) options.tls = client_tls(std::move(pair));
  // Wide: sanitizers on a busy machine take their time.
  options.connect_timeout = Millis{60000};
  options.request_timeout = Millis{60000};
  return HttpClient::create(options);
}

inline size_t thread_count() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/task");
  while (dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

// Polls until the condition holds; false after `limit`.
inline bool eventually(const std::function<bool()>& condition, Millis limit = Millis{10000}) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(Millis{5});
  }
  return true;
}

// A TCP peer that sends exactly what it is told.
class RawPeer {
 public:
  RawPeer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  explicit RawPeer(uint16_t port, int receive_buffer = 0) : RawPeer() {
    if (receive_buffer > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    connect(port);
  }
  void connect(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~RawPeer() { close(); }
  RawPeer(RawPeer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawPeer(const RawPeer&) = delete;
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
  }
  // What comes until the end of the stream, or until `until` is in it.
  std::string receive(std::string_view until = {}, Millis limit = Millis{10000}) {
    std::string got;
    auto end = std::chrono::steady_clock::now() + limit;
    char buffer[65536];
    while (until.empty() || got.find(until) == std::string::npos) {
      auto left = std::chrono::duration_cast<Millis>(end - std::chrono::steady_clock::now());
      pollfd entry{fd_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&entry, 1, static_cast<int>(left.count())) <= 0) break;
      ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
      if (size <= 0) {
        ended_ = true;
        break;
      }
      got.append(buffer, static_cast<size_t>(size));
    }
    return got;
  }
  bool ended() const { return ended_; }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  bool ended_ = false;
};

}  // namespace orch::net::test
