// The HTTP server under load, over TLS on loopback: requests per second of a 3 KiB GET, a spliced
// LIST of 10,000 objects, and 2,000 watches with the time one event takes to reach them all. Server
// and load generator are two processes on the same cores; the generator is one thread over epoll.
//   bench_http [seconds per row]
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bench/load.h"

using namespace orch;
using namespace orch::net;
using namespace orch::bench;

namespace {

// ---- the server process ----

int serve(int port_pipe, const KeyPair& pair) {
  TlsServerContext::Options tls;
  tls.key_pair = pair;
  HttpServerOptions options;
  options.address = "127.0.0.1";
  auto context = TlsServerContext::create(tls);
  if (!context) return fail(context.error());
  options.tls = *context;
  const std::string body(3072, 'x');
  const auto object = std::make_shared<const std::string>(std::string(3436, 'o'));
  const auto event = std::make_shared<const std::string>(std::string(1023, 'e') + "\n");
  std::mutex mutex;
  std::vector<std::shared_ptr<Stream>> streams;
  auto server = HttpServer::start(options, [&](const HttpRequest& request, HttpResponse& response) {
    if (request.path == "/watch") {
      response.stream([&](std::shared_ptr<Stream> stream) {
        std::lock_guard lock(mutex);
        streams.push_back(std::move(stream));
      });
    } else if (request.path == "/event") {
      std::lock_guard lock(mutex);
      for (auto& stream : streams) stream->write(event);
    } else if (request.path == "/list") {
      response.pieces.assign(10000, object);
    } else {
      response.body = body;
    }
  });
  if (!server) return fail(server.error());
  uint16_t port = (*server)->port();
  if (::write(port_pipe, &port, sizeof port) != sizeof port) return 1;
  pause();
  return 0;
}

void measure_gets(const Load& load, const std::string& path, int connections, double seconds) {
  Channel channel = load.dial();
  const std::string request = request_text("GET", path);
  const size_t size = ask(channel, request).body.size();
  const Rates rates = closed_loop(load, connections, seconds, [&] { return request; });
  fmt::print("{:<28} {:>4} {:>12.0f} {:>10.3f} {:>10.3f} {:>10.1f}\n",
             fmt::format("GET {} ({} B)", path, size), connections, rates.per_second, rates.p50_ms,
             rates.p99_ms, rates.per_second * static_cast<double>(size) / 1e6);
}

struct Client {
  Channel channel;
  size_t received = 0;
};

void measure_watches(const Load& load, pid_t server, size_t watches) {
  long rss_before = status_value(server, "VmRSS");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(watches);
  auto begin = Steady::now();
  for (Client& client : clients) {
    client.channel = load.dial();
    epoll_event event{EPOLLIN, {&client}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, client.channel.fd(), &event);
    send(client.channel, request_text("GET", "/watch"));
  }
  epoll_event events[256];
  auto collect = [&](size_t bytes_each) {
    size_t complete = 0;
    while (complete < watches) {
      int count = epoll_wait(epoll, events, 256, 5000);
      if (count <= 0) std::exit(fail("a watch got nothing"));
      for (int i = 0; i < count; ++i) {
        auto& client = *static_cast<Client*>(events[i].data.ptr);
        bool before = client.received >= bytes_each;
        client.received += drain(client.channel);
        complete += !before && client.received >= bytes_each;
      }
    }
    for (Client& client : clients) client.received = 0;
  };
  collect(1);
  double opened = ms_since(begin);
  usleep(300'000);
  long rss = status_value(server, "VmRSS") - rss_before;
  double cpu = cpu_seconds(server);
  usleep(3'000'000);
  cpu = cpu_seconds(server) - cpu;
  fmt::print(
      "\n{} TLS watches: opened in {:.0f} ms, {:.1f} KiB RSS each, {} threads, idle CPU {:.2f} %\n",
      watches, opened, static_cast<double>(rss) / static_cast<double>(watches),
      status_value(server, "Threads"), cpu / 3 * 100);
  Channel trigger = load.dial();
  std::vector<double> took;
  for (int i = 0; i < 20; ++i) {
    auto sent = Steady::now();
    send(trigger, request_text("GET", "/event"));
    collect(1024);
    took.push_back(ms_since(sent));
    drain(trigger);
    usleep(20'000);
  }
  std::sort(took.begin(), took.end());
  fmt::print("fan-out of one 1 KiB event to all: min {:.1f} ms, median {:.1f} ms, max {:.1f} ms\n",
             took.front(), took[took.size() / 2], took.back());
  long rss_after = status_value(server, "VmRSS") - rss_before;
  fmt::print("after the fan-outs: {:.1f} KiB RSS each\n",
             static_cast<double>(rss_after) / static_cast<double>(watches));
  ::close(epoll);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = argc > 1 ? std::atof(argv[1]) : 3;
  raise_file_limit();
  WallTime now = system_clock().now();
  auto ca = make_ca("bench-ca", now, Seconds{3600});
  CertificateRequest leaf;
  leaf.common_name = "bench";
  leaf.server_auth = true;
  leaf.ip_addresses = {"127.0.0.1"};
  leaf.not_before = now - Seconds{60};
  leaf.not_after = now + Seconds{3600};
  if (!ca) return fail(ca.error());
  auto pair = issue(*ca, leaf);
  if (!pair) return fail(pair.error());
  int ends[2];
  if (::pipe(ends) != 0) return fail("pipe");
  pid_t server = fork();
  if (server == 0) _exit(serve(ends[1], *pair));
  uint16_t port = 0;
  if (::read(ends[0], &port, sizeof port) != sizeof port) return fail("no server");
  TlsClientContext::Options options;
  options.ca_pem = ca->certificate_pem;
  const Load load = Load::create(options, port);
  fmt::print("server RSS before: {:.1f} MiB, threads {}\n\n",
             static_cast<double>(status_value(server, "VmRSS")) / 1024,
             status_value(server, "Threads"));
  fmt::print("{:<28} {:>4} {:>12} {:>10} {:>10} {:>10}\n", "", "conn", "req/s", "p50 ms", "p99 ms",
             "MB/s");
  for (int connections : {1, 8, 32, 128}) measure_gets(load, "/", connections, seconds);
  measure_gets(load, "/list", 1, seconds);
  measure_watches(load, server, 2000);
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
  return 0;
}
