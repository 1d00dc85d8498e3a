#include "server/controllers/service_lb_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::Service;

constexpr const char* kExcluded = "node.kubernetes.io/exclude-from-external-load-balancers";
constexpr const char* kServiceName = "kubernetes.io/service-name";

std::string protocol_of(const std::string& protocol) { return protocol.empty() ? "TCP" : protocol; }

bool is_ready(const Node& node) {
  return std::any_of(node.status.conditions.begin(), node.status.conditions.end(),
                     [](const auto& condition) {
                       return condition.type == "Ready" && condition.status == "True";
                     });
}

// The external address, where the node has one: it is what clients outside can reach.
std::string address_of(const Node& node) {
  std::string internal;
  for (const auto& address : node.status.addresses) {
    if (address.type == "ExternalIP") return address.address;
    if (address.type == "InternalIP" && internal.empty()) internal = address.address;
  }
  return internal;
}

bool is_of(const discoveryv1::EndpointSlice& slice, const std::string& ns,
           const std::string& service) {
  auto label = slice.metadata.labels.find(kServiceName);
  return slice.metadata.namespace_ == ns && label != slice.metadata.labels.end() &&
         label->second == service;
}

std::set<std::string> nodes_with_endpoints(const Service& service, const ServiceLbState& state) {
  std::set<std::string> nodes;
  for (const auto& slice : state.slices) {
    if (!is_of(*slice, service.metadata.namespace_, service.metadata.name)) continue;
    for (const auto& endpoint : slice->endpoints) {
      if (endpoint.nodeName && endpoint.conditions.ready.value_or(true)) {
        nodes.insert(*endpoint.nodeName);
      }
    }
  }
  return nodes;
}

// Taking these on the nodes' addresses would cut off the API server or the agents.
std::set<int> cluster_ports(const ServiceLbState& state) {
  std::set<int> ports;
  for (const auto& slice : state.slices) {
    if (!is_of(*slice, "default", "kubernetes")) continue;
    for (const auto& port : slice->ports) ports.insert(port.port.value_or(0));
  }
  for (const auto& node : state.nodes) {
    ports.insert(node->status.daemonEndpoints.kubeletEndpoint.Port);
  }
  return ports;
}

// Who has addresses keeps its ports; among the others, and among both, the older comes first.
bool comes_before(const Service& a, const Service& b) {
  const bool a_pending = a.status.loadBalancer.ingress.empty();
  const bool b_pending = b.status.loadBalancer.ingress.empty();
  if (a_pending != b_pending) return b_pending;
  const auto& x = a.metadata;
  const auto& y = b.metadata;
  return std::tie(x.creationTimestamp.unix_seconds, x.namespace_, x.name) <
         std::tie(y.creationTimestamp.unix_seconds, y.namespace_, y.name);
}

std::string conflict_of(const Service& service, const ServiceLbState& state) {
  const std::set<int> reserved = cluster_ports(state);
  for (const auto& port : service.spec.ports) {
    const std::string protocol = protocol_of(port.protocol);
    if (protocol == "TCP" && reserved.count(port.port) != 0) {
      return fmt::format("port {}/TCP is used by the cluster itself on its nodes", port.port);
    }
    for (const auto& other : state.services) {
      if (other->metadata.uid == service.metadata.uid || !is_node_load_balancer(*other) ||
          !comes_before(*other, service)) {
        continue;
      }
      for (const auto& taken : other->spec.ports) {
        if (taken.port != port.port || protocol_of(taken.protocol) != protocol) continue;
        return fmt::format("port {}/{} is taken on the nodes by Service {}/{}", port.port, protocol,
                           other->metadata.namespace_, other->metadata.name);
      }
    }
  }
  return "";
}

}  // namespace

bool is_node_load_balancer(const Service& service) {
  return service.spec.type == "LoadBalancer" && !service.metadata.deletionTimestamp &&
         service.spec.loadBalancerClass.value_or(kNodeLoadBalancerClass) == kNodeLoadBalancerClass;
}

ServiceLbPlan plan_service_lb(const Service& service, const ServiceLbState& state) {
  ServiceLbPlan plan;
  plan.reason = "SyncLoadBalancerFailed";
  // The proxy does not filter by source: no address is better than one open to everybody.
  if (!service.spec.loadBalancerSourceRanges.empty()) {
    plan.message = "spec.loadBalancerSourceRanges is not supported on node addresses";
    return plan;
  }
  plan.message = conflict_of(service, state);
  if (!plan.message.empty()) return plan;
  const bool local = service.spec.externalTrafficPolicy == "Local";
  const std::set<std::string> serving =
      local ? nodes_with_endpoints(service, state) : std::set<std::string>{};
  std::set<std::string> addresses;
  for (const auto& node : state.nodes) {
    if (!is_ready(*node) || node->metadata.deletionTimestamp) continue;
    if (node->metadata.labels.count(kExcluded) != 0) continue;
    if (local && serving.count(node->metadata.name) == 0) continue;
    if (std::string address = address_of(*node); !address.empty()) addresses.insert(address);
  }
  plan.addresses.assign(addresses.begin(), addresses.end());
  plan.reason = plan.addresses.empty() ? "UnAvailableLoadBalancer" : "";
  if (plan.addresses.empty()) plan.message = "There are no available nodes for LoadBalancer";
  return plan;
}

std::vector<corev1::LoadBalancerIngress> ingress_of(const std::vector<std::string>& addresses) {
  std::vector<corev1::LoadBalancerIngress> out;
  for (const auto& address : addresses) {
    auto& ingress = out.emplace_back();
    ingress.ip = address;
    ingress.ipMode = "VIP";
  }
  return out;
}

}  // namespace orch::server
