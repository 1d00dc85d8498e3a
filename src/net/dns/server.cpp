// DNS on UDP and TCP: one thread, one epoll set.
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>

#include "net/dns/forwarder.h"
#include "orch/base/log.h"
#include "orch/net/dns.h"

namespace orch::net {

namespace {

using namespace dns;

constexpr size_t kConnectionsMax = 512;
constexpr std::chrono::seconds kConnectionIdle{10};
constexpr size_t kOutputBytesMax = 1 << 20;
constexpr int kDatagramsPerRound = 64;

// A TCP client; replies may come later than it lives, so they hold it weakly.
struct Connection {
  int fd = -1;
  std::string in, out;
  Time last;
};

class Server final : public DnsServer {
 public:
  explicit Server(const DnsServerOptions& options) : options_(options) {}
  ~Server() override { stop(); }

  Result<Unit, NetError> listen();
  void run_thread() {
    thread_ = std::thread([this] { run(); });
  }
  uint16_t port() const override { return port_; }
  void set_view(std::shared_ptr<const DnsView> view) override {
    std::lock_guard lock(mutex_);
    view_ = std::move(view);
  }
  void stop() override;

 private:
  using Send = std::function<void(std::string reply)>;
  void run();
  void read_datagrams();
  void accept_connections();
  void serve_connection(const std::shared_ptr<Connection>& connection, uint32_t events);
  void flush(const std::shared_ptr<Connection>& connection);
  void close_connection(const std::shared_ptr<Connection>& connection);
  void close_idle(Time now);
  void handle(std::string_view message, bool tcp, const Send& send);
  void forward(const Query& query, std::string_view message, bool tcp, const Send& send);
  void follow(const Query& query, const DnsAnswer& partial, bool tcp, const Send& send);
  Result<int, NetError> open_socket(int type, const char* name);

  DnsServerOptions options_;
  uint16_t port_ = 0;
  int udp_ = -1, tcp_ = -1, wake_ = -1;
  std::mutex mutex_;
  std::shared_ptr<const DnsView> view_;
  std::atomic<bool> stop_{false};
  Loop loop_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;
  std::thread thread_;
};

// ---- setting up ----

Result<int, NetError> Server::open_socket(int type, const char* name) {
  auto fail = [&](int fd) {
    NetError error =
        fmt::format("listen {} {}:{}: {}", name, options_.address, port_, std::strerror(errno));
    if (fd >= 0) close(fd);
    return Err(std::move(error));
  };
  auto address = parse_socket_address(options_.address, 1);
  if (!address) return Err(fmt::format("invalid DNS address \"{}\"", options_.address));
  reinterpret_cast<sockaddr_in*>(&address->storage)->sin_port = htons(port_);
  int fd = socket(address->storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(fd);
  int on = 1;
  // For UDP it would let two servers share the port unnoticed.
  if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, address->get(), address->size) != 0) return fail(fd);
  if (type == SOCK_STREAM && ::listen(fd, 128) != 0) return fail(fd);
  if (type == SOCK_DGRAM) {
    int bytes = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  return fd;
}

Result<Unit, NetError> Server::listen() {
  // With port 0 the number TCP gets is asked for UDP too; it may be taken there.
  for (int tries = 0;; ++tries) {
    port_ = options_.port;
    ORCH_TRY(tcp_, open_socket(SOCK_STREAM, "tcp"));
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    getsockname(tcp_, reinterpret_cast<sockaddr*>(&bound), &size);
    port_ = ntohs(reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
    auto udp = open_socket(SOCK_DGRAM, "udp");
    if (udp) {
      udp_ = *udp;
      break;
    }
    close(tcp_);
    tcp_ = -1;
    if (options_.port != 0 || tries == 16) return Err(udp.error());
  }
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  SocketAddress self = *parse_socket_address(options_.address, port_);
  Forwarder::Options options;
  options.timeout = std::chrono::milliseconds(options_.upstream_timeout_ms);
  options.attempts = options_.upstream_attempts;
  options.cache_entries_max = options_.cache_entries_max;
  forwarder_ = std::make_unique<Forwarder>(
      loop_, Upstreams(options_.upstreams, options_.resolv_conf, self), options);
  bool watched = loop_.watch(udp_, EPOLLIN, [this](uint32_t) { read_datagrams(); }) &&
                 loop_.watch(tcp_, EPOLLIN, [this](uint32_t) { accept_connections(); }) &&
                 loop_.watch(wake_, EPOLLIN, [](uint32_t) {});
  if (!watched) return Err(fmt::format("listen: epoll: {}", std::strerror(errno)));
  return Unit{};
}

void Server::stop() {
  stop_ = true;
  if (wake_ >= 0) {
    uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
  }
  if (thread_.joinable()) thread_.join();
  forwarder_.reset();
  for (auto& [fd, connection] : connections_) loop_.drop(fd);
  connections_.clear();
  for (int* fd : {&udp_, &tcp_, &wake_}) {
    if (*fd >= 0) loop_.drop(*fd);
    *fd = -1;
  }
}

void Server::run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (!stop_) {
    Time now = std::chrono::steady_clock::now();
    int wait = forwarder_->next_timeout_ms(now);
    if (!connections_.empty()) wait = wait < 0 ? 1000 : std::min(wait, 1000);
    loop_.run_once(wait);
    now = std::chrono::steady_clock::now();
    forwarder_->expire(now);
    close_idle(now);
  }
}

// ---- transports ----

void Server::read_datagrams() {
  char buffer[4096];
  for (int i = 0; i < kDatagramsPerRound; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    ssize_t got =
        recvfrom(udp_, buffer, sizeof buffer, MSG_TRUNC, reinterpret_cast<sockaddr*>(&peer), &size);
    if (got < 0) return;
    if (static_cast<size_t>(got) > sizeof buffer) continue;  // no query is that long
    handle({buffer, static_cast<size_t>(got)}, false, [this, peer, size](std::string reply) {
      // A client that is gone is its own business.
      (void)sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&peer),
                   size);
    });
  }
}

