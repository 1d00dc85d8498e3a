// Listening, connections, stop.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <set>

#include <fmt/format.h>

#include "net/grpc/peer.h"
#include "net/http/tls_context.h"
#include "net/http/worker_pool.h"

namespace orch::net {
namespace {

constexpr unsigned kWorkers = 16;
constexpr Millis kWorkerIdle{10'000};
constexpr int kAcceptsPerTurn = 64;
constexpr Millis kAcceptPause{100};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;
};

Result<Address, std::string> address_of(const GrpcServerOptions::Listener& listener) {
  Address address;
  if (listener.unix_socket) {
    auto* path = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (listener.address.size() >= sizeof path->sun_path) {
      return Err("listen unix " + listener.address + ": path too long");
    }
    path->sun_family = AF_UNIX;
    memcpy(path->sun_path, listener.address.data(), listener.address.size());
    address.size = sizeof *path;
    address.text = "unix " + listener.address;
    return address;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, listener.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(listener.port);
    address.size = sizeof *v4;
    address.text = fmt::format("tcp {}:{}", listener.address, listener.port);
  } else if (inet_pton(AF_INET6, listener.address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(listener.port);
    address.size = sizeof *v6;
    address.text = fmt::format("tcp [{}]:{}", listener.address, listener.port);
  } else {
    return Err("listen: \"" + listener.address + "\" is not an IP address");
  }
  return address;
}

// A socket file that nobody listens on is left from a crash.
void remove_stale(const Address& address, const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const bool dead =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 &&
      errno == ECONNREFUSED;
  ::close(fd);
  if (dead) ::unlink(path.c_str());
}

class Server final : public GrpcServer {
 public:
  Server(GrpcServerOptions options, Service service, Get get, std::shared_ptr<Loop> loop)
      : options_(std::move(options)),
        service_(std::move(service)),
        get_(std::move(get)),
        loop_(std::move(loop)),
        workers_("grpc-work", kWorkers, kWorkerIdle) {}
  ~Server() override { stop(Millis{0}); }

  Result<uint16_t, std::string> listen(const GrpcServerOptions::Listener& listener) override;
  void background(std::function<void()> work) override { workers_.submit(std::move(work)); }
  void after(Micros delay, std::function<void()> fn) override {
    loop_->post([loop = loop_.get(), delay, fn = std::move(fn)] { loop->after(delay, fn); });
  }
  void stop(Millis grace) override;

 private:
  struct Listening final : Loop::Socket {
    Server* server = nullptr;
    int fd = -1;
    bool tcp = false;
    std::string path;
    std::shared_ptr<TlsServerContext> tls;
    void ready(uint32_t) override { server->accept_some(*this); }
  };
  void accept_some(Listening& listening);
  void add(int fd, const Listening& listening);
  void gone(Peer* peer);

  const GrpcServerOptions options_;
  const Service service_;
  const Get get_;
  const std::shared_ptr<Loop> loop_;
  WorkerPool workers_;
  std::vector<std::shared_ptr<Listening>> listening_;
  std::map<Peer*, std::shared_ptr<Peer>> peers_;  // the loop's
  std::promise<void>* waiting_ = nullptr;         // the loop's; set while stop() waits
  std::mutex stop_mutex_;
  bool stopped_ = false;
};

Result<uint16_t, std::string> Server::listen(const GrpcServerOptions::Listener& wanted) {
  ORCH_TRY(Address address, address_of(wanted));
  auto listening = std::make_shared<Listening>();
  listening->server = this;
  listening->tcp = !wanted.unix_socket;
  listening->tls = wanted.tls;
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto failed = [&](const char* call) {
    const std::string why = system_error_text(errno);
    if (fd >= 0) ::close(fd);
    return Err("listen " + address.text + ": " + call + ": " + why);
  };
  if (fd < 0) return failed("socket");
  const int one = 1;
  if (wanted.unix_socket) {
    remove_stale(address, wanted.address);
  } else {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  }
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address.storage), address.size) != 0) {
    return failed("bind");
  }
  if (wanted.unix_socket) {
    listening->path = wanted.address;
    ::chmod(wanted.address.c_str(), 0600);
  }
  if (::listen(fd, 1024) != 0) return failed("listen");
  getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  listening->fd = fd;
  listening_.push_back(listening);
  loop_->post([this, listening] { loop_->add(listening->fd, EPOLLIN, listening); });
  const auto port = address.storage.ss_family == AF_INET
                        ? reinterpret_cast<sockaddr_in&>(address.storage).sin_port
                        : reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port;
  return wanted.unix_socket ? uint16_t{0} : ntohs(port);
}

