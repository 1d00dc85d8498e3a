// Listening, streams, time limits, start and stop.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <thread>

#include "net/http/server_core.h"
#include "net/http/thread.h"
#include "orch/base/log.h"

namespace orch::net {
namespace {

constexpr Seconds kWorkerIdle{30};
constexpr unsigned kExtraReadersMax = 32;
constexpr unsigned kWriters = 2;  // so many read workers at a time may run a write
constexpr unsigned kUpgradesMax = 4096;
constexpr size_t kStreamInBytesMax = 64 * 1024;
constexpr size_t kStreamTurnBytes = 1024 * 1024;
constexpr int kAcceptsPerTurn = 64;
constexpr Millis kAcceptPause{100};
constexpr Seconds kLastAnswer{2};
constexpr Millis kStopSweep{20};
constexpr Seconds kUpgradeStopTime{5};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<Address, std::string> parse_address(const std::string& text, uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size = sizeof *v4;
  } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof *v6;
  } else {
    return Err("listen: \"" + text + "\" is not an IP address");
  }
  return address;
}

std::string address_text(const sockaddr_storage& storage, bool& loopback) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    const unsigned char* v4 = v6.sin6_addr.s6_addr + 12;
    inet_ntop(AF_INET, v4, text, sizeof text);
    loopback = v4[0] == 127;
    return std::string(text) + ":" + std::to_string(ntohs(v6.sin6_port));
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

}  // namespace

int64_t now_us() { return system_clock().mono().time_since_epoch().count(); }

Result<std::unique_ptr<HttpServer>, std::string> HttpServer::start(const HttpServerOptions& options,
                                                                   HttpHandler handler) {
  auto core = std::make_unique<ServerCore>(options, std::move(handler));
  ORCH_CHECK(core->open());
  return std::unique_ptr<HttpServer>(std::move(core));
}

ServerCore::ServerCore(HttpServerOptions options, HttpHandler handler)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      blocking_("http-blocking", options_.blocking_workers_max, kWorkerIdle),
      computing_("http-answer", std::max(1u, std::thread::hardware_concurrency()), kWorkerIdle),
      upgrade_pool_(std::make_shared<WorkerPool>("http-upgrade", kUpgradesMax, Seconds{1})),
      next_scan_us_(INT64_MAX) {
  parking_->server = this;
}

