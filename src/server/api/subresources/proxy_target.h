// What a proxy request's path names, and where its answers may lead. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orch::server {

struct ProxyName {
  std::string scheme, name, port;  // scheme: "", "http" or "https"
};
// "[scheme:]name[:port]"; nullopt: none of that form.
std::optional<ProxyName> split_proxy_name(std::string_view text);

// Addresses that may be proxied to: global unicast ones, as Go calls them; neither loopback nor
// link-local, unspecified, multicast or broadcast.
bool proxyable(const std::string& ip);

struct ProxyPath {
  std::string prefix;  // up to ".../proxy"
  std::string rest;    // "" or "/..."; escapes stand as they came
  std::string query;   // "" or "?..."
};
// Of a request target /api/v1/[namespaces/N/]RESOURCE/NAME/proxy...
ProxyPath split_proxy_path(std::string_view target);

// A backend's Location as the client must see it: paths on the backend (or on `host`, the client's
// Host header) get the prefix; other hosts, relative references and what has the prefix stay.
std::string rewrite_location(std::string_view location, std::string_view prefix,
                             std::string_view backend_url, std::string_view host);

}  // namespace orch::server
