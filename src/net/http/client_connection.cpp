#include "net/http/client_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "net/http/out_queue.h"
#include "orch/base/strings.h"

namespace orch::net {
namespace {

constexpr size_t kResponseHeadMax = 1024 * 1024;
constexpr Seconds kKeptFor{60};  // less than servers' idle time limits

struct Target {
  int family = AF_UNSPEC;
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;  // "127.0.0.1:6443", for errors
};

Target numeric_target(int family, const void* address, uint16_t port) {
  Target target;
  target.family = family;
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family, address, text, sizeof text);
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&target.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, address, sizeof v4->sin_addr);
    target.size = sizeof *v4;
    target.text = std::string(text) + ":" + std::to_string(port);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&target.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, address, sizeof v6->sin6_addr);
    target.size = sizeof *v6;
    target.text = "[" + std::string(text) + "]:" + std::to_string(port);
  }
  return target;
}

Result<std::vector<Target>, std::string> resolve(const Endpoint& endpoint) {
  std::vector<Target> targets;
  if (!endpoint.unix_path.empty()) {
    Target target;
    auto* address = reinterpret_cast<sockaddr_un*>(&target.storage);
    if (endpoint.unix_path.size() >= sizeof address->sun_path) {
      return Err("dial unix " + endpoint.unix_path + ": path too long");
    }
    target.family = address->sun_family = AF_UNIX;
    memcpy(address->sun_path, endpoint.unix_path.data(), endpoint.unix_path.size());
    target.size = sizeof *address;
    target.text = endpoint.unix_path;
    targets.push_back(std::move(target));
    return targets;
  }
  auto port = parse_int(endpoint.port);
  if (!port || *port < 1 || *port > 65535) {
    return Err("dial tcp: address " + endpoint.port + ": invalid port");
  }
  unsigned char address[16];
  auto number = static_cast<uint16_t>(*port);
  if (inet_pton(AF_INET, endpoint.host.c_str(), address) == 1) {
    targets.push_back(numeric_target(AF_INET, address, number));
    return targets;
  }
  if (inet_pton(AF_INET6, endpoint.host.c_str(), address) == 1) {
    targets.push_back(numeric_target(AF_INET6, address, number));
    return targets;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  int failure = getaddrinfo(endpoint.host.c_str(), nullptr, &hints, &found);
  if (failure != 0) {
    std::string why =
        failure == EAI_NONAME || failure == EAI_NODATA ? "no such host" : gai_strerror(failure);
    return Err("dial tcp: lookup " + endpoint.host + ": " + why);
  }
  for (addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      targets.push_back(numeric_target(
          AF_INET, &reinterpret_cast<sockaddr_in*>(entry->ai_addr)->sin_addr, number));
    } else if (entry->ai_family == AF_INET6) {
      targets.push_back(numeric_target(
          AF_INET6, &reinterpret_cast<sockaddr_in6*>(entry->ai_addr)->sin6_addr, number));
    }
  }
  freeaddrinfo(found);
  if (targets.empty()) return Err("dial tcp: lookup " + endpoint.host + ": no such host");
  return targets;
}

// Waits in slices, so that a cancel is seen during a connect, too.
Result<Unit, std::string> wait_connected(int fd, MonoTime deadline, CancelHandle* cancel) {
  pollfd entry{fd, POLLOUT, 0};
  while (true) {
    if (cancel != nullptr && cancel->cancelled()) return Err(std::string("operation was canceled"));
    auto left = std::chrono::ceil<Millis>(deadline - system_clock().mono()).count();
    if (left <= 0) return Err(std::string("i/o timeout"));
    int slice = static_cast<int>(cancel != nullptr ? std::min<int64_t>(left, 100) : left);
    if (::poll(&entry, 1, slice) > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == ETIMEDOUT) return Err(std::string("connect: connection timed out"));
  if (error != 0) return Err("connect: " + system_error_text(error));
  return Unit{};
}

Result<int, std::string> connect_to(const Target& target, MonoTime deadline, CancelHandle* cancel) {
  std::string dial = target.family == AF_UNIX ? "dial unix " : "dial tcp ";
  int fd = ::socket(target.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Err(dial + target.text + ": socket: " + system_error_text(errno));
  if (target.family != AF_UNIX) {
    int one = 1, idle = 30;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
  }
  int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&target.storage), target.size);
  std::string failure;
  if (result != 0 && errno != EINPROGRESS) {
    failure = "connect: " + system_error_text(errno);
  } else if (result != 0) {
    if (auto connected = wait_connected(fd, deadline, cancel); !connected) {
      failure = connected.error();
    }
  }
  if (failure.empty()) return fd;
  ::close(fd);
  return Err(dial + target.text + ": " + failure);
}

bool is_ip_address(const std::string& text) {
  unsigned char address[16];
  return inet_pton(AF_INET, text.c_str(), address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address) == 1;
}

