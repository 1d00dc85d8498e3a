#include "server/controllers/service_lb_plan.h"

#include <catch2/catch.hpp>

namespace orch::server {
namespace {

using namespace api;
using Addresses = std::vector<std::string>;

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

TEST_CASE("service-lb: addresses of ready nodes that are not excluded") {
  auto web = service("web", 80);
  auto n1 = node("n1", "10.0.0.1"), n2 = node("n2", "10.0.0.2"), n3 = node("n3", "10.0.0.3");
  n2->status.conditions[0].status = "Unknown";
  n3->metadata.labels["node.kubernetes.io/exclude-from-external-load-balancers"] = "";
  ServiceLbState state{{web}, {n3, n2, n1}, {}};
  CHECK(plan_service_lb(*web, state).addresses == Addresses{"10.0.0.1"});
  n1->status.conditions[0].status = "False";
  const auto none = plan_service_lb(*web, state);
  CHECK(none.addresses.empty());
  CHECK(none.reason == "UnAvailableLoadBalancer");
}

TEST_CASE("service-lb: a port belongs to who has it, then to the older") {
  auto a = service("a", 80), b = service("b", 80);
  ServiceLbState state{{a, b}, {node("n1", "10.0.0.1")}, {}};
  CHECK(plan_service_lb(*a, state).addresses.size() == 1);
  CHECK(plan_service_lb(*b, state).message ==
        "port 80/TCP is taken on the nodes by Service default/a");
  b->status.loadBalancer.ingress = ingress_of({"10.0.0.1"});
  CHECK(plan_service_lb(*a, state).addresses.empty());
  CHECK(plan_service_lb(*b, state).addresses.size() == 1);
  b->spec.ports[0].protocol = "UDP";
  CHECK(plan_service_lb(*a, state).addresses.size() == 1);
  b->spec.ports[0].protocol = "TCP";
  b->spec.loadBalancerClass = "example.com/other";
  CHECK_FALSE(is_node_load_balancer(*b));
  CHECK(plan_service_lb(*a, state).addresses.size() == 1);
}

TEST_CASE("service-lb: ports of the cluster and source ranges are refused") {
  auto kubelet = service("kubelet", 10250);
  ServiceLbState state{{kubelet}, {node("n1", "10.0.0.1")}, {}};
  CHECK(plan_service_lb(*kubelet, state).addresses.empty());
  auto limited = service("limited", 80);
  limited->spec.loadBalancerSourceRanges = {"10.0.0.0/8"};
  CHECK(plan_service_lb(*limited, state).reason == "SyncLoadBalancerFailed");
}

TEST_CASE("service-lb: policy Local takes only nodes with ready endpoints") {
  auto web = service("web", 80);
  web->spec.externalTrafficPolicy = "Local";
  auto slice = std::make_shared<discoveryv1::EndpointSlice>();
  slice->metadata.namespace_ = "default";
  slice->metadata.labels["kubernetes.io/service-name"] = "web";
  slice->endpoints.emplace_back().nodeName = "n2";
  ServiceLbState state{{web}, {node("n1", "10.0.0.1"), node("n2", "10.0.0.2")}, {slice}};
  CHECK(plan_service_lb(*web, state).addresses == Addresses{"10.0.0.2"});
  slice->endpoints[0].conditions.ready = false;
  CHECK(plan_service_lb(*web, state).addresses.empty());
}

}  // namespace
}  // namespace orch::server
