// port-forward: local ports that lead to a pod's, each connection a pair of SPDY streams
// (KEP-4006).
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "ctl/pods.h"
#include "ctl/websocket.h"
#include "ctl/write.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

struct Forward {
  uint16_t local = 0, remote = 0;
};

struct Listener {
  int fd = -1;
  uint16_t remote = 0;
};

// A local connection: the thread that reads it owns the descriptor's end of life.
struct Connection {
  int fd = -1;
  uint32_t data = 0, error = 0;
};

// The tunnel and its connections. Readers of local sockets and the receiving thread share it.
class Tunnel {
 public:
  explicit Tunnel(std::unique_ptr<net::SpdyClient> spdy) : spdy_(std::move(spdy)) {}

  // Takes over a connection that was accepted; runs on its own thread until it ends.
  void serve(int fd, uint16_t remote) {
    Connection connection{fd};
    if (!open(connection, remote)) {
      ::close(fd);
      return;
    }
    std::array<char, 32 * 1024> bytes;
    for (;;) {
      const ssize_t count = ::read(fd, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      if (!spdy_->write(connection.data, {bytes.data(), static_cast<size_t>(count)})) break;
    }
    // A refusal, like that of a closed stream, was told by the receiver.
    (void)spdy_->finish(connection.data);
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return !connections_.contains(connection.data); });
    lock.unlock();
    ::close(fd);
  }

  // Until the tunnel breaks; then why.
  std::string receive() {
    for (;;) {
      auto event = spdy_->receive();
      if (!event || !*event) {
        close_all();
        return event ? "lost connection to pod" : event.error();
      }
      take(**event);
    }
  }

 private:
  bool open(Connection& connection, uint16_t remote) {
    std::lock_guard lock(mutex_);
    const std::string id = std::to_string(next_id_++);
    net::Headers headers{
        {"streamtype", "error"}, {"port", std::to_string(remote)}, {"requestid", id}};
    auto error_stream = spdy_->open(headers);
    if (!error_stream) return false;
    connection.error = *error_stream;
    (void)spdy_->finish(connection.error);  // nothing is ever sent there
    headers.erase("streamtype");
    headers.emplace("streamtype", "data");
    auto data = spdy_->open(headers);
    if (!data) return false;
    connection.data = *data;
    connections_[connection.data] = connection;
    error_ports_[connection.error] = {connection.data, remote};
    return true;
  }

  void take(const net::SpdyClient::Event& event) {
    std::lock_guard lock(mutex_);
    if (const auto failed = error_ports_.find(event.stream); failed != error_ports_.end()) {
      if (!event.bytes.empty()) {
        fmt::print(stderr, "error: an error occurred forwarding to port {}: {}\n",
                   failed->second.second, event.bytes);
        end(failed->second.first);
      }
      if (event.end || event.reset) error_ports_.erase(failed);
      return;
    }
    const auto found = connections_.find(event.stream);
    if (found == connections_.end()) return;
    std::string_view bytes = event.bytes;
    while (!bytes.empty()) {
      const ssize_t count = ::send(found->second.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        (void)spdy_->reset(event.stream);
        end(event.stream);
        return;
      }
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    if (event.end || event.reset) end(event.stream);
  }

  // Wakes the thread that serves it. With mutex_ held.
  void end(uint32_t data) {
    const auto found = connections_.find(data);
    if (found == connections_.end()) return;
    ::shutdown(found->second.fd, SHUT_RDWR);
    connections_.erase(found);
    ended_.notify_all();
  }

  void close_all() {
    std::lock_guard lock(mutex_);
    while (!connections_.empty()) end(connections_.begin()->first);
  }

  std::unique_ptr<net::SpdyClient> spdy_;
  std::mutex mutex_;
  std::condition_variable ended_;
  uint64_t next_id_ = 0;
  std::map<uint32_t, Connection> connections_;                     // by data stream
  std::map<uint32_t, std::pair<uint32_t, uint16_t>> error_ports_;  // error stream: data, port
};

// A container's port by number or name.
Outcome<uint16_t> pod_port(const JsonValue& pod, const std::string& text) {
  if (const auto number = parse_int(text); number && *number > 0 && *number < 65536) {
    return static_cast<uint16_t>(*number);
  }
  for (const JsonValue& container : pod.at("spec.containers").items()) {
    for (const JsonValue& port : container.get("ports").items()) {
      if (port.get("name").text() == text) {
        return static_cast<uint16_t>(port.get("containerPort").number());
      }
    }
  }
  return Err(error(fmt::format("Pod '{}' does not have a named port '{}'",
                               pod.at("metadata.name").text(), text)));
}

// A Service's port is where its pods listen.
Outcome<std::string> target_port(const JsonValue& service, const std::string& text) {
  const auto number = parse_int(text);
  for (const JsonValue& port : service.at("spec.ports").items()) {
    const bool same =
        number ? port.get("port").number() == *number : port.get("name").text() == text;
    if (!same) continue;
    const std::string target = port.get("targetPort").text();
    if (service.at("spec.clusterIP").text() == "None" || target.empty() || target == "0") {
      return std::to_string(port.get("port").number());
    }
    return target;
  }
  return Err(error(fmt::format("Service {} does not have a service port {}",
                               service.at("metadata.name").text(), text)));
}

