// pods/proxy, services/proxy and nodes/proxy: requests passed on to what the name says,
// "[scheme:]name[:port]".
#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "orch/base/strings.h"
#include "server/api/node_connector.h"
#include "server/api/relay.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::corev1::Endpoints;
using api::corev1::Pod;
using api::corev1::Service;

struct Target {
  std::string scheme, name, port;
};

// utilnet.SplitSchemeNamePort.
api::ApiResult<Target> split_name(const std::string& text, std::string_view kind) {
  const auto parts = split(text, ':');
  Target out;
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
  if (out.name.empty() || !scheme_fits) {
    return Err(api::bad_request(fmt::format("invalid {} request \"{}\"", kind, text)));
  }
  return out;
}

// Addresses that a proxy must never be led to (loopback, link-local).
bool proxyable(const std::string& ip) {
  return !ip.empty() && !ip.starts_with("127.") && !ip.starts_with("169.254.") &&
         !ip.starts_with("0.") && ip != "::1" && !to_lower(ip).starts_with("fe80:");
}

std::string target_path(const Call& call) {
  // The raw target, so that escapes pass unchanged.
  std::string_view raw = call.http->target;
  const size_t query = raw.find('?');
  const std::string_view path = raw.substr(0, query);
  const size_t at = path.find("/proxy");
  std::string out(at == std::string_view::npos ? "" : path.substr(at + 6));
  if (out.empty()) out = "/";
  if (query != std::string_view::npos) out += raw.substr(query);
  return out;
}

Answer pass_on(ApiServer& server, Call& call, const api::ResourceInfo& resource,
               std::shared_ptr<net::HttpClient> client, std::string backend,
               net::HttpResponse& response) {
  Writer writer(server, call, resource, {});
  ORCH_CHECK(
      writer.admit(Operation::kConnect, call.info.namespace_, call.info.name, "proxy", nullptr));
  RelayRequest request;
  request.client = std::move(client);
  request.method = call.method;
  request.target = target_path(call);
  const bool upgrade = wants_upgrade(call);
  request.headers = forwardable(*call.http, upgrade);
  request.body = call.body;
  request.backend = std::move(backend);
  if (upgrade) return relay_upgrade(std::move(request), response);
  return relay(server, std::move(request), response);
}

std::string base_url(const Target& target, const std::string& ip, int64_t port) {
  const std::string host = ip.find(':') == std::string::npos ? ip : "[" + ip + "]";
  return fmt::format("{}://{}:{}", target.scheme.empty() ? "http" : target.scheme, host, port);
}

// Address and port of one ready endpoint.
api::ApiResult<std::pair<std::string, int32_t>> endpoint_of(ApiServer& server, const Call& call,
                                                            const Target& target) {
  auto service = server.registry().get_typed<Service>(call.info.namespace_, target.name);
  if (!service) return Err(service.error());
  std::string port_name = target.port;
  if (const auto number = parse_int(target.port)) {
    bool found = false;
    for (const auto& port : (*service)->spec.ports) {
      if (port.port == *number) {
        port_name = port.name;
        found = true;
      }
    }
    if (!found) {
      return Err(api::service_unavailable(
          fmt::format("no service port {} found for service \"{}\"", *number, target.name)));
    }
  }
  const api::Error none = api::service_unavailable(
      fmt::format("no endpoints available for service \"{}\"", target.name));
  auto endpoints = server.registry().get_typed<Endpoints>(call.info.namespace_, target.name);
  if (!endpoints) return Err(none);
  std::vector<std::pair<std::string, int32_t>> found;
  for (const auto& subset : (*endpoints)->subsets) {
    for (const auto& port : subset.ports) {
      if (!target.port.empty() && port.name != port_name) continue;
      for (const auto& address : subset.addresses) {
        if (proxyable(address.ip)) found.emplace_back(address.ip, port.port);
      }
      if (target.port.empty()) break;
    }
  }
  if (found.empty()) return Err(none);
  return found[random_below(server.env().random, found.size())];
}

}  // namespace

Answer serve_pod_proxy(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                       net::HttpResponse& response) {
  if (call.http == nullptr) return Err(api::bad_request("proxies need an HTTP request"));
  ORCH_TRY(const Target target, split_name(call.info.name, "pod"));
  ORCH_TRY(auto pod, server.registry().get_typed<Pod>(call.info.namespace_, target.name));
  std::optional<int64_t> port = parse_int(target.port);
  if (target.port.empty()) {
    for (const auto& container : pod->spec.containers) {
      if (!port && !container.ports.empty()) port = container.ports.front().containerPort;
    }
    if (!port) port = target.scheme == "https" ? 443 : 80;
  }
  if (!port || *port < 1 || *port > 65535) {
    return Err(api::bad_request(fmt::format("invalid pod request \"{}\"", call.info.name)));
  }
  if (!proxyable(pod->status.podIP)) return Err(api::bad_request("address not allowed"));
  const std::string url = base_url(target, pod->status.podIP, *port);
  ORCH_TRY(auto client, server.nodes().peer(url));
  return pass_on(server, call, resource, std::move(client), url, response);
}

Answer serve_service_proxy(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                           net::HttpResponse& response) {
  if (call.http == nullptr) return Err(api::bad_request("proxies need an HTTP request"));
  ORCH_TRY(const Target target, split_name(call.info.name, "service"));
  ORCH_TRY(const auto endpoint, endpoint_of(server, call, target));
  const std::string url = base_url(target, endpoint.first, endpoint.second);
  ORCH_TRY(auto client, server.nodes().peer(url));
  return pass_on(server, call, resource, std::move(client), url, response);
}

Answer serve_node_proxy(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                        net::HttpResponse& response) {
  if (call.http == nullptr) return Err(api::bad_request("proxies need an HTTP request"));
  ORCH_TRY(const Target target, split_name(call.info.name, "node"));
  ORCH_TRY(auto node, server.registry().get_typed<api::corev1::Node>("", target.name));
  const auto own = std::to_string(node->status.daemonEndpoints.kubeletEndpoint.Port);
  if (!target.port.empty() && target.port != own) {
    return Err(api::bad_request("only the kubelet's port of a node is proxied"));
  }
  ORCH_TRY(auto client, server.nodes().kubelet(target.name));
  return pass_on(server, call, resource, std::move(client), target.name, response);
}

}  // namespace orch::server
