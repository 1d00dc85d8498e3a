// pods/proxy, services/proxy and nodes/proxy: requests passed on to what the name says,
// "[scheme:]name[:port]". Redirects and the links of HTML pages lead through the proxy again.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstring>

#include "orch/api/corev1.h"
#include "orch/base/strings.h"
#include "server/api/node_connector.h"
#include "server/api/relay.h"
#include "server/api/subresources/proxy_target.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::corev1::EndpointAddress;
using api::corev1::Endpoints;
using api::corev1::Pod;
using api::corev1::Service;

std::string base_url(const ProxyName& target, const std::string& host, std::string_view port) {
  const std::string bracketed = host.find(':') == std::string::npos ? host : "[" + host + "]";
  std::string out = (target.scheme.empty() ? "http" : target.scheme) + "://" + bracketed;
  return port.empty() ? out : fmt::format("{}:{}", out, port);
}

api::Error address_not_allowed() { return api::bad_request("address not allowed"); }

bool may_be_page(const net::Headers& headers) {
  const std::string_view accept = net::header(headers, "Accept");
  return accept.empty() || accept.find("text/html") != std::string_view::npos ||
         accept.find("*/*") != std::string_view::npos;
}

Answer pass_on(ApiServer& server, Call& call, const api::ResourceInfo& resource,
               std::shared_ptr<net::HttpClient> client, const std::string& backend,
               net::HttpResponse& response) {
  Writer writer(server, call, resource, {});
  ORCH_CHECK(
      writer.admit(Operation::kConnect, call.info.namespace_, call.info.name, "proxy", nullptr));
  const ProxyPath path = split_proxy_path(call.http->target);
  const bool upgrade = wants_upgrade(call);
  const bool reads = call.method == "GET" || call.method == "HEAD";
  if (path.rest.empty() && !upgrade &&
      reads) {  // so that relative links of the page lead back here
    response.status = 301;
    response.set("Location", path.prefix + "/" + path.query);
    return Unit{};
  }
  RelayRequest request;
  request.client = std::move(client);
  request.method = call.method;
  request.target = (path.rest.empty() ? "/" : path.rest) + path.query;
  request.headers = forwardable(*call.http, upgrade);
  const std::string& from = call.http->remote_address;
  request.headers.emplace("X-Forwarded-For", from.substr(0, from.rfind(':')));
  request.headers.emplace("X-Forwarded-Uri", path.prefix + path.rest);
  request.body = call.body;
  request.backend = backend;
  if (upgrade) return relay_upgrade(std::move(request), response);
  request.unreachable = "error trying to reach service: ";
  const std::string host(net::header(call.http->headers, "Host"));
  request.on_location = [prefix = path.prefix, backend, host](std::string_view location) {
    return rewrite_location(location, prefix, backend, host);
  };
  request.on_link = request.on_location;
  // A page must come plain for its links to be found.
  if (may_be_page(request.headers)) request.headers.erase("Accept-Encoding");
  return relay(server, std::move(request), response);
}

// Only what is a Pod of the Service's namespace is proxied to: anyone may write Endpoints.
bool is_pod_address(ApiServer& server, const std::string& ns, const EndpointAddress& address) {
  if (!address.targetRef || address.targetRef->kind != "Pod") return false;
  if (address.targetRef->namespace_ != ns || !proxyable(address.ip)) return false;
  auto pod = server.registry().get_typed<Pod>(ns, address.targetRef->name);
  if (!pod) return false;
  for (const auto& ip : (*pod)->status.podIPs) {
    if (ip.ip == address.ip) return true;
  }
  return (*pod)->status.podIP == address.ip;
}

