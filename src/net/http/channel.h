// One non-blocking socket, plain or TLS. One thread at a time, shutdown() excepted. For net/http
// and net/grpc.
#pragma once

#include <atomic>
#include <string>

#include "net/http/openssl_types.h"

namespace orch::net {

enum class Io { kOk, kWantRead, kWantWrite, kEnd, kError };

class Channel {
 public:
  Channel() = default;
  Channel(int fd, SslPtr ssl) : fd_(fd), ssl_(std::move(ssl)) {}
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel() { close(); }

  int fd() const { return fd_; }
  SSL* ssl() const { return ssl_.get(); }
  void secure(SslPtr ssl) { ssl_ = std::move(ssl); }  // of a plain channel: TLS from here on
  Io handshake();
  // kOk: `got` > 0 bytes. kEnd: the peer ended its side.
  Io read(char* buffer, size_t size, size_t& got);
  // kOk: `put` > 0 bytes. After kWant... the same bytes must be offered again.
  Io write(const char* data, size_t size, size_t& put);
  // What TLS makes of write() from here on is gathered in `wire` (cleared), until uncork() sends it
  // at once; what the socket does not take then waits in the channel. No effect on plain sockets.
  void cork(std::string& wire);
  Io uncork();
  // Sends what waits. kOk: nothing waits any more.
  Io flush();
  // Bytes wait inside TLS, where poll does not see them.
  bool buffered() const { return ssl_ && SSL_has_pending(ssl_.get()) == 1; }
  // Ends our direction; reading goes on.
  void end_write();
  void shutdown();  // both directions, wakes waiters; any thread while the channel lives
  void close();
  // Why the last operation was kError ("connection reset by peer", "x509: ...").
  const std::string& error() const { return error_; }
  bool plain_http_on_tls() const { return plain_http_on_tls_; }

 private:
  Io finish(int result);
  Io system_failure();
  int fd_ = -1;
  SslPtr ssl_;
  bool failed_ = false;  // TLS state is broken: no close_notify
  bool plain_http_on_tls_ = false;
  std::string error_;
};

// Lets `ssl` read and write `fd`, without SIGPIPE when the peer is gone. Does not own `fd`.
bool attach_socket(SSL* ssl, int fd);

// Go's words for an errno where they differ from strerror's only in case.
std::string system_error_text(int error);

}  // namespace orch::net
