// HttpClient: a pool of kept connections over ClientConnection.
#include <vector>

#include "net/http/client_connection.h"
#include "net/http/http_text.h"
#include "orch/base/strings.h"

namespace orch::net {
namespace {

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

class PooledClient final : public HttpClient {
 public:
  explicit PooledClient(const HttpClientOptions& options)
      : options_(options), endpoint_(parse_base_url(options.base_url)) {}

  Result<HttpResult, std::string> request(std::string_view method, std::string_view target,
                                          const Headers& headers, std::string body) override;
  Result<Unit, std::string> stream(std::string_view method, std::string_view target,
                                   const Headers& headers, std::string body,
                                   std::function<bool(const HttpResult&)> on_head,
                                   std::function<bool(std::string_view)> on_data,
                                   std::shared_ptr<Cancel> cancel) override;
  Result<Upgraded, std::string> upgrade(std::string_view method, std::string_view target,
                                        const Headers& headers) override;

 private:
  struct Started {
    std::unique_ptr<ClientConnection> connection;
    ResponseHead head;
  };
  // Sends the request over a kept or new connection and returns with the answer's head.
  Result<Started, std::string> start(std::string_view method, std::string_view target,
                                     const Headers& headers, std::string_view body,
                                     Socket::Deadline deadline, CancelHandle* cancel,
                                     bool fresh_only);
  Result<std::string, std::string> request_head(std::string_view method, std::string_view target,
                                                const Headers& headers, size_t body_size) const;
  Result<Unit, std::string> usable() const;
  std::unique_ptr<ClientConnection> take_kept();
  void keep(std::unique_ptr<ClientConnection> connection);
  uint64_t tls_generation() const {
    return endpoint_->tls ? static_cast<TlsClientContextImpl*>(options_.tls.get())->generation()
                          : 0;
  }
  Socket::Deadline request_deadline() const {
    return system_clock().mono() + options_.request_timeout;
  }

