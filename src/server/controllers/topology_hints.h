// Topology aware routing (annotation service.kubernetes.io/topology-mode: Auto): every zone gets a
// share of a Service's ready endpoints as its own, by the CPUs of its nodes. Pure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"

namespace orch::server {

// The part of the cluster's CPUs each zone has; nullopt: a node does not say its zone or CPUs.
// Control plane nodes and nodes that are not ready do not count.
std::optional<std::map<std::string, double>> zone_cpu_shares(
    const std::vector<std::shared_ptr<const api::corev1::Node>>& nodes);

struct TopologyHints {
  bool enabled = false;
  std::string message;  // of the event that says so; "" = nobody asked for hints
};
// Sets the hints of `slices` (all of one service), or leaves them without.
TopologyHints add_topology_hints(const api::corev1::Service& service,
                                 const std::optional<std::map<std::string, double>>& shares,
                                 std::vector<api::discoveryv1::EndpointSlice>& slices);

}  // namespace orch::server
