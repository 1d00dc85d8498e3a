#include "server/api/subresources/proxy_target.h"

#include <arpa/inet.h>

#include <cstring>

#include "orch/base/strings.h"

namespace orch::server {
namespace {

bool is_port(std::string_view text) {
  if (text.empty()) return false;
  if (const auto number = parse_int(text)) return *number >= 1 && *number <= 65535;
  for (const char c : text) {  // an IANA service name
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!fits) return false;
  }
  return true;
}

bool proxyable4(uint32_t ip) {
  const uint32_t first = ip >> 24;
  return ip != 0 && ip != 0xFFFFFFFF && first != 0 && first != 127 && first >> 4 != 14 &&
         ip >> 16 != 0xA9FE;
}

bool proxyable6(const in6_addr& ip) {
  return !IN6_IS_ADDR_UNSPECIFIED(&ip) && !IN6_IS_ADDR_LOOPBACK(&ip) &&
         !IN6_IS_ADDR_LINKLOCAL(&ip) && !IN6_IS_ADDR_MULTICAST(&ip);
}

}  // namespace

std::optional<ProxyName> split_proxy_name(std::string_view text) {
  const auto parts = split(text, ':');
  ProxyName out;
  if (parts.size() == 1) {
    out.name = parts[0];
  } else if (parts.size() == 2) {
    out.name = parts[0];
    out.port = parts[1];
  } else if (parts.size() == 3) {
    out.scheme = parts[0];
    out.name = parts[1];
    out.port = parts[2];
  }
  const bool scheme_fits = out.scheme.empty() || out.scheme == "http" || out.scheme == "https";
  if (out.name.empty() || !scheme_fits) return std::nullopt;
  if (!out.port.empty() && !is_port(out.port)) return std::nullopt;
  return out;
}

bool proxyable(const std::string& ip) {
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, ip.c_str(), &v4) == 1) return proxyable4(ntohl(v4.s_addr));
  if (inet_pton(AF_INET6, ip.c_str(), &v6) != 1) return false;
  if (!IN6_IS_ADDR_V4MAPPED(&v6)) return proxyable6(v6);
  uint32_t mapped = 0;
  std::memcpy(&mapped, v6.s6_addr + 12, sizeof mapped);
  return proxyable4(ntohl(mapped));
}

ProxyPath split_proxy_path(std::string_view target) {
  ProxyPath out;
  const size_t query = target.find('?');
  const std::string_view path = target.substr(0, query);
  if (query != std::string_view::npos) out.query = target.substr(query);
  // Segments are counted, as names may contain "proxy"; empty ones do not count.
  size_t at = 0, segments = 0, wanted = 5;
  while (at < path.size() && segments < wanted) {
    const size_t begin = path.find_first_not_of('/', at);
    if (begin == std::string_view::npos) break;
    at = std::min(path.find('/', begin), path.size());
    if (++segments == 3 && path.substr(begin, at - begin) == "namespaces") wanted = 7;
  }
  out.prefix = path.substr(0, at);
  out.rest = path.substr(at);
  return out;
}

std::string rewrite_location(std::string_view location, std::string_view prefix,
                             std::string_view backend_url, std::string_view host) {
  std::string_view path = location;
  const size_t scheme = location.find("://");
  const bool absolute = scheme != std::string_view::npos && location.find('/') > scheme;
  if (absolute || location.starts_with("//")) {
    const size_t begin = absolute ? scheme + 3 : 2;
    const size_t end = std::min(location.find_first_of("/?#", begin), location.size());
    const std::string_view their_host = location.substr(begin, end - begin);
    if (their_host != backend_url.substr(backend_url.find("//") + 2) && their_host != host) {
      return std::string(location);
    }
    path = location.substr(end);
  } else if (!location.starts_with('/')) {
    return std::string(location);
  }
  const bool has_prefix =
      path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
  if (has_prefix) return std::string(path);
  return std::string(prefix).append(path.starts_with('/') ? "" : "/").append(path);
}

}  // namespace orch::server
