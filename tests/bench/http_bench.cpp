// The HTTP server under load, over TLS on loopback: requests per second of a 3 KiB GET, a spliced
// LIST of 10,000 objects, and 2,000 watches with the time one event takes to reach them all. Server
// and load generator are two processes on the same cores; the generator is one thread over epoll.
//   bench_http [seconds per row]
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/http/channel.h"
#include "net/http/tls_context.h"
#include "orch/net/http.h"

using namespace orch;
using namespace orch::net;
using Clock_ = std::chrono::steady_clock;

namespace {

double ms_since(Clock_::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock_::now() - begin).count();
}

int fail(const std::string& why) {
  fmt::print(stderr, "{}\n", why);
  return 1;
}

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

long status_value(pid_t pid, const std::string& key) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(key + ":")) return std::stol(line.substr(key.size() + 1));
  }
  return 0;
}

double cpu_seconds(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string word;
  double ticks = 0;
  for (int i = 1; i <= 15 && file >> word; ++i) {
    if (i >= 14) ticks += std::stod(word);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// ---- the load generator ----

struct Load {
  SslCtxPtr context;
  uint16_t port = 0;

  // Connected and shaken hands; then non-blocking.
  Channel dial() const {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      perror("connect");
      std::exit(1);
    }
    SslPtr ssl(SSL_new(context.get()));
    attach_socket(ssl.get(), fd);
    SSL_set_connect_state(ssl.get());
    Channel channel(fd, std::move(ssl));
    if (channel.handshake() != Io::kOk) std::exit(fail("handshake: " + channel.error()));
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return channel;
  }
};

void request(Channel& channel, std::string_view path) {
  std::string text = fmt::format("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", path);
  size_t put = 0;
  if (channel.write(text.data(), text.size(), put) != Io::kOk) std::exit(fail("write failed"));
}

// Reads what is there; returns the number of bytes.
size_t drain(Channel& channel, std::string* keep = nullptr) {
  static char buffer[64 * 1024];
  size_t total = 0, got = 0;
  while (true) {
    Io io = channel.read(buffer, sizeof buffer, got);
    if (io != Io::kOk) {
      if (io != Io::kWantRead) std::exit(fail("connection lost"));
      return total;
    }
    total += got;
    if (keep != nullptr) keep->append(buffer, got);
  }
}

struct Client {
  Channel channel;
  size_t received = 0;
  Clock_::time_point sent;
};

// Size of a whole answer, head and body.
size_t answer_size(const Load& load, std::string_view path) {
  Channel channel = load.dial();
  request(channel, path);
  std::string text;
  while (true) {
    drain(channel, &text);
    size_t end = text.find("\r\n\r\n");
    size_t length = text.find("Content-Length: ");
    if (end == std::string::npos || length == std::string::npos) continue;
    return end + 4 + std::stoul(text.substr(length + 16, 20));
  }
}

void measure_gets(const Load& load, std::string_view path, int connections, double seconds) {
  size_t size = answer_size(load, path);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(static_cast<size_t>(connections));
  for (Client& client : clients) {
    client.channel = load.dial();
    epoll_event event{EPOLLIN, {&client}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, client.channel.fd(), &event);
    client.sent = Clock_::now();
    request(client.channel, path);
  }
  std::vector<double> took;
  auto begin = Clock_::now();
  epoll_event events[64];
  while (ms_since(begin) < seconds * 1000) {
    int count = epoll_wait(epoll, events, 64, 1000);
    for (int i = 0; i < count; ++i) {
      auto& client = *static_cast<Client*>(events[i].data.ptr);
      client.received += drain(client.channel);
      if (client.received < size) continue;
      client.received -= size;
      took.push_back(ms_since(client.sent));
      client.sent = Clock_::now();
      request(client.channel, path);
    }
  }
  double elapsed = ms_since(begin) / 1000;
  ::close(epoll);
  std::sort(took.begin(), took.end());
  if (took.empty()) return;
  fmt::print("{:<28} {:>4} {:>12.0f} {:>10.3f} {:>10.3f} {:>10.1f}\n",
             fmt::format("GET {} ({} B)", path, size), connections,
             static_cast<double>(took.size()) / elapsed, took[took.size() / 2],
             took[took.size() * 99 / 100],
             static_cast<double>(took.size()) * static_cast<double>(size) / elapsed / 1e6);
}

void measure_watches(const Load& load, pid_t server, size_t watches) {
  long rss_before = status_value(server, "VmRSS");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(watches);
  auto begin = Clock_::now();
  for (Client& client : clients) {
    client.channel = load.dial();
    epoll_event event{EPOLLIN, {&client}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, client.channel.fd(), &event);
    request(client.channel, "/watch");
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
    auto sent = Clock_::now();
    request(trigger, "/event");
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
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
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
  Load load;
  if (::read(ends[0], &load.port, sizeof load.port) != sizeof load.port) return fail("no server");
  TlsClientContext::Options options;
  options.ca_pem = ca->certificate_pem;
  auto context = TlsClientContext::create(options);
  if (!context) return fail(context.error());
  load.context = static_cast<TlsClientContextImpl*>(context->get())->current();
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
