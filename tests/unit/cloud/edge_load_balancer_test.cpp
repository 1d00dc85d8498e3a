#include "server/cloud/edge_load_balancer.h"

#include <catch2/catch.hpp>

namespace orch::server {
namespace {

using namespace api;
using Addresses = std::vector<std::string>;

// The plan of the i-th Service.
LoadBalancerPlan plan_of(const LoadBalancerState& state, size_t i, const LbPool& pool = {}) {
  return plan_edge_load_balancers(state, pool)[i];
}
Addresses addresses(const LoadBalancerPlan& plan) {
  Addresses out;
  for (const auto& ingress : plan.ingress) out.push_back(ingress.ip);
  return out;
}
LbPool pool_of(const std::vector<std::string>& parts) {
  auto pool = LbPool::parse(parts);
  if (!pool) FAIL(pool.error());
  return *pool;
}

std::shared_ptr<corev1::Service> service(const std::string& name, int port) {
  auto out = std::make_shared<corev1::Service>();
  out->metadata.namespace_ = "default";
  out->metadata.name = out->metadata.uid = name;
  out->spec.type = "LoadBalancer";
  out->spec.ports.emplace_back().port = port;
  return out;
}

std::shared_ptr<corev1::Node> node(const std::string& name, const std::string& address) {
  auto out = std::make_shared<corev1::Node>();
  out->metadata.name = name;
  auto& ready = out->status.conditions.emplace_back();
  ready.type = "Ready";
  ready.status = "True";
  auto& at = out->status.addresses.emplace_back();
  at.type = "InternalIP";
  at.address = address;
  out->status.daemonEndpoints.kubeletEndpoint.Port = 10250;
  return out;
}

TEST_CASE("edge load balancer: addresses of ready nodes that are not excluded") {
  auto web = service("web", 80);
  auto n1 = node("n1", "10.0.0.1"), n2 = node("n2", "10.0.0.2"), n3 = node("n3", "10.0.0.3");
  n2->status.conditions[0].status = "Unknown";
  n3->metadata.labels["node.kubernetes.io/exclude-from-external-load-balancers"] = "";
  LoadBalancerState state{{web}, {n3, n2, n1}, {}};
  CHECK(addresses(plan_of(state, 0)) == Addresses{"10.0.0.1"});
  n1->status.conditions[0].status = "False";
  CHECK(plan_of(state, 0).ingress.empty());
  CHECK(plan_of(state, 0).reason == "UnAvailableLoadBalancer");
}

TEST_CASE("edge load balancer: a port belongs to who has it, then to the older") {
  auto a = service("a", 80), b = service("b", 80);
  LoadBalancerState state{{a, b}, {node("n1", "10.0.0.1")}, {}};
  CHECK(plan_of(state, 0).ingress.size() == 1);
  CHECK(plan_of(state, 1).message == "port 80/TCP is taken on the nodes by Service default/a");
  b->status.loadBalancer.ingress = ingress_of({"10.0.0.1"});
  CHECK(plan_of(state, 0).ingress.empty());
  CHECK(plan_of(state, 1).ingress.size() == 1);
  b->spec.ports[0].protocol = "UDP";
  CHECK(plan_of(state, 0).ingress.size() == 1);
  b->spec.loadBalancerClass = "example.com/other";
  CHECK_FALSE(is_edge_load_balancer(*b));
}

TEST_CASE("edge load balancer: ports of the cluster are refused on the nodes") {
  LoadBalancerState state{{service("kubelet", 10250)}, {node("n1", "10.0.0.1")}, {}};
  CHECK(plan_of(state, 0).message == "port 10250/TCP is used by the cluster itself on its nodes");
  // An address of its own has all ports.
  CHECK(plan_of(state, 0, pool_of({"10.9.0.1"})).ingress.size() == 1);
}

TEST_CASE("edge load balancer: policy Local takes only nodes with ready endpoints") {
  auto web = service("web", 80);
  web->spec.externalTrafficPolicy = "Local";
  auto slice = std::make_shared<discoveryv1::EndpointSlice>();
  slice->metadata.namespace_ = "default";
  slice->metadata.labels["kubernetes.io/service-name"] = "web";
  slice->endpoints.emplace_back().nodeName = "n2";
  LoadBalancerState state{{web}, {node("n1", "10.0.0.1"), node("n2", "10.0.0.2")}, {slice}};
  CHECK(addresses(plan_of(state, 0)) == Addresses{"10.0.0.2"});
  CHECK(plan_of(state, 0, pool_of({"10.9.0.1"})).annotations[kAnnouncingNode] == "n2");
  slice->endpoints[0].conditions.ready = false;
  CHECK(plan_of(state, 0).ingress.empty());
  const auto pooled = plan_of(state, 0, pool_of({"10.9.0.1"}));
  CHECK(pooled.ingress.size() == 1);  // the address stays, nobody announces it
  CHECK(pooled.annotations.at(kAnnouncingNode) == "");
}

TEST_CASE("edge load balancer: addresses of the pool are given once, kept, and run out") {
  auto a = service("a", 80), b = service("b", 80), c = service("c", 80);
  const LbPool pool = pool_of({"10.0.0.1-10.0.0.3"});
  LoadBalancerState state{{c, b, a}, {node("n1", "10.0.0.1"), node("n2", "10.8.0.2")}, {}};
  CHECK(addresses(plan_of(state, 2, pool)) == Addresses{"10.0.0.2"});  // .1 is a node's
  CHECK(addresses(plan_of(state, 1, pool)) == Addresses{"10.0.0.3"});
  CHECK(plan_of(state, 0, pool).message == "no address of --lb-pool is free");
  CHECK(plan_of(state, 0, pool).reason == "SyncLoadBalancerFailed");
  CHECK(plan_of(state, 2, pool).annotations[kAnnouncingNode] == "n1");
  CHECK(plan_of(state, 1, pool).annotations[kAnnouncingNode] == "n2");  // shared out
  c->status.loadBalancer.ingress = ingress_of({"10.0.0.2"});
  CHECK(addresses(plan_of(state, 0, pool)) == Addresses{"10.0.0.2"});
  CHECK(addresses(plan_of(state, 2, pool)) == Addresses{"10.0.0.3"});
  // The announcing node stays as long as it serves.
  c->metadata.annotations[kAnnouncingNode] = "n2";
  CHECK(plan_of(state, 0, pool).annotations[kAnnouncingNode] == "n2");
  auto gone = node("n2", "10.8.0.2");
  gone->status.conditions[0].status = "Unknown";
  state.nodes[1] = gone;
  CHECK(plan_of(state, 0, pool).annotations[kAnnouncingNode] == "n1");
}

TEST_CASE("edge load balancer: addresses asked for") {
  auto a = service("a", 80), b = service("b", 80);
  const LbPool pool = pool_of({"10.9.0.0/29"});
  LoadBalancerState state{{a, b}, {node("n1", "10.0.0.1")}, {}};
  b->spec.loadBalancerIP = "10.9.0.1";
  CHECK(plan_of(state, 1, pool).message ==
        "the address asked for, 10.9.0.1, is taken by Service default/a");
  // Who has an address is not moved by an older one that asks for it.
  b->status.loadBalancer.ingress = ingress_of({"10.9.0.1"});
  a->status.loadBalancer.ingress = ingress_of({"10.9.0.2"});
  a->spec.loadBalancerIP = "10.9.0.1";
  CHECK(addresses(plan_of(state, 1, pool)) == Addresses{"10.9.0.1"});
  CHECK(plan_of(state, 0, pool).ingress.empty());
  a->metadata.annotations[kWantedAddress] = "10.9.0.5";
  CHECK(addresses(plan_of(state, 0, pool)) == Addresses{"10.9.0.5"});
  a->metadata.annotations[kWantedAddress] = "10.10.0.1";
  CHECK(plan_of(state, 0, pool).message == "the address asked for, 10.10.0.1, is not in --lb-pool");
  a->metadata.annotations[kWantedAddress] = "web";
  CHECK(plan_of(state, 0, pool).message ==
        "the address asked for, \"web\", is not an IPv4 address");
}

TEST_CASE("edge load balancer: classes choose between nodes and pool") {
  auto web = service("web", 80);
  LoadBalancerState state{{web}, {node("n1", "10.0.0.1")}, {}};
  web->spec.loadBalancerClass = kPoolLoadBalancerClass;
  CHECK(is_edge_load_balancer(*web));
  CHECK(plan_of(state, 0).message ==
        "class orch.io/pool needs a pool of addresses: the server's --lb-pool");
  web->spec.loadBalancerClass = kNodeLoadBalancerClass;
  CHECK(addresses(plan_of(state, 0, pool_of({"10.9.0.1"}))) == Addresses{"10.0.0.1"});
}

TEST_CASE("--lb-pool: what is and what is not one") {
  CHECK(pool_of({}).empty());
  const LbPool pool = pool_of({"10.0.0.250-10.0.1.1", "192.168.5.7/32"});
  CHECK(pool.contains(*LbPool::address("10.0.0.255")));
  CHECK_FALSE(pool.contains(*LbPool::address("10.0.1.2")));
  CHECK(pool.contains(*LbPool::address("192.168.5.7")));
  std::set<std::string> taken;
  std::string all;
  for (std::string at; !(at = pool.first_free(taken)).empty(); taken.insert(at)) all += at + " ";
  CHECK(all == "10.0.0.250 10.0.0.251 10.0.0.252 10.0.0.253 10.0.0.254 10.0.1.1 192.168.5.7 ");
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0.0/4", "10.0.0.9-10.0.0.1", "fd00::/64", "-",
                          "10.0.0.1-", "host/24", "10.0.0.0/"}) {
    INFO(bad);
    CHECK_FALSE(LbPool::parse({bad}));
  }
}

}  // namespace
}  // namespace orch::server
