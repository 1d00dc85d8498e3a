#include "server/etcd/etcd_client.h"

#include "orch/base/log.h"

namespace orch::server::etcd {

namespace {

constexpr Millis kDialPause{200};

// Refused before it was proposed.
bool certainly_not_done(const net::GrpcStatus& status) {
  return status.unsent || status.message == "etcdserver: no leader" ||
         status.message == "etcdserver: too many requests" ||
         status.message == "etcdserver: not capable";
}

}  // namespace

std::shared_ptr<net::GrpcClient> EtcdClient::connection(std::string& why) {
  std::lock_guard lock(mutex_);
  if (closed_) {
    why = "stopped";
    return nullptr;
  }
  if (current_ && current_->usable()) return current_;
  current_.reset();
  if (system_clock().mono() < not_before_) {
    why = last_error_;
    return nullptr;
  }
  for (size_t tries = 0; tries < options_.endpoints.size(); ++tries) {
    const std::string& endpoint = options_.endpoints[next_ % options_.endpoints.size()];
    net::GrpcClientOptions options;
    options.url = endpoint;
    options.tls = options_.tls;
    auto made = net::GrpcClient::connect(options);
    if (made) {
      log::info("datastore", "connected to {}", endpoint);
      current_ = std::move(*made);
      return current_;
    }
    last_error_ = endpoint + ": " + made.error();
    ++next_;
  }
  not_before_ = system_clock().mono() + kDialPause;
  why = last_error_;
  return nullptr;
}

void EtcdClient::drop(const std::shared_ptr<net::GrpcClient>& connection) {
  {
    std::lock_guard lock(mutex_);
    if (current_ != connection) return;
    current_.reset();
    ++next_;
  }
  connection->close();
}

void EtcdClient::close() {
  std::shared_ptr<net::GrpcClient> last;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    last.swap(current_);
  }
  if (last) last->close();
}

Result<std::string, net::GrpcStatus> EtcdClient::call_bytes(const std::string& method,
                                                            const std::string& message,
                                                            bool idempotent) {
  using net::GrpcCode;
  net::GrpcStatus last{GrpcCode::kUnavailable, "", true};
  for (size_t tries = 0; tries <= options_.endpoints.size(); ++tries) {
    const auto connected = connection(last.message);
    if (!connected) return Err(last);
    // Repeated reads share the time of one.
    const Millis timeout = idempotent
                               ? options_.call_timeout / static_cast<int>(options_.endpoints.size())
                               : options_.call_timeout;
    auto answer = connected->call("/etcdserverpb." + method, message, timeout);
    if (answer) return answer;
    last = answer.error();
    const bool gone =
        last.code == GrpcCode::kUnavailable || last.code == GrpcCode::kDeadlineExceeded;
    if (!gone) return Err(last);
    drop(connected);
    if (!idempotent && !certainly_not_done(last)) {
      last.message = "the write's outcome is unknown: " + last.message;
      return Err(last);
    }
  }
  return Err(last);
}

}  // namespace orch::server::etcd