void Server::accept_connections() {
  for (;;) {
    int fd = accept4(tcp_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (connections_.size() >= kConnectionsMax) {
      close(fd);
      continue;
    }
    auto connection = std::make_shared<Connection>();
    connection->fd = fd;
    connection->last = std::chrono::steady_clock::now();
    std::weak_ptr<Connection> weak = connection;
    bool watched = loop_.watch(fd, EPOLLIN, [this, weak](uint32_t events) {
      if (auto held = weak.lock()) serve_connection(held, events);
    });
    if (watched) {
      connections_[fd] = std::move(connection);
    } else {
      close(fd);
    }
  }
}

void Server::serve_connection(const std::shared_ptr<Connection>& connection, uint32_t events) {
  connection->last = std::chrono::steady_clock::now();
  if (events & EPOLLOUT) flush(connection);
  if (connection->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  char buffer[16384];
  ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return close_connection(connection);
  connection->in.append(buffer, static_cast<size_t>(got));
  while (connection->fd >= 0 && connection->in.size() >= 2) {
    size_t size = read16(connection->in, 0);
    if (connection->in.size() < size + 2) return;
    std::string message = connection->in.substr(2, size);
    connection->in.erase(0, size + 2);
    std::weak_ptr<Connection> weak = connection;
    handle(message, true, [this, weak](std::string reply) {
      auto held = weak.lock();
      if (!held || held->fd < 0) return;
      held->out.push_back(static_cast<char>(reply.size() >> 8));
      held->out.push_back(static_cast<char>(reply.size()));
      held->out += reply;
      flush(held);
    });
  }
}

void Server::flush(const std::shared_ptr<Connection>& connection) {
  if (connection->out.size() > kOutputBytesMax) return close_connection(connection);
  ssize_t sent = send(connection->fd, connection->out.data(), connection->out.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return close_connection(connection);
  if (sent > 0) connection->out.erase(0, static_cast<size_t>(sent));
  uint32_t more = connection->out.empty() ? 0u : static_cast<uint32_t>(EPOLLOUT);
  loop_.change(connection->fd, EPOLLIN | more);
}

void Server::close_connection(const std::shared_ptr<Connection>& connection) {
  if (connection->fd < 0) return;
  int fd = std::exchange(connection->fd, -1);
  loop_.drop(fd);
  connections_.erase(fd);
}

void Server::close_idle(Time now) {
  std::vector<std::shared_ptr<Connection>> idle;
  for (const auto& [fd, connection] : connections_) {
    if (now - connection->last > kConnectionIdle) idle.push_back(connection);
  }
  for (const auto& connection : idle) close_connection(connection);
}

// ---- answering ----

void Server::handle(std::string_view message, bool tcp, const Send& send) {
  std::shared_ptr<const DnsView> view;
  {
    std::lock_guard lock(mutex_);
    view = view_;
  }
  uint8_t rcode = kNoError;
  auto query = read_query(message, rcode);
  if (!view) {
    // Nothing is known of the cluster yet: a name must not be denied for that.
    if (query && !query->header.reply) send(bare_reply(*query, kServerFailure));
    return;
  }
  DnsAnswer answered = answer(message, *view, tcp);
  switch (answered.kind) {
    case DnsAnswer::Kind::kReply:
      return send(std::move(answered.message));
    case DnsAnswer::Kind::kForward:
      return forward(*query, message, tcp, send);
    case DnsAnswer::Kind::kFollow:
      return follow(*query, answered, tcp, send);
    case DnsAnswer::Kind::kIgnore:
      return;
  }
}

void Server::forward(const Query& query, std::string_view message, bool tcp, const Send& send) {
  Time now = std::chrono::steady_clock::now();
  forwarder_->resolve(query, message, tcp, now, [query, tcp, send](const std::string& reply) {
    if (reply.empty()) return send(bare_reply(query, kServerFailure));
    if (!tcp && reply.size() > udp_size_max(query)) {
      return send(bare_reply(query, kNoError, true));
    }
    // Asked once for several clients: each gets its own id, and its name as it wrote it.
    std::string own = reply;
    write16(own, 0, query.header.id);
    const std::string& name = query.question.wire_name;
    if (own.size() >= kHeaderBytes + name.size()) {
      own.replace(kHeaderBytes, name.size(), name);
    }
    send(std::move(own));
  });
}

// An ExternalName leads out of the cluster: its target is asked for upstream, and what comes
// back stands behind our CNAME.
void Server::follow(const Query& query, const DnsAnswer& partial, bool tcp, const Send& send) {
  auto target = to_wire(partial.follow_name);
  if (!target) return send(bare_reply(query, kServerFailure));
  Query onward = query;
  onward.header.recursion_desired = true;
  onward.question.name = partial.follow_name;
  onward.question.wire_name = *target;
  std::string message(kHeaderBytes, '\0');
  write16(message, 2, 0x0100);
  write16(message, 4, 1);
  message += *target;
  message.append(4, '\0');
  write16(message, message.size() - 4, query.question.type);
  write16(message, message.size() - 2, query.question.class_);
  onward.edns.reset();
  Time now = std::chrono::steady_clock::now();
  forwarder_->resolve(onward, message, tcp, now,
                      [query, tcp, send, first = partial.message](const std::string& reply) {
                        Writer writer(tcp ? 65535 : udp_size_max(query));
                        writer.start(query, kNoError, true);
                        bool fits = true;
                        auto copy = [&](const std::string& from) {
                          auto records = read_records(from);
                          if (!records) return;
                          for (const Record& record : *records) {
                            if (record.section == 1) fits = fits && writer.copy(1, from, record);
                          }
                        };
                        copy(first);
                        if (reply.empty()) {
                          writer.set_rcode(kServerFailure);
                        } else {
                          writer.set_rcode(read_header(reply)->rcode);
                          copy(reply);
                          if (!fits || read_header(reply)->truncated) writer.set_truncated();
                        }
                        send(writer.finish());
                      });
}

}  // namespace

Result<std::unique_ptr<DnsServer>, NetError> DnsServer::start(const DnsServerOptions& options) {
  auto server = std::make_unique<Server>(options);
  ORCH_CHECK(server->listen());
  server->run_thread();
  return std::unique_ptr<DnsServer>(std::move(server));
}

}  // namespace orch::net
