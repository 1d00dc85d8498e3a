// The server behind HttpServer. Two epoll sets: read workers wait on the one with connections that
// read requests or write plain answers (one-shot, so one thread at a time drives a connection); the
// loop thread waits on the other with the listener and the streams. Nothing waits for a peer but
// epoll. Private to net/http.
#pragma once

#include <pthread.h>
#include <sys/epoll.h>

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "net/http/channel.h"
#include "net/http/http_parser.h"
#include "net/http/out_queue.h"
#include "net/http/server_stream.h"
#include "net/http/socket.h"
#include "net/http/tls_context.h"
#include "net/http/worker_pool.h"
#include "orch/net/http.h"

namespace orch::net {

// One request under way.
struct Exchange {
  HttpRequest request;
  int minor_version = 1;
  BodyFraming framing;
  ChunkDecoder chunks;
  bool keep_alive = true;
  size_t body_extended = 0;  // bytes of the body when its time was last extended
};

// Driven by one thread at a time: the worker that epoll or the pool gave it to, or the loop while
// it is a stream. What other threads look at is atomic.
struct Connection {
  enum class Phase { kHandshake, kHead, kBody, kWrite, kStream, kLinger };
  enum class After { kBody, kNext, kClose, kUpgrade };

  Connection(Channel c, std::string address, bool local)
      : channel(std::move(c)), remote(std::move(address)), loopback(local) {}
  Channel channel;
  std::string remote;
  bool loopback;
  SslCtxPtr tls;  // keeps the context that `channel` was made from
  Phase phase = Phase::kHandshake;
  After after = After::kNext;
  std::string in;
  size_t scanned = 0;
  std::unique_ptr<Exchange> exchange;
  PeerCertificate peer;
  OutQueue out;
  std::string record;  // taken from the queue, not yet sent
  size_t record_sent = 0;
  size_t lingered_bytes = 0;
  std::function<void(std::unique_ptr<RawConnection>)> upgrade;
  std::shared_ptr<ResponseStream> stream;
  bool stream_waits_out = false;
  bool stream_keep_alive = false;

  // Passes the connection from thread to thread together with epoll, whose ordering the C++ memory
  // model does not know: pass() before arming, take() after an event.
  void pass() { turn_.fetch_add(1, std::memory_order_release); }
  void take() { turn_.load(std::memory_order_acquire); }

  std::atomic<int64_t> deadline_us{0};  // 0 = none; the loop shuts the socket down then
  std::atomic<bool> idle{true};         // between requests
  std::atomic<bool> half_read{false};   // waits for the rest of a request
  std::atomic<bool> expired{false};     // which did not come in time: the loop ended reading
  std::atomic<bool> streaming{false};

 private:
  std::atomic<unsigned> turn_{0};
};

class ServerCore final : public HttpServer {
 public:
  ServerCore(HttpServerOptions options, HttpHandler handler);
  ~ServerCore() override;
  Result<Unit, std::string> open();
  uint16_t port() const override { return port_; }
  void stop(Millis grace) override;

 private:
  using Phase = Connection::Phase;
  using After = Connection::After;

  // ---- requests (server_requests.cpp); true = go on, false = the connection is elsewhere ----
  void read_worker(bool extra);
  void drive(Connection* c, bool reader);
  bool start_tls(Connection* c);
  bool on_handshake(Connection* c);
  bool on_head(Connection* c);
  bool on_body(Connection* c);
  bool on_write(Connection* c, bool reader);
  bool on_linger(Connection* c);
  bool read_more(Connection* c);
  bool begin_exchange(Connection* c, RequestHead head);
  bool dispatch(Connection* c);
  void run_handler(const HttpHandler& handler, Connection* c, HttpResponse& response);
  bool answer(Connection* c, HttpResponse response);  // or park
  std::optional<HttpHandler> park(Connection* c, const HttpResponse& response);
  bool respond(Connection* c, HttpResponse response);
  bool refuse(Connection* c, int status, const std::string& message);
  bool start_stream(Connection* c, HttpResponse& response, std::string head);
  bool finish_answer(Connection* c, bool reader);
  bool start_upgrade(Connection* c);
  std::string response_head(const Connection& c, const HttpResponse& response,
                            std::string_view framing, bool keep_alive) const;

  // ---- both ----
  // Sends c->record and what `more` gathers after it. kOk = all sent.
  template <class Gather>
  Io send_all(Connection* c, const Gather& more, size_t bytes_max);
  // Sends `record` and more full ones behind it by one system call.
  template <class Gather>
  Io send_batch(Connection* c, const Gather& more, std::string& record, size_t& sent);
  void arm(Connection* c, uint32_t events);
  void set_deadline(Connection* c, Micros after);
  void forget(Connection* c);  // no other thread touches it any more
  void drop(Connection* c);    // closes and deletes

