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

}  // namespace

ProbeOutcome probe_tcp(const std::string& host, int32_t port, Seconds timeout) {
  std::string error = connect_error(host, port, timeout);
  if (error.empty()) return {ProbeOutcome::Result::kSuccess, ""};
  return {ProbeOutcome::Result::kFailure, std::move(error)};
}

ProbeOutcome probe_http(const std::string& scheme, const std::string& host, int32_t port,
                        const std::string& path, const std::vector<corev1::HTTPHeader>& headers,
                        Seconds timeout) {
  const std::string lower = to_lower(scheme);
  net::HttpClientOptions options;
  options.base_url = fmt::format("{}://{}", lower, host_port(host, port));
  options.connect_timeout = Millis(timeout);
  options.request_timeout = Millis(timeout);
  options.connections_max = 0;
  if (lower == "https") {
    net::TlsClientContext::Options tls;
    tls.insecure_skip_verify = true;  // as the kubelet: probes test that it answers
    auto context = net::TlsClientContext::create(tls);
    if (!context) return {ProbeOutcome::Result::kError, context.error()};
    options.tls = *context;
  }
  net::Headers sent;
  for (const auto& header : headers) sent.emplace(header.name, header.value);
  if (net::header(sent, "User-Agent").empty()) sent.emplace("User-Agent", "kube-probe/1.32");
  if (net::header(sent, "Accept").empty()) sent.emplace("Accept", "*/*");
  sent.emplace("Connection", "close");
  std::string target = path.empty() || path[0] != '/' ? "/" + path : path;
  auto client = net::HttpClient::create(options);
  auto result = client->request("GET", target, sent, "");
  if (!result) {
    return {ProbeOutcome::Result::kFailure,
            fmt::format("Get \"{}{}\": {}", options.base_url, target, result.error())};
  }
  if (result->status >= 200 && result->status < 400) return {ProbeOutcome::Result::kSuccess, ""};
  return {ProbeOutcome::Result::kFailure,
          fmt::format("HTTP probe failed with statuscode: {}", result->status)};
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
