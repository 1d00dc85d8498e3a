#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <memory>

#include "agent/cri/channel.h"
#include "agent/probes/probe.h"
#include "orch/base/strings.h"
#include "orch/net/http.h"
#include "orch/net/tls.h"

namespace orch::agent {
namespace {

constexpr int kRedirectsMax = 10;

std::string host_port(const std::string& host, int32_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

// "" = connected.
std::string connect_error(const std::string& host, int32_t port, Seconds timeout) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
      code != 0) {
    return fmt::format("dial tcp: lookup {}: {}", host, ::gai_strerror(code));
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, ::freeaddrinfo);
  const std::string what = "dial tcp " + host_port(host, port) + ": ";
  int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return what + std::strerror(errno);
  int code = 0;
  if (::connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
    code = errno;
    if (code == EINPROGRESS) {
      pollfd p{fd, POLLOUT, 0};
      socklen_t size = sizeof code;
      if (::poll(&p, 1, static_cast<int>(Millis(timeout).count())) <= 0) {
        ::close(fd);
        return what + "i/o timeout";
      }
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
    }
  }
  // A reset in place of TIME_WAIT: probes are many.
  linger hard{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::close(fd);
  if (code == 0) return "";
  return what + "connect: " + to_lower(std::strerror(code));
}

net::Headers probe_headers(const std::vector<corev1::HTTPHeader>& headers) {
  net::Headers sent;
  for (const auto& header : headers) sent.emplace(header.name, header.value);
  if (net::header(sent, "User-Agent").empty()) sent.emplace("User-Agent", "kube-probe/1.32");
  if (net::header(sent, "Accept").empty()) sent.emplace("Accept", "*/*");
  sent.emplace("Connection", "close");
  return sent;
}

// "scheme://host:port" of a URL, and what follows.
std::pair<std::string, std::string> split_url(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t path = url.find_first_of("/?#", scheme == std::string::npos ? 0 : scheme + 3);
  if (path == std::string::npos) return {url, "/"};
  return {url.substr(0, path), (url[path] == '/' ? "" : "/") + url.substr(path)};
}

// Lower case, with the scheme's port where none is named, so that it can be compared and asked.
std::string host_of(const std::string& origin) {
  std::string rest = origin.substr(origin.find("://") + 3);
  if (const size_t user = rest.rfind('@'); user != std::string::npos) rest.erase(0, user + 1);
  const size_t colon = rest.rfind(':');
  const size_t bracket = rest.rfind(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    rest.resize(colon);
  }
  return to_lower(rest);
}

Result<net::HttpResult, std::string> get(const std::string& url, const net::Headers& headers,
                                         Millis timeout) {
  const auto [origin, target] = split_url(url);
  net::HttpClientOptions options;
  options.base_url = origin;
  options.connect_timeout = options.request_timeout = timeout;
  options.connections_max = 0;
  if (origin.starts_with("https:")) {
    net::TlsClientContext::Options tls;
    tls.insecure_skip_verify = true;  // as the kubelet: probes test that it answers
    ORCH_TRY(options.tls, net::TlsClientContext::create(tls));
  }
  return net::HttpClient::create(options)->request("GET", target, headers, "");
}

}  // namespace

std::string redirect_target(const std::string& url, int status, std::string_view location) {
  const bool redirect =
      status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  if (!redirect || location.empty()) return "";
  const auto [origin, target] = split_url(url);
  std::string next(location.substr(0, location.find('#')));
  if (next.starts_with("//")) next = origin.substr(0, origin.find("://") + 1) + next;
  if (next.starts_with("http://") || next.starts_with("https://")) {
    return host_of(split_url(next).first) == host_of(origin) ? next : "";
  }
  if (next.find("://") < next.find_first_of("/?")) return "";  // another scheme
  if (next.starts_with('/')) return origin + next;
  const std::string folder = target.substr(0, target.find('?'));
  return origin + folder.substr(0, folder.rfind('/') + 1) + next;
}

ProbeOutcome probe_tcp(const std::string& host, int32_t port, Seconds timeout) {
  std::string error = connect_error(host, port, timeout);
  if (error.empty()) return {ProbeOutcome::Result::kSuccess, ""};
  return {ProbeOutcome::Result::kFailure, std::move(error)};
}

ProbeOutcome probe_http(const std::string& scheme, const std::string& host, int32_t port,
                        const std::string& path, const std::vector<corev1::HTTPHeader>& headers,
                        Seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const net::Headers sent = probe_headers(headers);
  std::string url = fmt::format("{}://{}{}{}", to_lower(scheme), host_port(host, port),
                                path.starts_with('/') ? "" : "/", path);
  for (int redirects = 0;; ++redirects) {
    const auto left =
        std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    auto result = get(url, sent, std::max(left, Millis{1}));
    if (!result) {
      return {ProbeOutcome::Result::kFailure, fmt::format("Get \"{}\": {}", url, result.error())};
    }
    if (result->status < 200 || result->status >= 400) {
      return {ProbeOutcome::Result::kFailure,
              fmt::format("HTTP probe failed with statuscode: {}", result->status)};
    }
    const std::string next =
        redirect_target(url, result->status, net::header(result->headers, "Location"));
    // A redirect to another host is not followed: what a pod answers must not make the node ask
    // elsewhere. It answered; that is a success.
    if (next.empty()) return {ProbeOutcome::Result::kSuccess, ""};
    if (redirects + 1 >= kRedirectsMax) {
      return {ProbeOutcome::Result::kFailure,
              fmt::format("Get \"{}\": stopped after {} redirects", next, kRedirectsMax)};
    }
    url = next;
  }
}

// grpc.health.v1: HealthCheckRequest{service = 1}, HealthCheckResponse{status = 1; SERVING = 1}.
ProbeOutcome probe_grpc(const std::string& host, int32_t port, const std::string& service,
                        Seconds timeout) {
  const bool v6 = host.find(':') != std::string::npos;
  auto channel = cri::Channel::create((v6 ? "ipv6:" : "ipv4:") + host_port(host, port));
  std::string request;
  if (!service.empty() && service.size() < 128) {
    request = "\x0a";
    request += static_cast<char>(service.size());
    request += service;
  }
  std::promise<Result<std::string, Error>> promise;
  auto answer = promise.get_future();
  channel->call_bytes("/grpc.health.v1.Health/Check", request, Millis(timeout),
                      [&](Result<std::string, Error> r) { promise.set_value(std::move(r)); });
  auto result = answer.get();
  if (!result) {
    if (result.error().code == Error::Code::kTimeout) {
      return {ProbeOutcome::Result::kFailure,
              fmt::format("timeout: failed to connect service \"{}\" within {}s: context deadline "
                          "exceeded",
                          host_port(host, port), timeout.count())};
    }
    return {ProbeOutcome::Result::kFailure, "error: " + result.error().message};
  }
  if (*result == std::string_view("\x08\x01", 2)) return {ProbeOutcome::Result::kSuccess, ""};
  return {ProbeOutcome::Result::kFailure, "service unhealthy (responded with \"NOT_SERVING\")"};
}

}  // namespace orch::agent
