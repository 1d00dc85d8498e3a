// One HTTP/2 connection with its gRPC calls, either side. On the loop's thread, but for what
// Call's interface offers to others. Private to net/grpc.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>

#include "net/grpc/framing.h"
#include "net/grpc/loop.h"
#include "net/http/channel.h"
#include "orch/net/grpc.h"

struct nghttp2_session;
struct nghttp2_session_callbacks;

namespace orch::net {

class Peer;

class Call final : public GrpcStream, public std::enable_shared_from_this<Call> {
 public:
  Call(std::shared_ptr<Loop> loop, std::weak_ptr<Peer> peer, size_t message_bytes_max)
      : in(message_bytes_max), loop_(std::move(loop)), peer_(std::move(peer)) {}

  void send(std::string message) override;
  void finish(GrpcStatus status) override;
  size_t buffered_bytes() const override { return buffered_.load(std::memory_order_relaxed); }
  bool closed() const override { return closed_.load(std::memory_order_relaxed); }
  bool wait_below(size_t bytes, Millis timeout) override;
  void when_below(size_t bytes, std::function<void()> fn) override;

  // -- The peer's.
  void sent(size_t bytes);
  void end(const GrpcStatus& status);  // once: tells the handler
  int32_t id = -1;
  std::shared_ptr<GrpcHandler> handler;
  GrpcAssembler in;
  std::deque<std::string> out;
  size_t out_sent = 0;  // of the first
  bool headers_sent = false, waiting = false, half_closed_in = false;
  std::optional<GrpcStatus> finishing;
  uint64_t deadline_timer = 0;
  // What the peer's headers say.
  std::string method, path, content_type, timeout, encoding;
  int http_status = 0;
  std::optional<GrpcStatus> received;  // client: the trailers' status

 private:
  const std::shared_ptr<Loop> loop_;
  const std::weak_ptr<Peer> peer_;
  std::atomic<size_t> buffered_{0};
  std::atomic<bool> closed_{false};
  std::vector<std::pair<size_t, std::function<void()>>> drained_;  // the loop's
  std::mutex mutex_;
  std::condition_variable moved_;
};

struct PeerOptions {
  bool server = false;
  size_t message_bytes_max = 0, connection_bytes_max = 0;
  uint32_t streams_max = 0;
  Seconds ping_interval{0};
  std::string authority, scheme;  // client
  const GrpcServer::Service* service = nullptr;
  const GrpcServer::Get* get = nullptr;
  std::function<void(Peer*)> gone;
};

class Peer final : public Loop::Socket, public std::enable_shared_from_this<Peer> {
 public:
  Peer(std::shared_ptr<Loop> loop, Channel channel, PeerOptions options);
  ~Peer() override;
  // False: the connection is dead already.
  bool start();
  void ready(uint32_t events) override;
  void settle() override;
  void dirty();  // something is to be written
  // Client.
  void open(const std::shared_ptr<Call>& call, const std::string& path, Millis timeout);
  // No new calls; on a server, calls without an end are asked to finish.
  void go_away();
  size_t calls() const { return calls_.size(); }
  void close(const std::string& why);
  bool usable() const { return usable_; }

  // -- For Call, on the loop.
  void push(const std::shared_ptr<Call>& call, std::string message);
  void finish(const std::shared_ptr<Call>& call, GrpcStatus status);

 private:
  friend struct PeerCallbacks;
  void handshake();
  void read_some();
  void flush();
  void want(uint32_t events);
  void start_pings();
  void ping();
  void begin_call(const std::shared_ptr<Call>& call);
  void reply_headers(Call& call);
  void reply_plain(Call& call, int status, std::string body);
  void trailers(const Call& call);
  void data(const std::shared_ptr<Call>& call, std::string_view bytes);
  void stream_closed(int32_t id, uint32_t error);
  void drop(const std::shared_ptr<Call>& call, const GrpcStatus& status);
  GrpcStatus client_status(const Call& call, uint32_t error) const;

  const std::shared_ptr<Loop> loop_;
  Channel channel_;
  const PeerOptions options_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::shared_ptr<Call>> calls_;
  bool handshaken_ = false, dirty_ = false, closed_ = false, going_away_ = false;
  std::atomic<bool> usable_{false};
  int32_t refused_above_ = INT32_MAX;  // client: the peer's GOAWAY
  uint32_t wanted_ = 0;
  size_t buffered_in_ = 0;
  std::string record_;
  size_t record_sent_ = 0;
  uint64_t ping_timer_ = 0, handshake_timer_ = 0;
  bool heard_ = false, pinged_ = false;
};

}  // namespace orch::net