// Keeps the peer's certificate when its names do not fit: OpenSSL forgets it, Go's error text names
// what it is for.
int remember_mismatch(int ok, X509_STORE_CTX* store) {
  int error = X509_STORE_CTX_get_error(store);
  if (ok != 0 ||
      (error != X509_V_ERR_HOSTNAME_MISMATCH && error != X509_V_ERR_IP_ADDRESS_MISMATCH)) {
    return ok;
  }
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), X509_STORE_CTX_get_current_cert(store));
  *static_cast<std::string*>(SSL_get_app_data(ssl)) = bio_text(bio.get());
  return 0;
}

// `mismatched` outlives the handshake.
Result<SslPtr, std::string> make_ssl(const TlsClientContextImpl& tls, SSL_CTX* context, int fd,
                                     const std::string& name, std::string& mismatched) {
  SslPtr ssl(SSL_new(context));
  if (!ssl || !attach_socket(ssl.get(), fd)) return Err(openssl_failure("tls"));
  SSL_set_connect_state(ssl.get());
  if (tls.verifies()) {
    SSL_set_app_data(ssl.get(), &mismatched);
    SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, remember_mismatch);
  }
  if (is_ip_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), name.c_str());
  } else {
    SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl.get(), name.c_str());
    SSL_set_tlsext_host_name(ssl.get(), name.c_str());
  }
  return ssl;
}

std::string name_mismatch_text(const std::string& certificate_pem, const std::string& name) {
  auto info = parse_certificate(certificate_pem);
  if (!info) return info.error();
  bool ip = is_ip_address(name);
  const std::vector<std::string>& names = ip ? info->ip_addresses : info->dns_names;
  std::string prefix = "tls: failed to verify certificate: x509: ";
  if (!names.empty()) {
    return prefix + "certificate is valid for " + join(names, ", ") + ", not " + name;
  }
  if (ip) {
    return prefix + "cannot validate certificate for " + name +
           " because it doesn't contain any IP SANs";
  }
  return prefix + "certificate is not valid for any names, but wanted to match " + name;
}

std::string handshake_error_text(const std::string& text, const std::string& mismatched,
                                 const std::string& name) {
  if (!mismatched.empty()) return name_mismatch_text(mismatched, name);
  if (text == "context deadline exceeded") return "net/http: TLS handshake timeout";
  if (text == "tls: first record does not look like a TLS handshake") {
    return "http: server gave HTTP response to HTTPS client";
  }
  return text;
}

}  // namespace

void CancelHandle::cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (auto socket = socket_.lock()) socket->close();
}

bool CancelHandle::watch(const std::shared_ptr<Socket>& socket) {
  std::lock_guard lock(mutex_);
  socket_ = socket;
  return !cancelled_;
}

bool CancelHandle::cancelled() const {
  std::lock_guard lock(mutex_);
  return cancelled_;
}

Result<Endpoint, std::string> parse_base_url(std::string_view url) {
  Endpoint endpoint;
  auto invalid = [&](const char* why) { return Err("parse \"" + std::string(url) + "\": " + why); };
  if (url.starts_with("unix://")) {
    endpoint.unix_path = url.substr(7);
    endpoint.host = endpoint.host_header = "localhost";
    return endpoint;
  }
  std::string_view rest = url;
  if (url.starts_with("https://")) {
    endpoint.tls = true;
    rest.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return invalid("unsupported protocol scheme");
  }
  size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string_view path = rest.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  endpoint.base_path = path;
  endpoint.port = endpoint.tls ? "443" : "80";
  std::string_view port;
  if (authority.starts_with('[')) {
    size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return invalid("missing ']' in host");
    endpoint.host = authority.substr(1, bracket - 1);
    port = authority.substr(bracket + 1);
  } else {
    size_t colon = std::min(authority.find(':'), authority.size());
    endpoint.host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (port.size() > 1 && port.front() == ':') endpoint.port = port.substr(1);
  bool token = std::none_of(authority.begin(), authority.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == '@' || c == '?' || c == '#';
  });
  if (endpoint.host.empty() || !token) return invalid("invalid host");
  endpoint.host_header = authority;
  return endpoint;
}

Result<std::unique_ptr<ClientConnection>, std::string> ClientConnection::dial(
    const Endpoint& endpoint, const HttpClientOptions& options, CancelHandle* cancel) {
  MonoTime deadline = system_clock().mono() + options.connect_timeout;
  ORCH_TRY(std::vector<Target> targets, resolve(endpoint));
  Result<int, std::string> fd = Err(std::string("dial tcp: no address"));
  for (const Target& target : targets) {
    fd = connect_to(target, deadline, cancel);
    if (fd) break;
  }
  if (!fd) return Err(fd.error());
  SslPtr ssl;
  SslCtxPtr context;
  uint64_t generation = 0;
  const std::string& name = options.server_name.empty() ? endpoint.host : options.server_name;
  std::string mismatched;
  if (endpoint.tls) {
    const auto& tls = static_cast<const TlsClientContextImpl&>(*options.tls);
    generation = tls.generation();
    context = tls.current();
    auto made = make_ssl(tls, context.get(), *fd, name, mismatched);
    if (!made) {
      ::close(*fd);
      return Err(made.error());
    }
    ssl = std::move(*made);
  }
  auto socket = std::make_shared<Socket>(Channel(*fd, std::move(ssl)));
  if (cancel != nullptr && !cancel->watch(socket)) return Err(std::string("context canceled"));
  if (endpoint.tls) {
    if (auto done = socket->handshake(deadline); !done) {
      return Err(handshake_error_text(done.error(), mismatched, name));
    }
  }
  std::unique_ptr<ClientConnection> connection(new ClientConnection(std::move(socket)));
  connection->tls_ = std::move(context);
  connection->tls_generation_ = generation;
  return connection;
}