  // ---- loop (server_loop.cpp) ----
  void loop();
  void accept_ready();
  void pause_accepting(int error);
  void add_connection(int fd, std::string address, bool loopback);
  void stream_event(Connection* c, uint32_t events);
  void flush_stream(Connection* c);
  void end_stream(Connection* c);
  void drop_stream(Connection* c);
  void watch_stream(Connection* c, bool out);
  void check_deadlines();
  void check_readers();
  void sweep_for_stop();
  int loop_timeout() const;
  void ask_scan(int64_t at_us);

  const HttpServerOptions options_;
  const HttpHandler handler_;
  uint16_t port_ = 0;
  int listen_fd_ = -1, work_epoll_ = -1, loop_epoll_ = -1, stop_fd_ = -1;
  std::shared_ptr<LoopInbox> inbox_ = std::make_shared<LoopInbox>();
  WorkerPool blocking_;
  WorkerPool computing_;  // ends parked requests that wait for nothing more

  mutable std::mutex mutex_;  // connections_ and threads
  std::condition_variable gone_;
  std::unordered_set<Connection*> connections_;
  std::vector<pthread_t> threads_;
  unsigned extra_readers_ = 0;

  // What resumes parked requests outlives the server.
  struct Parking {
    std::mutex mutex;
    ServerCore* server;  // null once it stopped
  };
  std::shared_ptr<Parking> parking_ = std::make_shared<Parking>();

  std::mutex upgrades_mutex_;
  std::list<std::weak_ptr<Socket>> upgrades_;
  std::shared_ptr<WorkerPool> upgrade_pool_;

  std::atomic<bool> stopping_{false}, closing_{false};
  std::mutex stop_mutex_;
  bool stopped_ = false;
  std::atomic<int64_t> next_scan_us_;
  // Read workers: all busy with the same requests for a while = one more is started for a time.
  unsigned base_readers_ = 0;
  std::atomic<unsigned> readers_{0}, busy_readers_{0}, waiting_readers_{0}, parked_{0};
  std::atomic<uint64_t> handled_{0};
  std::atomic<int64_t> stall_check_us_{0};
  uint64_t handled_at_check_ = 0;
  int64_t accept_again_us_ = 0;  // loop only
  int64_t emfile_logged_us_ = 0;
};

int64_t now_us();

// Reads are done into one buffer a thread.
inline constexpr size_t kReadBytes = 32 * 1024;
char* read_buffer();

// TLS records are gathered up to so many bytes: fewer system calls, and the peer wakes less often.
inline constexpr size_t kWireBytes = 8 * (kRecordBytes + 64);
inline constexpr size_t kFullRecord = kRecordBytes - 64;

template <class Gather>
Io ServerCore::send_batch(Connection* c, const Gather& more, std::string& record, size_t& sent) {
  static thread_local std::string wire;
  wire.reserve(kWireBytes);
  c->channel.cork(wire);
  Io io = Io::kOk;
  while (io == Io::kOk && !record.empty()) {
    size_t put = 0;
    io = c->channel.write(record.data(), record.size(), put);
    sent += put;
    if (put < record.size()) {
      c->record.assign(record, put);
      break;
    }
    record.clear();
    if (wire.size() + kRecordBytes + 64 > kWireBytes) break;
    more(record);
  }
  const Io flushed = c->channel.uncork();
  return io == Io::kOk ? flushed : io;
}

template <class Gather>
Io ServerCore::send_all(Connection* c, const Gather& more, size_t bytes_max) {
  static thread_local std::string scratch;
  size_t sent = 0;
  if (Io io = c->channel.flush(); io != Io::kOk) return io;
  while (true) {
    if (c->record_sent < c->record.size()) {
      size_t put = 0;
      Io io = c->channel.write(c->record.data() + c->record_sent, c->record.size() - c->record_sent,
                               put);
      c->record_sent += put;
      sent += put;
      if (io != Io::kOk) return io;
      continue;
    }
    if (c->record.capacity() > 0) std::string().swap(c->record);
    c->record_sent = 0;
    // Others' turn; the caller sees that more waits.
    if (sent >= bytes_max) return Io::kOk;
    more(scratch);
    if (scratch.empty()) return Io::kOk;
    if (c->channel.ssl() != nullptr && scratch.size() >= kFullRecord) {
      if (Io io = send_batch(c, more, scratch, sent); io != Io::kOk) return io;
      continue;
    }
    size_t put = 0;
    Io io = c->channel.write(scratch.data(), scratch.size(), put);
    sent += put;
    if (put < scratch.size()) c->record.assign(scratch, put);
    if (io != Io::kOk) return io;
  }
}

}  // namespace orch::net