// Address and port of one ready endpoint.
api::ApiResult<std::pair<std::string, int32_t>> endpoint_of(ApiServer& server, const Call& call,
                                                            const ProxyName& target) {
  const std::string& ns = call.info.namespace_;
  std::string port_name = target.port;
  if (const auto number = parse_int(target.port)) {
    ORCH_TRY(auto service, server.registry().get_typed<Service>(ns, target.name));
    bool found = false;
    for (const auto& port : service->spec.ports) {
      if (port.port == *number && !found) {
        port_name = port.name;
        found = true;
      }
    }
    if (!found) {
      return Err(api::service_unavailable(
          fmt::format("no service port {} found for service \"{}\"", *number, target.name)));
    }
  }
  ORCH_TRY(auto endpoints, server.registry().get_typed<Endpoints>(ns, target.name));
  const auto& subsets = endpoints->subsets;
  const size_t first = subsets.empty() ? 0 : random_below(server.env().random, subsets.size());
  for (size_t i = 0; i < subsets.size(); ++i) {
    const auto& subset = subsets[(first + i) % subsets.size()];
    for (const auto& port : subset.ports) {
      if (port.name != port_name || subset.addresses.empty()) continue;
      const size_t seed = random_below(server.env().random, subset.addresses.size());
      for (size_t n = 0; n < subset.addresses.size(); ++n) {
        const auto& address = subset.addresses[(seed + n) % subset.addresses.size()];
        if (is_pod_address(server, ns, address)) return std::pair(address.ip, port.port);
      }
    }
  }
  return Err(api::service_unavailable(
      fmt::format("no endpoints available for service \"{}\"", target.name)));
}

api::ApiResult<ProxyName> name_of(const Call& call, std::string_view kind) {
  if (call.http == nullptr) return Err(api::bad_request("proxies need an HTTP request"));
  if (auto name = split_proxy_name(call.info.name)) return *name;
  return Err(api::bad_request(fmt::format("invalid {} request \"{}\"", kind, call.info.name)));
}

}  // namespace

Answer serve_pod_proxy(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                       net::HttpResponse& response) {
  ORCH_TRY(const ProxyName target, name_of(call, "pod"));
  ORCH_TRY(auto pod, server.registry().get_typed<Pod>(call.info.namespace_, target.name));
  std::string port = target.port;
  for (const auto& container : pod->spec.containers) {
    if (port.empty() && !container.ports.empty()) {
      port = std::to_string(container.ports.front().containerPort);
    }
  }
  if (!proxyable(pod->status.podIP)) return Err(address_not_allowed());
  const std::string url = base_url(target, pod->status.podIP, port);
  ORCH_TRY(auto client, server.nodes().peer(url));
  return pass_on(server, call, resource, std::move(client), url, response);
}

Answer serve_service_proxy(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                           net::HttpResponse& response) {
  ORCH_TRY(const ProxyName target, name_of(call, "service"));
  ORCH_TRY(const auto endpoint, endpoint_of(server, call, target));
  const std::string url = base_url(target, endpoint.first, std::to_string(endpoint.second));
  ORCH_TRY(auto client, server.nodes().peer(url));
  return pass_on(server, call, resource, std::move(client), url, response);
}

Answer serve_node_proxy(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                        net::HttpResponse& response) {
  ORCH_TRY(const ProxyName target, name_of(call, "node"));
  ORCH_TRY(auto node, server.registry().get_typed<api::corev1::Node>("", target.name));
  const auto own = std::to_string(node->status.daemonEndpoints.kubeletEndpoint.Port);
  if (target.port.empty() || target.port == own) {
    ORCH_TRY(auto client, server.nodes().kubelet(target.name));
    return pass_on(server, call, resource, std::move(client), "https://" + target.name, response);
  }
  for (const auto& address : node->status.addresses) {
    if (address.type != "InternalIP") continue;
    if (!proxyable(address.address)) return Err(address_not_allowed());
    const std::string url = base_url(target, address.address, target.port);
    ORCH_TRY(auto client, server.nodes().peer(url));
    return pass_on(server, call, resource, std::move(client), url, response);
  }
  return Err(backend_error(500, "no preferred addresses found; known addresses: []"));
}

}  // namespace orch::server