void Server::accept_some(Listening& listening) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = ::accept4(listening.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      if (peers_.size() >= options_.connections_max) {
        ::close(fd);
      } else {
        add(fd, listening);
      }
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The listener stays readable; without a pause the loop would spin.
      loop_->change(listening.fd, 0);
      loop_->after(kAcceptPause,
                   [this, listener = listening.fd] { loop_->change(listener, EPOLLIN); });
      return;
    }
    if (errno == EAGAIN) return;
  }
}

void Server::add(int fd, const Listening& listening) {
  if (listening.tcp) {
    const int one = 1, idle = 30, interval = 10, probes = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  }
  auto channel = accept_channel(listening.tls.get(), fd);
  if (!channel) return;
  PeerOptions options;
  options.server = true;
  options.message_bytes_max = options_.message_bytes_max;
  options.connection_bytes_max = options_.connection_bytes_max;
  options.streams_max = options_.streams_max;
  options.ping_interval = options_.ping_interval;
  options.service = &service_;
  options.get = &get_;
  options.gone = [this](Peer* peer) { gone(peer); };
  auto peer = std::make_shared<Peer>(loop_, std::move(*channel), std::move(options));
  peers_[peer.get()] = peer;
  if (!peer->start()) peers_.erase(peer.get());
}

void Server::gone(Peer* peer) {
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  // It is on the stack of its own call.
  loop_->post([held = std::move(it->second)] {});
  peers_.erase(it);
  if (peers_.empty() && waiting_ != nullptr) std::exchange(waiting_, nullptr)->set_value();
}

void Server::stop(Millis grace) {
  std::lock_guard lock(stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  std::promise<void> done;
  auto waiting = done.get_future();
  loop_->post([&] {
    for (const auto& listening : listening_) {
      loop_->remove(listening->fd);
      ::close(listening->fd);
      if (!listening->path.empty()) ::unlink(listening->path.c_str());
    }
    const auto peers = peers_;
    for (const auto& [raw, peer] : peers) peer->go_away();
    if (peers_.empty()) {
      done.set_value();
    } else {
      waiting_ = &done;
    }
    // Idle connections end once the GOAWAY is out; clients keep theirs open otherwise.
    for (const auto& [raw, peer] : peers) {
      if (peer->calls() == 0) loop_->after(Millis{20}, [peer] { peer->close("stopping"); });
    }
  });
  waiting.wait_for(grace);
  std::promise<void> closed;
  loop_->post([&] {
    waiting_ = nullptr;
    const auto peers = peers_;
    for (const auto& [raw, peer] : peers) peer->close("the server is stopping");
    closed.set_value();
  });
  closed.get_future().wait();
  workers_.stop();
  loop_->stop();
}

}  // namespace

Result<std::unique_ptr<GrpcServer>, std::string> GrpcServer::start(const GrpcServerOptions& options,
                                                                   Service service, Get get) {
  ORCH_TRY(std::shared_ptr<Loop> loop, Loop::start("grpc-loop"));
  return std::unique_ptr<GrpcServer>(
      std::make_unique<Server>(options, std::move(service), std::move(get), std::move(loop)));
}

}  // namespace orch::net
