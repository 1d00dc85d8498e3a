#include "agent/network/service_view.h"

#include <catch2/catch.hpp>

namespace orch::agent {
namespace {

using api::corev1::Service;
using api::discoveryv1::EndpointSlice;

Service service() {
  Service out;
  out.metadata.name = "web";
  out.metadata.namespace_ = "default";
  out.spec.type = "NodePort";
  out.spec.clusterIP = "10.43.0.7";
  out.spec.clusterIPs = {"10.43.0.7"};
  auto& port = out.spec.ports.emplace_back();
  port.name = "http";
  port.protocol = "TCP";
  port.port = 80;
  port.nodePort = 30080;
  return out;
}

EndpointSlice slice(const std::string& port = "http") {
  EndpointSlice out;
  out.metadata.namespace_ = "default";
  out.metadata.labels = {{"kubernetes.io/service-name", "web"}};
  out.addressType = "IPv4";
  auto& slice_port = out.ports.emplace_back();
  slice_port.name = port;
  slice_port.protocol = "TCP";
  slice_port.port = 8080;
  auto& here = out.endpoints.emplace_back();
  here.addresses = {"10.42.0.5"};
  here.conditions.ready = true;
  here.nodeName = "n1";
  here.hostname = "web-0";
  auto& going = out.endpoints.emplace_back();
  going.addresses = {"10.42.1.5"};
  going.conditions.ready = false;
  going.conditions.serving = true;
  going.conditions.terminating = true;
  going.nodeName = "n2";
  return out;
}
SlicePtr shared(EndpointSlice slice) {
  return std::make_shared<const EndpointSlice>(std::move(slice));
}

TEST_CASE("service view: the proxy sees addresses, ports, endpoints and their state") {
  const auto out = proxy_service(service(), {shared(slice()), shared(slice("other"))}, "n1");
  CHECK(out.cluster_ips == std::vector<std::string>{"10.43.0.7"});
  REQUIRE(out.ports.size() == 1);
  CHECK(out.ports[0].port == 80);
  CHECK(out.ports[0].node_port == 30080);
  REQUIRE(out.ports[0].endpoints.size() == 2);
  const auto& here = out.ports[0].endpoints[0];
  CHECK(here.ip == "10.42.0.5");
  CHECK(here.port == 8080);
  CHECK(here.ready);
  CHECK(here.serving);
  CHECK(here.node_local);
  const auto& going = out.ports[0].endpoints[1];
  CHECK_FALSE(going.ready);
  CHECK(going.serving);
  CHECK(going.terminating);
  CHECK_FALSE(going.node_local);
}

TEST_CASE("service view: policies, affinity, external addresses") {
  Service odd = service();
  odd.spec.type = "LoadBalancer";
  odd.spec.externalTrafficPolicy = "Local";
  odd.spec.internalTrafficPolicy = "Local";
  odd.spec.sessionAffinity = "ClientIP";
  odd.spec.sessionAffinityConfig.ensure().clientIP.ensure().timeoutSeconds = 60;
  odd.spec.externalIPs = {"198.51.100.1"};
  odd.spec.healthCheckNodePort = 31000;
  odd.status.loadBalancer.ingress.emplace_back().ip = "203.0.113.1";
  auto& proxied = odd.status.loadBalancer.ingress.emplace_back();
  proxied.ip = "203.0.113.2";
  proxied.ipMode = "Proxy";
  odd.status.loadBalancer.ingress.emplace_back().hostname = "lb.example.com";
  const auto out = proxy_service(odd, {}, "n1");
  CHECK(out.external_traffic_local);
  CHECK(out.internal_traffic_local);
  CHECK(out.session_affinity_client_ip);
  CHECK(out.affinity_timeout == Seconds{60});
  CHECK(out.external_ips == std::vector<std::string>{"198.51.100.1"});
  CHECK(out.load_balancer_ips == std::vector<std::string>{"203.0.113.1"});
  CHECK(announced_addresses(odd, "n1").empty());
  odd.metadata.annotations[kAnnouncingNode] = "n1";
  CHECK(announced_addresses(odd, "n1").size() == 2);
  CHECK(announced_addresses(odd, "n2").empty());
  odd.spec.type = "ClusterIP";
  CHECK(announced_addresses(odd, "n1").empty());
  CHECK(out.health_check_node_port == 31000);
}

TEST_CASE("service view: slices of other families, protocols or without ports add nothing") {
  auto six = slice();
  six.addressType = "IPv6";
  auto udp = slice();
  udp.ports[0].protocol = "UDP";
  auto portless = slice();
  portless.ports[0].port.reset();
  auto empty = slice();
  for (auto& endpoint : empty.endpoints) endpoint.addresses.clear();
  const auto out =
      proxy_service(service(), {shared(six), shared(udp), shared(portless), shared(empty)}, "n1");
  CHECK(out.ports[0].endpoints.empty());
}

TEST_CASE("service view: who is proxied") {
  CHECK(is_proxied(service()));
  Service headless = service();
  headless.spec.clusterIP = "None";
  CHECK_FALSE(is_proxied(headless));
  Service external = service();
  external.spec.type = "ExternalName";
  CHECK_FALSE(is_proxied(external));
  Service foreign = service();
  foreign.metadata.labels["service.kubernetes.io/service-proxy-name"] = "mine";
  CHECK_FALSE(is_proxied(foreign));
  Service unset = service();
  unset.spec.clusterIP.clear();
  CHECK_FALSE(is_proxied(unset));
  CHECK(service_key(slice()) == "default/web");
  CHECK(service_key({}).empty());
}

TEST_CASE("service view: DNS gives cluster addresses, or endpoints of headless services") {
  const auto plain = dns_service(service(), {shared(slice())});
  CHECK(plain.cluster_ips == std::vector<std::string>{"10.43.0.7"});
  CHECK(plain.endpoints.empty());
  CHECK(plain.ports[0].name == "http");
  Service headless = service();
  headless.spec.clusterIP = "None";
  headless.spec.clusterIPs = {"None"};
  const auto out = dns_service(headless, {shared(slice())});
  REQUIRE(out.endpoints.size() == 2);
  CHECK(out.endpoints[0].hostname == "web-0");
  CHECK(out.endpoints[0].ready);
  CHECK_FALSE(out.endpoints[1].ready);
  CHECK(out.endpoints[0].ports[0].port == 8080);
  Service external;
  external.spec.type = "ExternalName";
  external.spec.externalName = "db.example.com";
  CHECK(dns_service(external, {}).external_name == "db.example.com");
}

}  // namespace
}  // namespace orch::agent
