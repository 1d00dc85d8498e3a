#include "bench/load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

namespace orch::bench {

using net::Channel;
using net::Io;

double ms_since(Steady::time_point begin) {
  return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

int fail(const std::string& why) {
  fmt::print(stderr, "{}\n", why);
  return 1;
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

void raise_file_limit() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

Load Load::create(const net::TlsClientContext::Options& options, uint16_t port) {
  auto context = net::TlsClientContext::create(options);
  if (!context) std::exit(fail(context.error()));
  const auto current = static_cast<net::TlsClientContextImpl*>(context->get())->current();
  SSL_CTX_set_default_read_buffer_len(current.get(), 128 * 1024);  // several records a call
  return {current, port};
}

Channel Load::dial() const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    std::exit(fail(fmt::format("connect to port {}: {}", port, std::strerror(errno))));
  }
  net::SslPtr ssl(SSL_new(context.get()));
  net::attach_socket(ssl.get(), fd);
  SSL_set_connect_state(ssl.get());
  Channel channel(fd, std::move(ssl));
  if (channel.handshake() != Io::kOk) std::exit(fail("handshake: " + channel.error()));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return channel;
}

void send(Channel& channel, std::string_view text) {
  while (!text.empty()) {
    size_t put = 0;
    const Io io = channel.write(text.data(), text.size(), put);
    if (io == Io::kWantWrite || io == Io::kWantRead) {
      pollfd wait{channel.fd(), POLLOUT, 0};
      ::poll(&wait, 1, 1000);
      continue;
    }
    if (io != Io::kOk) std::exit(fail("write failed: " + channel.error()));
    text.remove_prefix(put);
  }
}

size_t drain(Channel& channel, std::string* keep) {
  static char buffer[64 * 1024];
  size_t total = 0, got = 0;
  while (true) {
    const Io io = channel.read(buffer, sizeof buffer, got);
    if (io != Io::kOk) {
      if (io != Io::kWantRead) std::exit(fail("connection lost"));
      return total;
    }
    total += got;
    if (keep != nullptr) keep->append(buffer, got);
  }
}

std::string request_text(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view type) {
  std::string text =
      fmt::format("{} {} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n", method, path);
  if (!body.empty()) {
    text += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", type, body.size());
  }
  return text + "\r\n" + std::string(body);
}

namespace {

// Where the answer that begins `text` ends; 0 while it is not whole.
size_t answer_end(std::string_view text) {
  const size_t head = text.find("\r\n\r\n");
  if (head == text.npos) return 0;
  const std::string_view headers = text.substr(0, head + 2);
  if (const size_t at = headers.find("\r\nContent-Length: "); at != headers.npos) {
    const size_t end = head + 4 + std::strtoul(headers.data() + at + 18, nullptr, 10);
    return text.size() >= end ? end : 0;
  }
  return text.ends_with("\r\n0\r\n\r\n") ? text.size() : 0;
}

}  // namespace

Answer ask(Channel& channel, const std::string& request) {
  Answer answer;
  const auto begin = Steady::now();
  send(channel, request);
  std::string text;
  // The end of a long answer is told by its length, not searched for in every part.
  size_t end = 0, wanted = 0;
  while (end == 0) {
    pollfd wait{channel.fd(), POLLIN, 0};
    if (!channel.buffered() && ::poll(&wait, 1, 30'000) <= 0) std::exit(fail("no answer"));
    const bool first = text.empty();
    if (drain(channel, &text) > 0 && first) answer.first_byte_ms = ms_since(begin);
    if (wanted == 0) {
      const size_t head = text.find("\r\n\r\n");
      const size_t at = text.find("\r\nContent-Length: ");
      if (head != text.npos && at < head) {
        wanted = head + 4 + std::strtoul(text.data() + at + 18, nullptr, 10);
      }
    }
    if (wanted == 0) {
      end = answer_end(text);
    } else if (text.size() >= wanted) {
      end = wanted;
    }
  }
  answer.ms = ms_since(begin);
  answer.status = std::atoi(text.c_str() + 9);
  answer.body = text.substr(text.find("\r\n\r\n") + 4);
  return answer;
}

Skimmed skim(Channel& channel, const std::string& request) {
  Skimmed answer;
  const auto begin = Steady::now();
  send(channel, request);
  std::string head;
  size_t body = 0, wanted = std::string::npos;
  while (body < wanted) {
    pollfd wait{channel.fd(), POLLIN, 0};
    if (!channel.buffered() && ::poll(&wait, 1, 30'000) <= 0) std::exit(fail("no answer"));
    const bool first = head.empty();
    const size_t got = drain(channel, wanted == std::string::npos ? &head : nullptr);
    if (got > 0 && first) answer.first_byte_ms = ms_since(begin);
    if (wanted != std::string::npos) {
      body += got;
      continue;
    }
    const size_t end = head.find("\r\n\r\n"), at = head.find("\r\nContent-Length: ");
    if (end == head.npos) continue;
    if (at > end) std::exit(fail("an answer without Content-Length"));
    wanted = std::strtoul(head.data() + at + 18, nullptr, 10);
    body = head.size() - end - 4;
  }
  answer.ms = ms_since(begin);
  answer.status = std::atoi(head.c_str() + 9);
  answer.bytes = body;
  return answer;
}

Rates summarise(std::vector<double>& took_ms, double seconds) {
  if (took_ms.empty()) return {};
  std::sort(took_ms.begin(), took_ms.end());
  return {seconds > 0 ? static_cast<double>(took_ms.size()) / seconds : 0,
          took_ms[took_ms.size() / 2], took_ms[took_ms.size() * 99 / 100]};
}

Rates closed_loop(const Load& load, int connections, double seconds,
                  const std::function<std::string()>& next) {
  struct Client {
    Channel channel;
    std::string received;
    Steady::time_point sent;
  };
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(static_cast<size_t>(connections));
  for (Client& client : clients) {
    client.channel = load.dial();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    epoll_ctl(epoll, EPOLL_CTL_ADD, client.channel.fd(), &event);
  }
  const auto begin = Steady::now();
  for (Client& client : clients) {
    client.sent = Steady::now();
    send(client.channel, next());
  }
  std::vector<double> took;
  epoll_event events[64];
  while (ms_since(begin) < seconds * 1000) {
    const int count = epoll_wait(epoll, events, 64, 1000);
    for (int i = 0; i < count; ++i) {
      auto& client = *static_cast<Client*>(events[i].data.ptr);
      drain(client.channel, &client.received);
      if (answer_end(client.received) == 0) continue;
      if (client.received[9] != '2') std::exit(fail("refused: " + client.received));
      took.push_back(ms_since(client.sent));
      client.received.clear();
      client.sent = Steady::now();
      send(client.channel, next());
    }
  }
  const double elapsed = ms_since(begin) / 1000;
  ::close(epoll);
  return summarise(took, elapsed);
}

}  // namespace orch::bench
