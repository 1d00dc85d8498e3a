#include "unit/net/netns_support.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace orch::net::test {

namespace {

sockaddr_in socket_address(const std::string& ip, uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(parse_ipv4(ip).value());
  return to;
}

std::string peer_text(const sockaddr_in& peer) { return format_ipv4(ntohl(peer.sin_addr.s_addr)); }

}  // namespace

bool skip_kernel_tests() {
  if (geteuid() == 0) return false;
  WARN("skipped: network namespaces need root");
  return true;
}

TestNetns::TestNetns(const std::string& name)
    : path_(fmt::format("/tmp/orch-net-test.{}/{}", getpid(), name)) {
  auto made = make_netns(path_);
  if (!made) FAIL(made.error());
}

TestNetns::~TestNetns() {
  (void)remove_netns(path_);
  (void)rmdir(path_.substr(0, path_.rfind('/')).c_str());
}

std::unique_ptr<Netlink> TestNetns::netlink() const {
  auto opened = Netlink::open_in(path_);
  if (!opened) FAIL(opened.error());
  return *std::move(opened);
}

void TestNetns::run(const std::function<Result<Unit, NetError>()>& fn) const {
  auto done = run_in_netns(path_, fn);
  if (!done) FAIL(done.error());
}

void connect(const TestNetns& a, const std::string& name_a, const std::string& address_a,
             const TestNetns& b, const std::string& name_b, const std::string& address_b) {
  auto in_a = a.netlink();
  auto in_b = b.netlink();
  auto check = [](Result<Unit, NetError> done) {
    if (!done) FAIL(done.error());
  };
  check(in_a->add_veth(name_a, name_b, b.path(), 1500));
  check(in_a->ensure_address(name_a, parse_prefix(address_a).value()));
  check(in_b->ensure_address(name_b, parse_prefix(address_b).value()));
  check(in_a->set_up(name_a));
  check(in_b->set_up(name_b));
  // Packets sent before would be lost, and their repetition late.
  for (int i = 0; i < 500; ++i) {
    auto end_a = in_a->find_link(name_a), end_b = in_b->find_link(name_b);
    if ((*end_a)->operational && (*end_b)->operational) return;
    usleep(2000);
  }
  FAIL(name_a + " and " + name_b + " do not get operational");
}

EchoServer::EchoServer(const TestNetns& netns, Protocol protocol, const std::string& ip,
                       uint16_t port, const std::string& name)
    : tcp_(protocol == Protocol::kTcp) {
  netns.run([&]() -> Result<Unit, NetError> {
    fd_ = socket(AF_INET, (tcp_ ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at = socket_address(ip, port);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
        (tcp_ && listen(fd_, 64) != 0)) {
      return Err(fmt::format("listen {}:{}: {}", ip, port, std::strerror(errno)));
    }
    return Unit{};
  });
  thread_ = std::thread([this, name] { serve(name); });
}

EchoServer::~EchoServer() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  if (fd_ >= 0) close(fd_);
}

void EchoServer::serve(const std::string& name) {
  while (!stop_) {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, 50) <= 0) continue;
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (tcp_) {
      int client = accept4(fd_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC);
      if (client < 0) continue;
      std::string text = name + " " + peer_text(peer);
      (void)!write(client, text.data(), text.size());
      close(client);
    } else {
      char bytes[64];
      if (recvfrom(fd_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&peer), &size) < 0) {
        continue;
      }
      std::string text = name + " " + peer_text(peer);
      (void)sendto(fd_, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
    }
  }
}

Asked ask(const TestNetns& from, Protocol protocol, const std::string& ip, uint16_t port,
          uint16_t source_port, int timeout_ms) {
  Asked asked;
  from.run([&]() -> Result<Unit, NetError> {
    const bool tcp = protocol == Protocol::kTcp;
    int fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    timeval limit{timeout_ms / 1000, timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (source_port) {
      int on = 1;
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      sockaddr_in own{};
      own.sin_family = AF_INET;
      own.sin_port = htons(source_port);
      (void)bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own);
    }
    sockaddr_in to = socket_address(ip, port);
    char bytes[128];
    ssize_t got = -1;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 &&
        (tcp || send(fd, "?", 1, 0) == 1)) {
      got = recv(fd, bytes, sizeof bytes, 0);
    }
    if (got > 0) {
      std::string text(bytes, static_cast<size_t>(got));
      asked.server = text.substr(0, text.find(' '));
      asked.client_ip = text.substr(text.find(' ') + 1);
    } else {
      bool late = errno == EAGAIN || errno == EINPROGRESS;
      asked.error = got == 0 ? "closed" : late ? "timeout" : std::strerror(errno);
    }
    close(fd);
    return Unit{};
  });
  return asked;
}

void without_bridge_filter(const TestNetns& netns) {
  netns.run([]() -> Result<Unit, NetError> {
    (void)write_sysctl("net/bridge/bridge-nf-call-iptables", "0");
    return Unit{};
  });
}

std::string shell(const std::string& command) {
  std::string out;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char bytes[4096];
    while (size_t got = fread(bytes, 1, sizeof bytes, pipe)) out.append(bytes, got);
    pclose(pipe);
  }
  return out;
}

}  // namespace orch::net::test