  const HttpClientOptions options_;
  const Result<Endpoint, std::string> endpoint_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ClientConnection>> kept_;
};

Result<Unit, std::string> PooledClient::usable() const {
  if (!endpoint_) return Err(endpoint_.error());
  if (endpoint_->tls && !options_.tls) return Err(std::string("tls: no client context given"));
  return Unit{};
}

std::unique_ptr<ClientConnection> PooledClient::take_kept() {
  uint64_t generation = tls_generation();
  MonoTime now = system_clock().mono();
  std::vector<std::unique_ptr<ClientConnection>> stale;  // closed outside the lock
  std::lock_guard lock(mutex_);
  while (!kept_.empty()) {
    std::unique_ptr<ClientConnection> connection = std::move(kept_.back());
    kept_.pop_back();
    if (connection->usable_again(generation, now)) return connection;
    stale.push_back(std::move(connection));
  }
  return nullptr;
}

void PooledClient::keep(std::unique_ptr<ClientConnection> connection) {
  if (!connection->reusable() || connection->socket()->closed()) return;
  connection->kept(system_clock().mono());
  std::lock_guard lock(mutex_);
  if (kept_.size() < options_.connections_max) kept_.push_back(std::move(connection));
}

Result<std::string, std::string> PooledClient::request_head(std::string_view method,
                                                            std::string_view target,
                                                            const Headers& headers,
                                                            size_t body_size) const {
  auto breaks_line = [](std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
  };
  if (!is_token(method)) return Err("net/http: invalid method \"" + std::string(method) + "\"");
  if (target.empty() || target.front() != '/' || breaks_line(target) ||
      target.find(' ') != std::string_view::npos) {
    return Err("net/http: invalid request target \"" + std::string(target) + "\"");
  }
  std::string head;
  head.append(method).append(" ").append(endpoint_->base_path).append(target);
  head.append(" HTTP/1.1\r\n");
  if (!headers.contains("Host")) head.append("Host: " + endpoint_->host_header + "\r\n");
  for (const auto& [name, value] : headers) {
    if (iequals(name, "Content-Length") || iequals(name, "Transfer-Encoding")) continue;
    if (!is_token(name) || breaks_line(value)) {
      return Err("net/http: invalid header field \"" + name + "\"");
    }
    head.append(name).append(": ").append(value).append("\r\n");
  }
  bool reads = method == "GET" || method == "HEAD" || method == "DELETE";
  if (body_size > 0 || !reads) {
    head.append("Content-Length: " + std::to_string(body_size) + "\r\n");
  }
  head.append("\r\n");
  return head;
}

Result<PooledClient::Started, std::string> PooledClient::start(
    std::string_view method, std::string_view target, const Headers& headers, std::string_view body,
    Socket::Deadline deadline, CancelHandle* cancel, bool fresh_only) {
  ORCH_CHECK(usable());
  ORCH_TRY(std::string head, request_head(method, target, headers, body.size()));
  for (bool retried = fresh_only;; retried = true) {
    std::unique_ptr<ClientConnection> connection = retried ? nullptr : take_kept();
    if (connection && cancel != nullptr && !cancel->watch(connection->socket())) {
      return Err(std::string("context canceled"));
    }
    if (!connection) {
      ORCH_TRY(connection, ClientConnection::dial(*endpoint_, options_, cancel));
    }
    auto sent = connection->send(head, body, deadline);
    Result<ResponseHead, ExchangeError> answer = Err(ExchangeError{});
    if (sent) {
      answer = connection->receive_head(deadline);
    } else {
      answer = Err(sent.error());
    }
    if (answer) return Started{std::move(connection), std::move(*answer)};
    bool again = !retried && answer.error().retryable && is_idempotent(method);
    if (!again) return Err(answer.error().text);
  }
}

Result<HttpResult, std::string> PooledClient::request(std::string_view method,
                                                      std::string_view target,
                                                      const Headers& headers, std::string body) {
  Socket::Deadline deadline = request_deadline();
  ORCH_TRY(Started started, start(method, target, headers, body, deadline, nullptr, false));
  HttpResult result;
  result.status = started.head.status;
  auto received = started.connection->receive_body(
      started.head, method == "HEAD",
      [&](std::string_view bytes) {
        result.body.append(bytes);
        return true;
      },
      deadline);
  if (!received) return Err(received.error());
  result.headers = std::move(started.head.headers);
  keep(std::move(started.connection));
  return result;
}

Result<Unit, std::string> PooledClient::stream(std::string_view method, std::string_view target,
                                               const Headers& headers, std::string body,
                                               std::function<bool(const HttpResult&)> on_head,
                                               std::function<bool(std::string_view)> on_data,
                                               std::shared_ptr<Cancel> cancel) {
  auto* handle = static_cast<CancelHandle*>(cancel.get());
  auto canceled = [&](const std::string& error) {
    return handle != nullptr && handle->cancelled() ? std::string("context canceled") : error;
  };
  // Only the head has a time limit: a watch is quiet for as long as nothing happens.
  auto started = start(method, target, headers, body, request_deadline(), handle, false);
  if (!started) return Err(canceled(started.error()));
  HttpResult result;
  result.status = started->head.status;
  result.headers = started->head.headers;
  if (!on_head(result)) return Unit{};
  auto received =
      started->connection->receive_body(started->head, method == "HEAD", on_data, std::nullopt);
  if (handle != nullptr) {
    if (handle->cancelled()) return Err(std::string("context canceled"));
    handle->watch(nullptr);
  }
  if (!received) return Err(received.error());
  keep(std::move(started->connection));
  return Unit{};
}

Result<HttpClient::Upgraded, std::string> PooledClient::upgrade(std::string_view method,
                                                                std::string_view target,
                                                                const Headers& headers) {
  Socket::Deadline deadline = request_deadline();
  ORCH_TRY(Started started, start(method, target, headers, {}, deadline, nullptr, true));
  Upgraded upgraded;
  upgraded.answer.status = started.head.status;
  upgraded.answer.headers = started.head.headers;
  if (started.head.status == 101) {
    upgraded.connection = started.connection->release();
    return upgraded;
  }
  ORCH_CHECK(started.connection->receive_body(
      started.head, method == "HEAD",
      [&](std::string_view bytes) {
        upgraded.answer.body.append(bytes);
        return true;
      },
      deadline));
  keep(std::move(started.connection));
  return upgraded;
}

}  // namespace

std::unique_ptr<HttpClient> HttpClient::create(const HttpClientOptions& options) {
  return std::make_unique<PooledClient>(options);
}

std::shared_ptr<HttpClient::Cancel> HttpClient::make_cancel() {
  return std::make_shared<CancelHandle>();
}

}  // namespace orch::net
