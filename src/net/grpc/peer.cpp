// The connection: socket, HTTP/2 session, pings. What the calls do is in peer_calls.cpp.
#include "net/grpc/peer.h"

#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>

#include "net/grpc/peer_callbacks.h"

namespace orch::net {

namespace {

constexpr int32_t kWindowBytes = 1 << 20;
constexpr size_t kRecordBytes = 16 * 1024;
constexpr size_t kTurnBytes = 1 << 20;  // written before others have their turn
constexpr size_t kReadBytes = 32 * 1024;
constexpr Seconds kHandshakeTime{10};

}  // namespace

Peer::Peer(std::shared_ptr<Loop> loop, Channel channel, PeerOptions options)
    : loop_(std::move(loop)), channel_(std::move(channel)), options_(std::move(options)) {}

Peer::~Peer() { nghttp2_session_del(session_); }

bool Peer::start() {
  nghttp2_option* option = nullptr;
  if (nghttp2_option_new(&option) != 0) return false;
  nghttp2_option_set_no_closed_streams(option, 1);
  // etcdctl's :authority may be a whole URL, which nghttp2 would refuse; what matters of the
  // headers is looked at in begin_call().
  if (options_.server) nghttp2_option_set_no_http_messaging(option, 1);
  const auto* callbacks = peer_callbacks();
  const int made = options_.server
                       ? nghttp2_session_server_new2(&session_, callbacks, this, option)
                       : nghttp2_session_client_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  if (made != 0) return false;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(kWindowBytes)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 16 * 1024},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.streams_max}};
  // A server may not mention push, a client has no streams opened to it.
  if (options_.server) {
    const nghttp2_settings_entry own[] = {settings[0], settings[2], settings[3]};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, own, 3);
  } else {
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 3);
  }
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 4 * kWindowBytes);
  wanted_ = EPOLLIN;
  if (!loop_->add(channel_.fd(), wanted_, shared_from_this())) return false;
  usable_ = true;
  if (options_.server) {
    handshake_timer_ = loop_->after(kHandshakeTime, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (self && !self->handshaken_) self->close("handshake timeout");
    });
    handshake();
  } else {
    handshaken_ = true;
    dirty();
    read_some();  // what TLS has taken in already
  }
  return !closed_;
}

void Peer::want(uint32_t events) {
  if (events == wanted_ || closed_) return;
  wanted_ = events;
  loop_->change(channel_.fd(), events);
}

void Peer::handshake() {
  switch (channel_.handshake()) {
    case Io::kOk:
      handshaken_ = true;
      loop_->cancel(handshake_timer_);
      want(EPOLLIN);
      dirty();
      read_some();
      return;
    case Io::kWantRead:
      return want(EPOLLIN);
    case Io::kWantWrite:
      return want(EPOLLOUT);
    default:
      return close(channel_.error());
  }
}

void Peer::ready(uint32_t events) {
  if (closed_) return;
  if (!handshaken_) return handshake();
  if ((events & EPOLLOUT) != 0) flush();
  if (!closed_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
}

void Peer::read_some() {
  char buffer[kReadBytes];
  for (int turns = 0; !closed_; ++turns) {
    size_t got = 0;
    const Io io = channel_.read(buffer, sizeof buffer, got);
    if (io == Io::kWantRead || io == Io::kWantWrite) break;
    if (io != Io::kOk) {
      return close(io == Io::kEnd ? "connection closed by the peer" : channel_.error());
    }
    heard_ = true;
    const auto taken =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer), got);
    if (taken < 0) {
      const std::string why = nghttp2_strerror(static_cast<int>(taken));
      dirty_ = false;
      flush();  // the GOAWAY that says what was wrong
      return close(why);
    }
    // The socket is empty, or it is others' turn; what waits inside TLS is not seen by epoll.
    if ((got < sizeof buffer || turns >= 8) && !channel_.buffered()) break;
  }
  if (!closed_) dirty();
}

void Peer::dirty() {
  if (dirty_ || closed_) return;
  dirty_ = true;
  loop_->settle_later(shared_from_this());
}

void Peer::settle() {
  dirty_ = false;
  if (!closed_ && handshaken_) flush();
}

void Peer::flush() {
  size_t written = 0;
  for (;;) {
    if (record_sent_ == record_.size()) {
      record_.clear();
      record_sent_ = 0;
      while (record_.size() < kRecordBytes) {
        const uint8_t* data = nullptr;
        const auto size = nghttp2_session_mem_send(session_, &data);
        if (size < 0) return close(nghttp2_strerror(static_cast<int>(size)));
        if (size == 0) break;
        record_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
      }
      if (record_.empty()) break;
    }
    size_t put = 0;
    const Io io = channel_.write(record_.data() + record_sent_, record_.size() - record_sent_, put);
    record_sent_ += put;
    written += put;
    if (io == Io::kWantWrite || io == Io::kWantRead) return want(EPOLLIN | EPOLLOUT);
    if (io != Io::kOk) return close(channel_.error());
    if (written >= kTurnBytes) return want(EPOLLIN | EPOLLOUT);
  }
  std::string().swap(record_);
  want(EPOLLIN);
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
    close("connection ended");
  }
}

// A silent peer with open calls is asked; if it stays silent it is gone.
void Peer::start_pings() {
  if (ping_timer_ != 0 || options_.ping_interval <= Seconds(0)) return;
  heard_ = true;
  pinged_ = false;
  ping_timer_ = loop_->after(options_.ping_interval, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->ping();
  });
}

void Peer::ping() {
  ping_timer_ = 0;
  if (closed_ || calls_.empty()) return;
  if (!heard_ && pinged_) return close("keepalive ping not answered");
  pinged_ = !heard_;
  if (!heard_) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    dirty();
  }
  heard_ = false;
  ping_timer_ = loop_->after(options_.ping_interval, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->ping();
  });
}

void Peer::go_away() {
  if (going_away_ || closed_) return;
  going_away_ = true;
  usable_ = false;
  if (!handshaken_) return close("stopping");
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  dirty();
  const auto calls = calls_;
  for (const auto& [id, call] : calls) {
    if (const auto handler = call->handler) handler->on_stopping();
  }
}

void Peer::close(const std::string& why) {
  if (closed_) return;
  closed_ = true;
  usable_ = false;
  const auto self = shared_from_this();
  if (ping_timer_ != 0) loop_->cancel(ping_timer_);
  if (handshake_timer_ != 0) loop_->cancel(handshake_timer_);
  loop_->remove(channel_.fd());
  const auto calls = std::move(calls_);
  calls_.clear();
  for (const auto& [id, call] : calls) {
    call->end(GrpcStatus{GrpcCode::kUnavailable, why, !options_.server && id > refused_above_});
  }
  channel_.end_write();
  channel_.close();
  if (options_.gone) options_.gone(this);
}

}  // namespace orch::net
