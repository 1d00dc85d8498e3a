// NodeUnschedulable: keeps pods off cordoned nodes (spec.unschedulable).
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

bool accepts(const PodInfo& pod, const corev1::Node& node) {
  if (!node.spec.unschedulable) return true;
  corev1::Taint taint;
  taint.key = "node.kubernetes.io/unschedulable";
  taint.effect = "NoSchedule";
  return tolerates(pod.pod->spec.tolerations, taint);
}

class NodeUnschedulable final : public Filter {
 public:
  std::string_view name() const override { return "NodeUnschedulable"; }
  bool filter_is_local() const override { return true; }
  Status filter(const CycleState&, const PodInfo& pod, const NodeInfo& node) const override {
    if (accepts(pod, *node.node)) return Status::success();
    return Status::unresolvable("node(s) were unschedulable");
  }
  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAdd | ClusterEvent::kTaint);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    return event.kind == ClusterEvent::Kind::kNode && !event.has(ClusterEvent::kDelete) &&
           accepts(pod, *event.node);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_unschedulable(const PluginContext&) {
  return std::make_unique<NodeUnschedulable>();
}

}  // namespace orch::server::scheduler::plugins
