// NodePorts: host ports are given out once per node, protocol and address.
#include <algorithm>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

template <class Used>
bool conflict(const std::vector<HostPort>& wanted, const Used& used) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const HostPort& port) {
    return std::any_of(used.begin(), used.end(),
                       [&](const HostPort& other) { return port.conflicts(other); });
  });
}

class NodePorts final : public PreFilter, public Filter {
 public:
  std::string_view name() const override { return "NodePorts"; }
  bool filter_is_local() const override { return true; }

  Status pre_filter(CycleState&, const PodInfo& pod, const Snapshot&,
                    std::optional<std::set<std::string>>&) const override {
    return pod.host_ports.empty() ? Status::skip() : Status::success();
  }
  Status filter(const CycleState&, const PodInfo& pod, const NodeInfo& node) const override {
    if (!conflict(pod.host_ports, node.used_ports)) return Status::success();
    return Status::unschedulable("node(s) didn't have free ports for the requested pod ports");
  }
  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAdd) |
           ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod, ClusterEvent::kDelete);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind == ClusterEvent::Kind::kNode) return event.has(ClusterEvent::kAdd);
    return event.has(ClusterEvent::kDelete) && conflict(pod.host_ports, event.pod->host_ports);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_ports(const PluginContext&) {
  return std::make_unique<NodePorts>();
}

}  // namespace orch::server::scheduler::plugins
