// One client connection: dialling, one exchange at a time. Private to net/http.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/http/http_parser.h"
#include "net/http/socket.h"
#include "net/http/tls_context.h"
#include "orch/net/http.h"

namespace orch::net {

struct Endpoint {
  bool tls = false;
  std::string host, port;   // host without brackets
  std::string unix_path;    // instead of host and port
  std::string host_header;  // "host:port" as in the URL
  std::string base_path;    // of the URL, without a trailing slash
};
Result<Endpoint, std::string> parse_base_url(std::string_view url);

// Cancels whatever socket is registered; makes registering fail afterwards.
class CancelHandle final : public HttpClient::Cancel {
 public:
  void cancel() override;
  bool watch(const std::shared_ptr<Socket>& socket);  // false = cancelled already
  bool cancelled() const;

 private:
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::weak_ptr<Socket> socket_;
};

// Why an exchange failed; `retryable` = the peer had closed the kept connection before any byte of
// an answer.
struct ExchangeError {
  std::string text;
  bool retryable = false;
};

class ClientConnection {
 public:
  // Connects (and shakes hands) within `timeout`. `cancel` may be null.
  static Result<std::unique_ptr<ClientConnection>, std::string> dial(
      const Endpoint& endpoint, const HttpClientOptions& options, CancelHandle* cancel);
  Result<Unit, ExchangeError> send(std::string_view head, std::string_view body,
                                   Socket::Deadline deadline);
  Result<ResponseHead, ExchangeError> receive_head(Socket::Deadline deadline);
  // Hands decoded body bytes to `sink` until the end or until it returns false (then the connection
  // cannot be used again).
  Result<Unit, std::string> receive_body(const ResponseHead& head, bool no_body,
                                         const std::function<bool(std::string_view)>& sink,
                                         Socket::Deadline deadline);
  bool reusable() const { return reusable_; }
  bool usable_again(uint64_t tls_generation, MonoTime now) const;
  void kept(MonoTime now) { kept_at_ = now; }
  const std::shared_ptr<Socket>& socket() const { return socket_; }
  // For an upgrade: the connection as raw bytes, with what came behind the head.
  std::unique_ptr<RawConnection> release();

 private:
  explicit ClientConnection(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}
  Result<size_t, std::string> fill(Socket::Deadline deadline);
  Result<Unit, std::string> chunked_body(const std::function<bool(std::string_view)>& sink,
                                         Socket::Deadline deadline);
  std::shared_ptr<Socket> socket_;
  SslCtxPtr tls_;
  uint64_t tls_generation_ = 0;
  std::string in_;
  bool reusable_ = false;
  bool used_ = false;
  MonoTime kept_at_{};
};

}  // namespace orch::net
