// The edge provider's load balancer: which addresses a Service of type LoadBalancer is reached at,
// or why it stays pending. Node addresses, where the service proxy answers the Service's ports; or
// one address of --lb-pool each, which the node named by the annotation announces. Pure; the caller
// owns everything passed in.
#pragma once

#include "server/cloud/lb_pool.h"
#include "server/cloud/provider.h"

namespace orch::server {

// loadBalancerClass: none is the pool where there is one, else the nodes.
inline constexpr const char* kNodeLoadBalancerClass = "orch.io/node";
inline constexpr const char* kPoolLoadBalancerClass = "orch.io/pool";
// Asks for an address of the pool, before spec.loadBalancerIP.
inline constexpr const char* kWantedAddress = "orch.io/load-balancer-ip";
// Says which node announces the address; the agents act by it.
inline constexpr const char* kAnnouncingNode = "orch.io/load-balancer-node";

// A LoadBalancer, not being deleted, of one of our classes.
bool is_edge_load_balancer(const api::corev1::Service& service);
bool takes_from_pool(const api::corev1::Service& service, const LbPool& pool);

std::vector<LoadBalancerPlan> plan_edge_load_balancers(const LoadBalancerState& state,
                                                       const LbPool& pool);
// The ingress list of these addresses, as status.loadBalancer has it.
std::vector<api::corev1::LoadBalancerIngress> ingress_of(const std::vector<std::string>& addresses);

}  // namespace orch::server