ServerCore::~ServerCore() {
  stop(Millis{0});
  for (int fd : {listen_fd_, work_epoll_, loop_epoll_, stop_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

Result<Unit, std::string> ServerCore::open() {
  ORCH_TRY(Address address, parse_address(options_.address, options_.port));
  auto failed = [&](const char* call) {
    char text[128];
    return Err(std::string(call) + " " + options_.address + ":" + std::to_string(options_.port) +
               ": " + strerror_r(errno, text, sizeof text));
  };
  listen_fd_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listen_fd_ < 0) return failed("listen");
  int one = 1, zero = 0;
  setsockopt(listen_fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address.storage.ss_family == AF_INET6) {
    setsockopt(listen_fd_, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  }
  if (::bind(listen_fd_, reinterpret_cast<sockaddr*>(&address.storage), address.size) != 0 ||
      ::listen(listen_fd_, 1024) != 0) {
    return failed("listen");
  }
  getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  port_ = ntohs(address.storage.ss_family == AF_INET
                    ? reinterpret_cast<sockaddr_in&>(address.storage).sin_port
                    : reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port);
  work_epoll_ = epoll_create1(EPOLL_CLOEXEC);
  loop_epoll_ = epoll_create1(EPOLL_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (work_epoll_ < 0 || loop_epoll_ < 0 || stop_fd_ < 0 || inbox_->wake_fd() < 0) {
    return failed("epoll");
  }
  epoll_event stop_event{EPOLLIN, {nullptr}};
  epoll_event listen_event{EPOLLIN, {&listen_fd_}};
  epoll_event wake_event{EPOLLIN, {inbox_.get()}};
  epoll_ctl(work_epoll_, EPOLL_CTL_ADD, stop_fd_, &stop_event);
  epoll_ctl(loop_epoll_, EPOLL_CTL_ADD, listen_fd_, &listen_event);
  epoll_ctl(loop_epoll_, EPOLL_CTL_ADD, inbox_->wake_fd(), &wake_event);

  base_readers_ = options_.read_workers != 0 ? options_.read_workers
                                             : std::max(1u, std::thread::hardware_concurrency());
  readers_ = base_readers_ + (options_.waits ? kWriters : 0);
  std::lock_guard lock(mutex_);
  for (unsigned i = 0; i <= readers_; ++i) {
    pthread_t thread;
    bool ok = i == 0 ? start_thread(
                           "http-loop", kHandlerStackBytes, [this] { loop(); }, thread)
                     : start_thread(
                           "http-read", kHandlerStackBytes, [this] { read_worker(false); }, thread);
    if (!ok) return failed("start threads");
    threads_.push_back(thread);
  }
  return Unit{};
}

// ---- shared by workers and loop ----

void ServerCore::arm(Connection* c, uint32_t events) {
  epoll_event event{events | EPOLLONESHOT, {c}};
  int fd = c->channel.fd();
  c->pass();
  // From here on another thread may drive the connection and even close it before this call
  // returns. That is in order, but ThreadSanitizer's wrapper of epoll_ctl() takes it for a race.
  if (::syscall(SYS_epoll_ctl, work_epoll_, EPOLL_CTL_MOD, fd, &event) != 0) drop(c);
}

void ServerCore::ask_scan(int64_t at_us) {
  int64_t current = next_scan_us_.load();
  while (at_us < current) {
    if (next_scan_us_.compare_exchange_weak(current, at_us)) {
      inbox_->wake();
      return;
    }
  }
}

void ServerCore::set_deadline(Connection* c, Micros after) {
  int64_t at = now_us() + after.count();
  c->deadline_us = at;
  ask_scan(at);
}

void ServerCore::forget(Connection* c) {
  std::lock_guard lock(mutex_);
  connections_.erase(c);
  if (connections_.empty()) gone_.notify_all();
}

void ServerCore::drop(Connection* c) {
  // Behind forget() no other thread shuts this descriptor down.
  forget(c);
  delete c;
}

// ---- the loop ----

int ServerCore::loop_timeout() const {
  int64_t at = next_scan_us_.load();
  if (accept_again_us_ != 0) at = std::min(at, accept_again_us_);
  if (stopping_) at = std::min(at, now_us() + Micros(kStopSweep).count());
  if (at == INT64_MAX) return -1;
  int64_t left_ms = (at - now_us() + 999) / 1000;
  return static_cast<int>(std::clamp<int64_t>(left_ms, 0, 3600 * 1000));
}

void ServerCore::loop() {
  epoll_event events[128];
  while (!closing_) {
    int count = epoll_wait(loop_epoll_, events, 128, loop_timeout());
    for (int i = 0; i < count; ++i) {
      void* tag = events[i].data.ptr;
      if (tag == &listen_fd_) {
        accept_ready();
      } else if (tag == inbox_.get()) {
        inbox_->clear_wake();
      } else {
        auto* c = static_cast<Connection*>(tag);
        c->take();
        stream_event(c, events[i].events);
      }
    }
    for (const auto& stream : inbox_->take()) {
      stream->take_dirty();
      if (Connection* c = stream->connection; c != nullptr) {
        c->take();
        flush_stream(c);
      }
    }
    if (now_us() >= next_scan_us_.load()) {
      check_deadlines();
      check_readers();
    }
    if (accept_again_us_ != 0 && now_us() >= accept_again_us_ && !stopping_) {
      accept_again_us_ = 0;
      epoll_event event{EPOLLIN, {&listen_fd_}};
      epoll_ctl(loop_epoll_, EPOLL_CTL_MOD, listen_fd_, &event);
    }
    if (stopping_) sweep_for_stop();
  }
}

void ServerCore::accept_ready() {
  for (int i = 0; i < kAcceptsPerTurn && !stopping_; ++i) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    int fd = ::accept4(listen_fd_, reinterpret_cast<sockaddr*>(&storage), &size,
                       SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_accepting(errno);
        return;
      }
      if (errno == EAGAIN) return;
      continue;  // the peer is gone already
    }
    bool loopback = false;
    std::string address = address_text(storage, loopback);
    add_connection(fd, std::move(address), loopback);
  }
}

void ServerCore::pause_accepting(int error) {
  // The listener stays readable; without a pause the loop would spin.
  epoll_event event{0, {&listen_fd_}};
  epoll_ctl(loop_epoll_, EPOLL_CTL_MOD, listen_fd_, &event);
  int64_t now = now_us();
  accept_again_us_ = now + Micros(kAcceptPause).count();
  if (now - emfile_logged_us_ > 10'000'000 || emfile_logged_us_ == 0) {
    emfile_logged_us_ = now;
    log::warn("http", "port {}: cannot accept connections for now: {}", port_,
              system_error_text(error));
  }
}

void ServerCore::add_connection(int fd, std::string address, bool loopback) {
  int one = 1, idle = 30, interval = 10, probes = 3;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // Dead peers of idle watches are found.
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  auto* c = new Connection(Channel(fd, nullptr), std::move(address), loopback);
  {
    std::lock_guard lock(mutex_);
    connections_.insert(c);
  }
  set_deadline(c, options_.header_timeout);
  c->pass();
  epoll_event event{EPOLLIN | EPOLLONESHOT, {c}};
  if (epoll_ctl(work_epoll_, EPOLL_CTL_ADD, fd, &event) != 0) drop(c);
}

void ServerCore::watch_stream(Connection* c, bool out) {
  if (c->stream_waits_out == out) return;
  c->stream_waits_out = out;
  epoll_event event{EPOLLIN | EPOLLRDHUP | (out ? EPOLLOUT : 0u), {c}};
  epoll_ctl(loop_epoll_, EPOLL_CTL_MOD, c->channel.fd(), &event);
}

void ServerCore::stream_event(Connection* c, uint32_t events) {
  while ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) {
    size_t got = 0;
    Io io = c->channel.read(read_buffer(), kReadBytes, got);
    if (io == Io::kWantRead || io == Io::kWantWrite) {
      if ((events & (EPOLLHUP | EPOLLERR)) == 0) break;
      io = Io::kEnd;
    }
    // Requests pipelined behind a watch wait for its end, within bounds.
    if (io == Io::kOk && c->in.size() + got <= kStreamInBytesMax) {
      c->in.append(read_buffer(), got);
      continue;
    }
    drop_stream(c);
    return;
  }
  flush_stream(c);
}

void ServerCore::flush_stream(Connection* c) {
  ResponseStream& stream = *c->stream;
  if (stream.overflowed()) {
    log::info("http", "{}: peer reads too slowly, stream is cut", c->remote);
    drop_stream(c);
    return;
  }
  bool emptied = false;
  Io io = send_all(
      c,
      [&](std::string& record) {
        stream.gather(record);
        emptied = record.empty();
      },
      kStreamTurnBytes);
  if (io == Io::kEnd || io == Io::kError) {
    drop_stream(c);
    return;
  }
  if (io != Io::kOk) {
    watch_stream(c, true);
    return;
  }
  if (!emptied) {
    stream.requeue();
  } else if (stream.drained()) {
    end_stream(c);
    return;
  }
  watch_stream(c, false);
}

void ServerCore::drop_stream(Connection* c) {
  auto stream = std::move(c->stream);
  stream->connection = nullptr;
  epoll_ctl(loop_epoll_, EPOLL_CTL_DEL, c->channel.fd(), nullptr);
  drop(c);
  stream->closed();
}

// The response is complete: the connection goes back to the workers.
void ServerCore::end_stream(Connection* c) {
  auto stream = std::move(c->stream);
  stream->connection = nullptr;
  c->streaming = false;
  c->stream_waits_out = false;
  epoll_ctl(loop_epoll_, EPOLL_CTL_DEL, c->channel.fd(), nullptr);
  bool keep = c->stream_keep_alive && !stopping_;
  c->phase = keep ? Phase::kHead : Phase::kLinger;
  c->scanned = 0;
  bool more = !c->in.empty() || !keep;
  c->idle = !more;
  set_deadline(c, more ? Micros(options_.header_timeout) : Micros(options_.idle_timeout));
  c->pass();
  epoll_event event{EPOLLIN | EPOLLONESHOT | (more ? EPOLLOUT : 0u), {c}};
  if (epoll_ctl(work_epoll_, EPOLL_CTL_ADD, c->channel.fd(), &event) != 0) drop(c);
  stream->closed();
}

void ServerCore::check_deadlines() {
  next_scan_us_ = INT64_MAX;
  int64_t now = now_us(), earliest = INT64_MAX;
  {
    std::lock_guard lock(mutex_);
    for (Connection* c : connections_) {
      int64_t at = c->deadline_us.load();
      if (at == 0) continue;
      if (at > now) {
        earliest = std::min(earliest, at);
        continue;
      }
      // Whoever drives it sees the end; here only the socket is touched.
      if (c->half_read && !c->expired.exchange(true)) {
        ::shutdown(c->channel.fd(), SHUT_RD);  // it is told why
        const int64_t last = now + Micros(kLastAnswer).count();
        c->deadline_us = last;
        earliest = std::min(earliest, last);
        continue;
      }
      c->channel.shutdown();
      c->deadline_us = 0;
    }
  }
  if (int64_t at = stall_check_us_.load(); at > now) earliest = std::min(earliest, at);
  int64_t current = next_scan_us_.load();
  while (earliest < current && !next_scan_us_.compare_exchange_weak(current, earliest)) {
  }
}

// GETs are expected not to block; when all read workers hang in some all the same, others are
// started, so that the rest of the API goes on.
void ServerCore::check_readers() {
  int64_t at = stall_check_us_.load();
  if (at == 0 || now_us() < at) return;
  uint64_t handled = handled_.load();
  bool stalled = busy_readers_.load() >= readers_.load() && handled == handled_at_check_;
  bool waiting = busy_readers_.load() >= readers_.load();
  handled_at_check_ = handled;
  if (stalled && !stopping_) {
    std::lock_guard lock(mutex_);
    if (extra_readers_ < kExtraReadersMax &&
        start_detached_thread("http-read-x", kHandlerStackBytes, [this] { read_worker(true); })) {
      ++extra_readers_;
      ++readers_;
    }
  }
  int64_t next = waiting ? now_us() + 50'000 : 0;
  stall_check_us_ = next;
  if (next != 0) ask_scan(next);
}

// ---- stop ----

void ServerCore::sweep_for_stop() {
  if (accept_again_us_ != INT64_MAX) {
    epoll_ctl(loop_epoll_, EPOLL_CTL_DEL, listen_fd_, nullptr);
    ::shutdown(listen_fd_, SHUT_RDWR);
    accept_again_us_ = INT64_MAX;
  }
  std::vector<std::shared_ptr<ResponseStream>> streams;
  {
    std::lock_guard lock(mutex_);
    for (Connection* c : connections_) {
      if (c->streaming) {
        if (c->stream) streams.push_back(c->stream);
      } else if (c->idle) {
        c->channel.shutdown();
      }
    }
  }
  for (const auto& stream : streams) stream->finish();
}

void ServerCore::stop(Millis grace) {
  std::lock_guard stop_lock(stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  stopping_ = true;
  if (threads_.empty()) return;
  inbox_->wake();
  {
    std::unique_lock lock(mutex_);
    if (!gone_.wait_for(lock, grace, [&] { return connections_.empty(); })) {
      for (Connection* c : connections_) c->channel.shutdown();
      gone_.wait_for(lock, Millis{500}, [&] { return connections_.empty(); });
    }
  }
  {
    std::lock_guard lock(upgrades_mutex_);
    for (const auto& upgrade : upgrades_) {
      if (auto socket = upgrade.lock()) socket->close();
    }
  }
  {
    std::lock_guard lock(parking_->mutex);
    parking_->server = nullptr;
  }
  blocking_.stop();
  computing_.stop();
  upgrade_pool_->stop();
  closing_ = true;
  uint64_t one = 1;
  [[maybe_unused]] ssize_t ignored = ::write(stop_fd_, &one, sizeof one);
  inbox_->wake();
  for (pthread_t thread : threads_) pthread_join(thread, nullptr);
  {
    std::unique_lock lock(mutex_);
    gone_.wait(lock, [&] { return extra_readers_ == 0; });
  }
  // Nobody drives the rest any more.
  std::vector<Connection*> rest(connections_.begin(), connections_.end());
  for (Connection* c : rest) {
    if (c->stream) {
      drop_stream(c);
    } else {
      drop(c);
    }
  }
}

}  // namespace orch::net
