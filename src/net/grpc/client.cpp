// Connecting, and unary calls for threads that wait.
#include <condition_variable>

#include "net/grpc/peer.h"
#include "net/http/client_connection.h"

namespace orch::net {
namespace {

// One thread for all clients of the process, from the first on. It is never joined: calls that end
// late still find it.
Result<std::shared_ptr<Loop>, std::string> shared_loop() {
  static std::mutex mutex;
  static auto* const kept = new std::shared_ptr<Loop>;
  std::lock_guard lock(mutex);
  if (!*kept) {
    ORCH_TRY(*kept, Loop::start("grpc-client"));
  }
  return *kept;
}

class Client final : public GrpcClient {
 public:
  Client(std::shared_ptr<Loop> loop, size_t message_bytes_max)
      : loop_(std::move(loop)), message_bytes_max_(message_bytes_max) {}
  ~Client() override { close(); }

  void start(Channel channel, PeerOptions options) {
    peer_ = std::make_shared<Peer>(loop_, std::move(channel), std::move(options));
    run([&] { peer_->start(); });
  }
  bool usable() const override { return peer_->usable(); }
  std::shared_ptr<GrpcStream> open(std::string path, std::shared_ptr<GrpcHandler> handler,
                                   Millis timeout) override {
    auto call = std::make_shared<Call>(loop_, peer_, message_bytes_max_);
    call->handler = std::move(handler);
    loop_->post(
        [peer = peer_, call, path = std::move(path), timeout] { peer->open(call, path, timeout); });
    return call;
  }
  Result<std::string, GrpcStatus> call(std::string path, std::string message,
                                       Millis timeout) override;
  void close() override {
    if (peer_) run([&] { peer_->close("the client closed the connection"); });
  }

 private:
  void run(const std::function<void()>& work) {
    if (loop_->here()) return work();  // a handler held the last reference
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false;
    loop_->post([&] {
      work();
      std::lock_guard lock(mutex);
      done = true;
      ready.notify_one();
    });
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return done; });
  }
  const std::shared_ptr<Loop> loop_;
  const size_t message_bytes_max_;
  std::shared_ptr<Peer> peer_;
};

struct Waiter final : GrpcHandler {
  std::mutex mutex;
  std::condition_variable ready;
  std::optional<std::string> message;
  std::optional<GrpcStatus> status;

  void on_message(std::string bytes) override {
    std::lock_guard lock(mutex);
    message = std::move(bytes);
  }
  void on_closed(const GrpcStatus& end) override {
    std::lock_guard lock(mutex);
    status = end;
    ready.notify_one();
  }
};

Result<std::string, GrpcStatus> Client::call(std::string path, std::string message,
                                             Millis timeout) {
  auto waiter = std::make_shared<Waiter>();
  auto stream = open(std::move(path), waiter, timeout);
  stream->send(std::move(message));
  stream->finish({});
  std::unique_lock lock(waiter->mutex);
  waiter->ready.wait(lock, [&] { return waiter->status.has_value(); });
  if (!waiter->status->ok()) return Err(*waiter->status);
  if (!waiter->message) return Err(GrpcStatus{GrpcCode::kInternal, "an answer without a message"});
  return std::move(*waiter->message);
}

}  // namespace

Result<std::shared_ptr<GrpcClient>, std::string> GrpcClient::connect(
    const GrpcClientOptions& options) {
  ORCH_TRY(Endpoint endpoint, parse_base_url(options.url));
  HttpClientOptions dial;
  dial.base_url = options.url;
  dial.tls = options.tls;
  dial.connect_timeout = options.connect_timeout;
  ORCH_TRY(auto connection, ClientConnection::dial(endpoint, dial, nullptr));
  ORCH_TRY(std::shared_ptr<Loop> loop, shared_loop());
  auto client = std::make_shared<Client>(loop, options.message_bytes_max);
  PeerOptions peer;
  peer.message_bytes_max = options.message_bytes_max;
  peer.ping_interval = options.ping_interval;
  peer.scheme = endpoint.tls ? "https" : "http";
  peer.authority = endpoint.unix_path.empty() ? endpoint.host_header : "localhost";
  client->start(connection->socket()->take(), std::move(peer));
  return std::shared_ptr<GrpcClient>(std::move(client));
}

}  // namespace orch::net
