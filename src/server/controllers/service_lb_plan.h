// What service-lb decides for a Service of type LoadBalancer: the node addresses it is reached at,
// or why it stays pending. Pure; the caller owns everything passed in. Only Services without
// loadBalancerClass, or of class orch.io/node, are ours.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"

namespace orch::server {

inline constexpr const char* kNodeLoadBalancerClass = "orch.io/node";

struct ServiceLbState {
  std::vector<std::shared_ptr<const api::corev1::Service>> services;  // of all namespaces
  std::vector<std::shared_ptr<const api::corev1::Node>> nodes;
  std::vector<std::shared_ptr<const api::discoveryv1::EndpointSlice>> slices;
};

struct ServiceLbPlan {
  std::vector<std::string> addresses;  // sorted; empty = pending
  std::string reason, message;         // of the event that says why it is pending
};

bool is_node_load_balancer(const api::corev1::Service& service);
ServiceLbPlan plan_service_lb(const api::corev1::Service& service, const ServiceLbState& state);
// The ingress list of these addresses, as status.loadBalancer has it.
std::vector<api::corev1::LoadBalancerIngress> ingress_of(const std::vector<std::string>& addresses);

}  // namespace orch::server
