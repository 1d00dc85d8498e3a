// Two joined RawConnections.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

#include "orch/net/http.h"

namespace orch::net {

class SocketConnection final : public RawConnection {
 public:
  explicit SocketConnection(int fd) : fd_(fd) {}
  ~SocketConnection() override { ::close(fd_); }
  Result<size_t, std::string> read(char* buffer, size_t size) override {
    const ssize_t n = ::recv(fd_, buffer, size, 0);
    if (n < 0) return Err(std::string(strerror(errno)));
    return static_cast<size_t>(n);
  }
  Result<Unit, std::string> write_all(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0) return Err(std::string(strerror(errno)));
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return Unit{};
  }
  void shutdown_write() override { ::shutdown(fd_, SHUT_WR); }
  void close() override { ::shutdown(fd_, SHUT_RDWR); }

 private:
  int fd_;
};

inline std::pair<std::shared_ptr<RawConnection>, std::shared_ptr<RawConnection>> socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    throw std::runtime_error(strerror(errno));
  }
  return {std::make_shared<SocketConnection>(fds[0]), std::make_shared<SocketConnection>(fds[1])};
}

}  // namespace orch::net