bool ClientConnection::usable_again(uint64_t tls_generation, MonoTime now) const {
  return tls_generation == tls_generation_ && now - kept_at_ < kKeptFor && in_.empty() &&
         socket_->idle_and_open();
}

Result<Unit, ExchangeError> ClientConnection::send(std::string_view head, std::string_view body,
                                                   Socket::Deadline deadline) {
  reusable_ = false;
  std::string joined;
  Result<Unit, std::string> sent = Unit{};
  if (head.size() + body.size() <= kRecordBytes) {
    joined.append(head).append(body);
    sent = socket_->write_all(joined, deadline);
  } else {
    sent = socket_->write_all(head, deadline);
    if (sent) sent = socket_->write_all(body, deadline);
  }
  if (sent || sent.error() == "context deadline exceeded") {
    if (sent) return Unit{};
    return Err(ExchangeError{sent.error(), false});
  }
  // An early refusal (413) may wait to be read although the peer takes no more.
  if (socket_->closed()) return Err(ExchangeError{sent.error(), false});
  auto got = fill(system_clock().mono() + Millis{500});
  if (got && *got > 0) return Unit{};
  return Err(ExchangeError{sent.error(), used_});
}

Result<size_t, std::string> ClientConnection::fill(Socket::Deadline deadline) {
  char buffer[kRecordBytes];
  ORCH_TRY(size_t got, socket_->read(buffer, sizeof buffer, deadline));
  in_.append(buffer, got);
  return got;
}

Result<ResponseHead, ExchangeError> ClientConnection::receive_head(Socket::Deadline deadline) {
  size_t scanned = 0;
  bool any = !in_.empty();
  while (true) {
    size_t end = find_head_end(in_, scanned);
    if (end == std::string::npos) {
      if (in_.size() > kResponseHeadMax) {
        return Err(ExchangeError{"net/http: server response headers exceeded 1048576 bytes"});
      }
      auto got = fill(deadline);
      if (!got) {
        bool timed_out = got.error() == "context deadline exceeded" || socket_->closed();
        return Err(ExchangeError{got.error(), used_ && !any && !timed_out});
      }
      if (*got == 0) return Err(ExchangeError{any ? "unexpected EOF" : "EOF", used_ && !any});
      any = true;
      continue;
    }
    auto head = parse_response_head(std::string_view(in_).substr(0, end));
    if (!head) return Err(ExchangeError{head.error()});
    in_.erase(0, end);
    scanned = 0;
    used_ = true;
    // 100 Continue and its like come before the answer.
    if (head->status >= 200 || head->status == 101) return std::move(*head);
  }
}

Result<Unit, std::string> ClientConnection::chunked_body(
    const std::function<bool(std::string_view)>& sink, Socket::Deadline deadline) {
  ChunkDecoder decoder;
  std::string payload;
  while (true) {
    payload.clear();
    auto used = decoder.decode(in_, payload, UINT64_MAX / 2);
    if (!used) return Err(used.error().message);
    in_.erase(0, *used);
    if (!payload.empty() && !sink(payload)) return Unit{};
    if (decoder.done()) {
      reusable_ = true;
      return Unit{};
    }
    ORCH_TRY(size_t got, fill(deadline));
    if (got == 0) return Err(std::string("unexpected EOF"));
  }
}

Result<Unit, std::string> ClientConnection::receive_body(
    const ResponseHead& head, bool no_body, const std::function<bool(std::string_view)>& sink,
    Socket::Deadline deadline) {
  Result<Unit, std::string> result = Unit{};
  if (no_body || head.status == 204 || head.status == 304) {
    reusable_ = true;
  } else if (head.framing.chunked) {
    result = chunked_body(sink, deadline);
  } else {
    bool to_the_end = !head.framing.length;
    uint64_t left = head.framing.length.value_or(UINT64_MAX);
    while (left > 0) {
      if (in_.empty()) {
        ORCH_TRY(size_t got, fill(deadline));
        if (got == 0 && to_the_end) return Unit{};
        if (got == 0) return Err(std::string("unexpected EOF"));
      }
      size_t take = static_cast<size_t>(std::min<uint64_t>(left, in_.size()));
      bool go_on = sink(std::string_view(in_).substr(0, take));
      in_.erase(0, take);
      left -= take;
      if (!go_on) return Unit{};
    }
    reusable_ = true;
  }
  reusable_ = reusable_ && head.keep_alive && in_.empty();
  return result;
}

std::unique_ptr<RawConnection> ClientConnection::release() {
  socket_->unread(std::exchange(in_, {}));
  return raw_connection(socket_);
}

}  // namespace orch::net
