// Calls to an etcd cluster through whichever of its endpoints answers. Any thread; calls block.
#pragma once

#include <mutex>

#include "orch/net/grpc.h"
#include "server/etcd/messages.h"

namespace orch::server::etcd {

struct EtcdClientOptions {
  std::vector<std::string> endpoints;  // https://host:2379
  std::shared_ptr<net::TlsClientContext> tls;
  Millis call_timeout{8000};  // more than etcd's own for a proposal
};

class EtcdClient {
 public:
  explicit EtcdClient(EtcdClientOptions options) : options_(std::move(options)) {}

  // Nullptr: no endpoint can be reached; `why` says the last one's reason.
  std::shared_ptr<net::GrpcClient> connection(std::string& why);
  // Another connection is to be used from now on.
  void drop(const std::shared_ptr<net::GrpcClient>& connection);
  void close();

  // A call that may be repeated (`idempotent`) goes to the next endpoint when one fails. Another
  // one only if the first has certainly not acted on it; else its outcome is unknown and
  // kUnavailable is the answer.
  template <class Response, class Request>
  Result<Response, net::GrpcStatus> call(const std::string& method, const Request& request,
                                         bool idempotent) {
    ORCH_TRY(std::string bytes, call_bytes(method, encode(request), idempotent));
    Response response;
    if (!decode(bytes, response)) {
      return Err(net::GrpcStatus{net::GrpcCode::kInternal, "malformed answer"});
    }
    return response;
  }

 private:
  Result<std::string, net::GrpcStatus> call_bytes(const std::string& method,
                                                  const std::string& message, bool idempotent);

  const EtcdClientOptions options_;
  std::mutex mutex_;
  std::shared_ptr<net::GrpcClient> current_;
  size_t next_ = 0;
  MonoTime not_before_{};  // after all endpoints failed
  std::string last_error_;
  bool closed_ = false;
};

}  // namespace orch::server::etcd
