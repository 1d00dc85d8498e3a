#include "server/cloud/edge_load_balancer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::Service;

constexpr const char* kExcluded = "node.kubernetes.io/exclude-from-external-load-balancers";
constexpr const char* kToBeDeleted = "ToBeDeletedByClusterAutoscaler";
constexpr const char* kServiceName = "kubernetes.io/service-name";
constexpr const char* kFailed = "SyncLoadBalancerFailed";

std::string protocol_of(const std::string& protocol) { return protocol.empty() ? "TCP" : protocol; }

std::string key_text(const Service& service) {
  return service.metadata.namespace_ + "/" + service.metadata.name;
}

bool may_serve(const Node& node) {
  const auto& conditions = node.status.conditions;
  const auto& taints = node.spec.taints;
  return !node.metadata.deletionTimestamp && node.metadata.labels.count(kExcluded) == 0 &&
         std::any_of(conditions.begin(), conditions.end(),
                     [](const auto& c) { return c.type == "Ready" && c.status == "True"; }) &&
         std::none_of(taints.begin(), taints.end(),
                      [](const auto& taint) { return taint.key == kToBeDeleted; });
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

std::set<std::string> nodes_with_endpoints(const Service& service, const LoadBalancerState& state) {
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

// The nodes traffic for the Service may come in at.
std::vector<const Node*> serving_nodes(const Service& service, const LoadBalancerState& state) {
  const bool local = service.spec.externalTrafficPolicy == "Local";
  const auto with_endpoints =
      local ? nodes_with_endpoints(service, state) : std::set<std::string>{};
  std::vector<const Node*> out;
  for (const auto& node : state.nodes) {
    if (may_serve(*node) && (!local || with_endpoints.count(node->metadata.name) != 0)) {
      out.push_back(node.get());
    }
  }
  return out;
}

// Taking these on the nodes' addresses would cut off the API server or the agents.
std::set<int> cluster_ports(const LoadBalancerState& state) {
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

std::string wanted_address(const Service& service) {
  auto annotation = service.metadata.annotations.find(kWantedAddress);
  if (annotation != service.metadata.annotations.end()) return annotation->second;
  return service.spec.loadBalancerIP;
}

// Has what it asks for.
bool is_settled(const Service& service) {
  const auto& ingress = service.status.loadBalancer.ingress;
  const std::string wanted = wanted_address(service);
  return !ingress.empty() && (wanted.empty() || wanted == ingress.front().ip);
}

// Who has addresses keeps them; among the others, and among both, the older comes first.
bool comes_before(const Service& a, const Service& b) {
  if (is_settled(a) != is_settled(b)) return is_settled(a);
  const auto& x = a.metadata;
  const auto& y = b.metadata;
  return std::tie(x.creationTimestamp.unix_seconds, x.namespace_, x.name) <
         std::tie(y.creationTimestamp.unix_seconds, y.namespace_, y.name);
}

// One run over all Services, in the order in which they have a say.
class Planner {
 public:
  Planner(const LoadBalancerState& state, const LbPool& pool) : state_(state), pool_(pool) {
    for (const auto& node : state.nodes) {
      for (const auto& address : node->status.addresses) taken_[address.address] = "a node";
    }
    for (const auto& service : state.services) {
      auto node = service->metadata.annotations.find(kAnnouncingNode);
      if (node != service->metadata.annotations.end()) ++announced_[node->second];
    }
  }

  std::vector<LoadBalancerPlan> run() {
    std::vector<size_t> order(state_.services.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return comes_before(*state_.services[a], *state_.services[b]);
    });
    std::vector<LoadBalancerPlan> plans(order.size());
    for (size_t i : order) {
      const Service& service = *state_.services[i];
      plans[i] = takes_from_pool(service, pool_) ? from_pool(service) : on_nodes(service);
    }
    return plans;
  }

 private:
  static LoadBalancerPlan pending(std::string message, std::string reason = kFailed) {
    LoadBalancerPlan plan;
    plan.reason = std::move(reason);
    plan.message = std::move(message);
    return plan;
  }

  LoadBalancerPlan on_nodes(const Service& service) {
    if (auto why = port_conflict(service); !why.empty()) return pending(std::move(why));
    for (const auto& port : service.spec.ports) {
      ports_[{port.port, protocol_of(port.protocol)}] = key_text(service);
    }
    std::set<std::string> addresses;
    for (const Node* node : serving_nodes(service, state_)) {
      if (std::string address = address_of(*node); !address.empty()) addresses.insert(address);
    }
    if (addresses.empty()) {
      return pending("There are no available nodes for LoadBalancer", "UnAvailableLoadBalancer");
    }
    LoadBalancerPlan plan;
    plan.ingress = ingress_of({addresses.begin(), addresses.end()});
    return plan;
  }

  std::string port_conflict(const Service& service) {
    if (reserved_.empty()) reserved_ = cluster_ports(state_);
    for (const auto& port : service.spec.ports) {
      const std::string protocol = protocol_of(port.protocol);
      if (protocol == "TCP" && reserved_.count(port.port) != 0) {
        return fmt::format("port {}/TCP is used by the cluster itself on its nodes", port.port);
      }
      auto holder = ports_.find({port.port, protocol});
      if (holder == ports_.end()) continue;
      return fmt::format("port {}/{} is taken on the nodes by Service {}", port.port, protocol,
                         holder->second);
    }
    return "";
  }

  LoadBalancerPlan from_pool(const Service& service) {
    if (pool_.empty()) {
      return pending("class orch.io/pool needs a pool of addresses: the server's --lb-pool");
    }
    std::string address, why;
    if (auto wanted = wanted_address(service); !wanted.empty()) {
      address = take_wanted(wanted, why);
    } else {
      address = take_any(service, why);
    }
    if (address.empty()) return pending(std::move(why));
    taken_[address] = "Service " + key_text(service);
    LoadBalancerPlan plan;
    plan.ingress = ingress_of({address});
    plan.annotations[kAnnouncingNode] = announcer(service);
    return plan;
  }

  std::string take_wanted(const std::string& wanted, std::string& why) const {
    const auto parsed = LbPool::address(wanted);
    if (!parsed) {
      why = fmt::format("the address asked for, \"{}\", is not an IPv4 address", wanted);
    } else if (!pool_.contains(*parsed)) {
      why = fmt::format("the address asked for, {}, is not in --lb-pool", wanted);
    } else if (auto holder = taken_.find(wanted); holder != taken_.end()) {
      why = fmt::format("the address asked for, {}, is taken by {}", wanted, holder->second);
    } else {
      return wanted;
    }
    return "";
  }

  // What the Service has, as long as the pool has it and nobody before it took it.
  std::string take_any(const Service& service, std::string& why) {
    for (const auto& ingress : service.status.loadBalancer.ingress) {
      const auto parsed = LbPool::address(ingress.ip);
      if (parsed && pool_.contains(*parsed) && taken_.count(ingress.ip) == 0) return ingress.ip;
    }
    std::set<std::string> taken;
    for (const auto& [address, holder] : taken_) taken.insert(address);
    std::string free = pool_.first_free(taken);
    if (free.empty()) why = "no address of --lb-pool is free";
    return free;
  }

  // Stays where it is as long as it can; else the node that announces least.
  std::string announcer(const Service& service) {
    const auto nodes = serving_nodes(service, state_);
    auto annotation = service.metadata.annotations.find(kAnnouncingNode);
    const std::string now =
        annotation == service.metadata.annotations.end() ? "" : annotation->second;
    std::string best;
    for (const Node* node : nodes) {
      const std::string& name = node->metadata.name;
      if (name == now) return now;
      if (best.empty() || std::tie(announced_[name], name) < std::tie(announced_[best], best)) {
        best = name;
      }
    }
    if (!now.empty()) --announced_[now];
    if (!best.empty()) ++announced_[best];
    return best;
  }

  const LoadBalancerState& state_;
  const LbPool& pool_;
  std::set<int> reserved_;
  std::map<std::pair<int, std::string>, std::string> ports_;  // on the nodes -> Service
  std::map<std::string, std::string> taken_;                  // address -> by whom
  std::map<std::string, int> announced_;                      // by node
};

}  // namespace

bool is_edge_load_balancer(const Service& service) {
  const std::string own = service.spec.loadBalancerClass.value_or(kNodeLoadBalancerClass);
  return service.spec.type == "LoadBalancer" && !service.metadata.deletionTimestamp &&
         (own == kNodeLoadBalancerClass || own == kPoolLoadBalancerClass);
}

bool takes_from_pool(const Service& service, const LbPool& pool) {
  if (service.spec.loadBalancerClass) {
    return *service.spec.loadBalancerClass == kPoolLoadBalancerClass;
  }
  return !pool.empty();
}

std::vector<LoadBalancerPlan> plan_edge_load_balancers(const LoadBalancerState& state,
                                                       const LbPool& pool) {
  return Planner(state, pool).run();
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