// "8080", "8080:80", ":80".
Outcome<Forward> parse_forward(const JsonValue& pod, const JsonValue& service,
                               const std::string& text) {
  const size_t colon = text.find(':');
  const std::string local = text.substr(0, colon);
  std::string remote = colon == std::string::npos ? text : text.substr(colon + 1);
  if (!service.is_null()) {
    ORCH_TRY(remote, target_port(service, remote));
  }
  ORCH_TRY(const uint16_t to, pod_port(pod, remote));
  const auto from = colon == std::string::npos && !parse_int(local) ? std::optional<int64_t>(to)
                    : local.empty()                                 ? std::optional<int64_t>(0)
                                                                    : parse_int(local);
  if (!from || *from < 0 || *from > 65535) {
    return Err(
        error(fmt::format("error parsing local port \"{0}\": strconv.ParseUint: parsing "
                          "\"{0}\": invalid syntax",
                          local)));
  }
  return Forward{static_cast<uint16_t>(*from), to};
}

Outcome<Listener> listen_at(const std::string& address, Forward& forward) {
  const bool v6 = address.find(':') != std::string::npos;
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (v6) {
    auto* to = reinterpret_cast<sockaddr_in6*>(&storage);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(forward.local);
    if (inet_pton(AF_INET6, address.c_str(), &to->sin6_addr) != 1) size = 0;
    size = sizeof *to;
  } else {
    auto* to = reinterpret_cast<sockaddr_in*>(&storage);
    to->sin_family = AF_INET;
    to->sin_port = htons(forward.local);
    if (inet_pton(AF_INET, address.c_str(), &to->sin_addr) != 1) {
      return Err(error(fmt::format("{} is not a valid IP", address)));
    }
    size = sizeof *to;
  }
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  auto failed = [&]() -> Outcome<Listener> {
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    return Err(error(fmt::format("unable to listen on port {}: listen tcp {}:{}: {}", forward.local,
                                 address, forward.local, why)));
  };
  if (fd < 0) return failed();
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (v6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), size) != 0 || ::listen(fd, 64) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return failed();
  }
  forward.local = ntohs(v6 ? reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port
                           : reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
  fmt::print("Forwarding from {}:{} -> {}\n", v6 ? fmt::format("[{}]", address) : address,
             forward.local, forward.remote);
  std::fflush(stdout);
  return Listener{fd, forward.remote};
}

Outcome<std::vector<Listener>> listen_all(const Flags& flags, std::vector<Forward> forwards) {
  std::vector<Listener> out;
  for (const std::string& listed : split(flags.text("address"), ',')) {
    const bool localhost = listed == "localhost";
    for (Forward& forward : forwards) {
      ORCH_TRY(const Listener listener, listen_at(localhost ? "127.0.0.1" : listed, forward));
      out.push_back(listener);
      if (!localhost) continue;
      // Where there is no IPv6, IPv4 alone will do.
      if (auto both = listen_at("::1", forward)) out.push_back(*both);
    }
  }
  return out;
}

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  const auto& args = flags.args();
  if (args.size() < 2) {
    return Err(usage_error(session, "port-forward",
                           "TYPE/NAME and list of ports are required for port-forward"));
  }
  JsonValue service;
  if (args[0].find('/') != std::string::npos) {
    ORCH_TRY(const auto named, session.targets({args[0]}));
    if (named[0].resource->kind == "Service") {
      ORCH_TRY(service, session.fetch(named[0]));
    }
  }
  ORCH_TRY(const JsonValue pod, pick_pod(session, args[0]));
  if (const std::string phase = pod.at("status.phase").text(); phase != "Running") {
    return Err(error(fmt::format(
        "unable to forward port because pod is not running. Current status={}", phase)));
  }
  std::vector<Forward> forwards;
  for (size_t i = 1; i < args.size(); ++i) {
    ORCH_TRY(const Forward forward, parse_forward(pod, service, args[i]));
    forwards.push_back(forward);
  }
  ORCH_TRY(ApiClient * client, session.api());
  const std::string target = fmt::format("/api/v1/namespaces/{}/pods/{}/portforward",
                                         net::url_encode(pod.at("metadata.namespace").text()),
                                         net::url_encode(pod.at("metadata.name").text()));
  ORCH_TRY(auto spdy, open_port_forward(*client, target));
  auto tunnel = std::make_shared<Tunnel>(std::move(spdy));
  ORCH_TRY(const auto listeners, listen_all(flags, forwards));
  // Accepting ends with the process: a broken tunnel ends it.
  std::thread([tunnel, listeners] {
    std::vector<pollfd> waiting;
    for (const Listener& one : listeners) waiting.push_back({one.fd, POLLIN, 0});
    for (;;) {
      if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
      for (size_t i = 0; i < waiting.size(); ++i) {
        if (waiting[i].revents == 0) continue;
        const int fd = ::accept4(waiting[i].fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        fmt::print("Handling connection for {}\n", listeners[i].remote);
        std::fflush(stdout);
        std::thread([tunnel, fd, remote = listeners[i].remote] {
          tunnel->serve(fd, remote);
        }).detach();
      }
    }
  }).detach();
  const std::string why = tunnel->receive();
  print_failure(error(why));
  std::fflush(stdout);
  std::_Exit(1);  // the threads above would outlive what they use
}

}  // namespace

Verb port_forward_verb() {
  using Kind = Flag::Kind;
  return {"port-forward",
          "Forward local ports to a pod",
          "port-forward (POD | TYPE/NAME) [LOCAL:]REMOTE...",
          {{"address", 0, Kind::kText, "localhost", "local addresses to listen at, a,b"},
           {"pod-running-timeout", 0, Kind::kText, "1m0s", "for kubectl's sake"}},
          run};
}

}  // namespace orch::ctl
