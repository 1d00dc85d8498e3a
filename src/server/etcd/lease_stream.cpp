// LeaseKeepAlive: each message is answered by one.
#include "server/etcd/facade.h"

namespace orch::server::etcd {

namespace {

constexpr size_t kUnreadMax = 1 << 20;  // a peer that asks and does not read

class KeepAliveStream final : public net::GrpcHandler {
 public:
  KeepAliveStream(std::shared_ptr<Facade> facade, std::shared_ptr<net::GrpcStream> stream)
      : facade_(std::move(facade)), stream_(std::move(stream)) {}

  void on_message(std::string message) override {
    LeaseIdRequest request;
    if (!decode(message, request)) return stream_->finish(errors::malformed());
    if (stream_->buffered_bytes() > kUnreadMax) {
      return stream_->finish(errors::make(GrpcCode::kResourceExhausted, "too many requests"));
    }
    LeaseKeepAliveResponse response;
    response.header = facade_->header();
    response.id = request.id;
    auto lease = facade_->store().lease_keep_alive(request.id);
    if (lease) {
      response.ttl = lease->ttl_seconds;
    } else if (lease.error().code != storage::ErrorCode::kLeaseNotFound) {
      return stream_->finish(errors::of(lease.error()));
    }
    stream_->send(encode(response));  // TTL 0: there is no such lease
  }
  void on_half_close() override { stream_->finish({}); }
  void on_stopping() override { stream_->finish(errors::stopped()); }
  void on_closed(const GrpcStatus&) override { stream_.reset(); }

 private:
  const std::shared_ptr<Facade> facade_;
  std::shared_ptr<net::GrpcStream> stream_;
};

}  // namespace

std::shared_ptr<net::GrpcHandler> make_keep_alive_stream(std::shared_ptr<Facade> facade,
                                                         std::shared_ptr<net::GrpcStream> stream) {
  return std::make_shared<KeepAliveStream>(std::move(facade), std::move(stream));
}

}  // namespace orch::server::etcd
