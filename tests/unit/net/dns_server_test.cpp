#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <atomic>
#include <fstream>
#include <thread>

#include "net/dns/cache.h"
#include "net/dns/upstreams.h"
#include "orch/net/dns.h"
#include "unit/net/dns_support.h"

using namespace orch::net;
using namespace orch::net::dns;
using namespace orch::net::test;
using Lines = std::vector<std::string>;

namespace {

// A DNS server that answers every A query with 192.0.2.N, or not at all. UDP and TCP.
class Upstream {
 public:
  enum class Mode { kAnswer, kSilent, kServFail, kTruncated, kWrongId };
  explicit Upstream(Mode mode) : mode_(mode) {
    tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(bind(tcp_, reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(listen(tcp_, 16) == 0);
    getsockname(tcp_, reinterpret_cast<sockaddr*>(&at), &size);
    udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(udp_, reinterpret_cast<sockaddr*>(&at), size) == 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Upstream() {
    stop_ = true;
    thread_.join();
    close(udp_);
    close(tcp_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int asked() const { return asked_; }

 private:
  std::string reply_to(const std::string& message, bool tcp) {
    uint8_t rcode = 0;
    auto query = read_query(message, rcode);
    if (!query) return "";
    ++asked_;
    if (mode_ == Mode::kServFail) return bare_reply(*query, kServerFailure);
    if (mode_ == Mode::kTruncated && !tcp) return bare_reply(*query, kNoError, true);
    Writer writer(65535);
    writer.start(*query, query->question.name == "nope.example" ? kNameError : kNoError, false);
    if (query->question.name != "nope.example") {
      (void)writer.a(1, query->question.name, 60, 0xc0000201);
    }
    std::string reply = writer.finish();
    if (mode_ == Mode::kWrongId) reply[0] = static_cast<char>(reply[0] + 1);
    return reply;
  }
  void serve() {
    while (!stop_) {
      pollfd waiting[2] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
      if (poll(waiting, 2, 20) <= 0) continue;
      char bytes[4096];
      if (waiting[0].revents) {
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        ssize_t got =
            recvfrom(udp_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&peer), &size);
        std::string reply =
            reply_to(std::string(bytes, static_cast<size_t>(std::max<ssize_t>(got, 0))), false);
        if (mode_ == Mode::kSilent || reply.empty()) continue;
        (void)sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
      }
      if (waiting[1].revents) {
        int fd = accept(tcp_, nullptr, nullptr);
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got > 2) {
          std::string reply = reply_to(std::string(bytes + 2, static_cast<size_t>(got - 2)), true);
          reply.insert(0, {static_cast<char>(reply.size() >> 8), static_cast<char>(reply.size())});
          (void)!write(fd, reply.data(), reply.size());
        }
        close(fd);
      }
    }
  }
  Mode mode_;
  int udp_ = -1, tcp_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> asked_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::unique_ptr<DnsServer> start(const std::vector<std::string>& upstreams) {
  DnsServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.upstreams = upstreams;
  options.upstream_timeout_ms = 150;
  auto server = DnsServer::start(options);
  if (!server) FAIL(server.error());
  (*server)->set_view(sample_view());
  return *std::move(server);
}

Parsed ask(const DnsServer& server, const std::string& name, uint16_t type = kA, bool tcp = false,
           uint16_t id = 77) {
  return parse_reply(exchange(server.port(), tcp, make_query(name, type, id)));
}

}  // namespace

TEST_CASE("the server answers cluster names on UDP and TCP") {
  auto server = start({"127.0.0.1:1"});
  for (bool tcp : {false, true}) {
    Parsed got = ask(*server, "web.default.svc.cluster.local", kA, tcp);
    CHECK(got.id == 77);
    CHECK(got.answers == Lines{"web.default.svc.cluster.local A 10.43.0.7"});
  }
  server->set_view(DnsView::build("cluster.local", {}, {}));
  CHECK(ask(*server, "web.default.svc.cluster.local").rcode == 3);
  server->stop();
  server->stop();
}

TEST_CASE("before the first view nothing is denied") {
  DnsServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  auto server = DnsServer::start(options);
  REQUIRE(server);
  CHECK(ask(**server, "web.default.svc.cluster.local").rcode == 2);
}

TEST_CASE("a port in use is named") {
  auto first = start({});
  DnsServerOptions options;
  options.address = "127.0.0.1";
  options.port = first->port();
  CHECK(DnsServer::start(options).error() ==
        "listen tcp 127.0.0.1:" + std::to_string(first->port()) + ": Address already in use");
  options.address = "nowhere";
  CHECK(DnsServer::start(options).error() == "invalid DNS address \"nowhere\"");
}

TEST_CASE("other names come from upstream, once, then from the cache") {
  Upstream upstream(Upstream::Mode::kAnswer);
  auto server = start({upstream.address()});
  CHECK(ask(*server, "Www.Example").answers == Lines{"Www.Example A 192.0.2.1"});
  CHECK(upstream.asked() == 1);
  Parsed again = ask(*server, "www.EXAMPLE", kA, false, 78);
  CHECK(again.id == 78);
  CHECK(again.question == "www.EXAMPLE");
  CHECK(upstream.asked() == 1);
  CHECK(ask(*server, "www.example", kA, true).answers.size() == 1);
  CHECK(ask(*server, "nope.example").rcode == 3);
}

TEST_CASE("an ExternalName is resolved on") {
  Upstream upstream(Upstream::Mode::kAnswer);
  auto server = start({upstream.address()});
  CHECK(
      ask(*server, "out.default.svc.cluster.local").answers ==
      Lines{"out.default.svc.cluster.local CNAME www.example.org", "www.example.org A 192.0.2.1"});
}

TEST_CASE("upstreams that fail: the next one is asked, then SERVFAIL") {
  Upstream good(Upstream::Mode::kAnswer);
  for (auto mode : {Upstream::Mode::kSilent, Upstream::Mode::kServFail, Upstream::Mode::kWrongId}) {
    Upstream bad(mode);
    auto server = start({bad.address(), good.address()});
    CHECK(ask(*server, "www.example").answers.size() == 1);
    CHECK(bad.asked() == 1);
    auto alone = start({bad.address()});
    CHECK(ask(*alone, "www.example").rcode == 2);
    CHECK(bad.asked() == 4);  // three attempts
  }
  auto refused = start({"127.0.0.1:1", good.address()});
  CHECK(ask(*refused, "www.example").answers.size() == 1);
  CHECK(ask(*start({"bad address"}), "www.example").rcode == 2);
}

TEST_CASE("a truncated upstream reply sends the client to TCP, and that works") {
  Upstream upstream(Upstream::Mode::kTruncated);
  auto server = start({upstream.address()});
  CHECK(ask(*server, "www.example").truncated);
  CHECK(ask(*server, "www.example", kA, true).answers.size() == 1);
}

TEST_CASE("a forwarding loop ends with SERVFAIL, without a storm") {
  // Two servers, each the other's upstream.
  DnsServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.upstream_timeout_ms = 100;
  auto probe = start({});
  uint16_t port = probe->port();
  probe.reset();
  options.upstreams = {"127.0.0.1:" + std::to_string(port)};
  auto a = DnsServer::start(options);
  REQUIRE(a);
  options.upstreams = {"127.0.0.1:" + std::to_string((*a)->port())};
  options.port = port;
  auto b = DnsServer::start(options);
  REQUIRE(b);
  (*a)->set_view(sample_view());
  (*b)->set_view(sample_view());
  CHECK(ask(**a, "www.example").rcode == 2);
  CHECK(ask(**a, "web.default.svc.cluster.local").rcode == 0);
}

TEST_CASE("many clients at once, and garbage between") {
  Upstream upstream(Upstream::Mode::kAnswer);
  auto server = start({upstream.address()});
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) {
        (void)exchange(server->port(), false, std::string(static_cast<size_t>(n), '\x7f'), 1);
        std::string name = n % 2 ? "web.default.svc.cluster.local" : "www.example";
        good += ask(*server, name, kA, i % 2).answers.size() == 1;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(good == 400);
}

TEST_CASE("resolv.conf: its name servers, ours left out, changes seen") {
  CHECK(nameservers_of("# c\nsearch a b\nnameserver 1.1.1.1\n  nameserver\tfd00::1 # x\n"
                       "nameserverx 2.2.2.2\nnameserver 3.3.3.3") ==
        Lines{"1.1.1.1", "fd00::1", "3.3.3.3"});
  CHECK(parse_socket_address("1.1.1.1:54", 53));
  CHECK(parse_socket_address("[fd00::1]:54", 53));
  CHECK(parse_socket_address("fd00::1", 53));
  CHECK(!parse_socket_address("1.1.1.1:0", 53));
  CHECK(!parse_socket_address("example.org", 53));
  std::string path = "/tmp/orch-dns-test." + std::to_string(getpid());
  std::ofstream(path) << "nameserver 10.43.0.10\nnameserver 9.9.9.9\n";
  Upstreams upstreams({}, path, *parse_socket_address("10.43.0.10", 53));
  auto now = std::chrono::steady_clock::now();
  REQUIRE(upstreams.current(now).size() == 1);
  CHECK(upstreams.current(now)[0] == *parse_socket_address("9.9.9.9", 53));
  std::ofstream(path) << "nameserver 9.9.9.9\nnameserver 8.8.8.8\n";
  CHECK(upstreams.current(now + std::chrono::seconds(1)).size() == 1);
  CHECK(upstreams.current(now + std::chrono::seconds(6)).size() == 2);
  unlink(path.c_str());
}

TEST_CASE("cached replies count their TTL down and end") {
  uint8_t rcode = 0;
  std::string message = make_query("www.example", kA);
  Query query = *read_query(message, rcode);
  Writer writer(512);
  writer.start(query, kNoError, false);
  REQUIRE(writer.a(1, "www.example", 10, 1));
  std::string reply = writer.finish();
  ReplyCache cache(2);
  Time now = std::chrono::steady_clock::now();
  cache.put("k", reply, now);
  auto later = cache.get("k", now + std::chrono::seconds(4));
  REQUIRE(later);
  CHECK((*read_records(*later))[0].ttl == 6);
  CHECK(!cache.get("k", now + std::chrono::seconds(10)));
  for (const char* key : {"a", "b", "c"}) cache.put(key, reply, now);
  CHECK(cache.size() == 2);
  CHECK(!cache.get("a", now));
  cache.put("f", bare_reply(query, kServerFailure), now);
  CHECK(!cache.get("f", now));
}
