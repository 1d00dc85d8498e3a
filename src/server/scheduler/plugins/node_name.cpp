// NodeName: spec.nodeName, if given, is the only node.
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class NodeName final : public Filter {
 public:
  std::string_view name() const override { return "NodeName"; }
  bool filter_is_local() const override { return true; }
  Status filter(const CycleState&, const PodInfo& pod, const NodeInfo& node) const override {
    const auto& wanted = pod.pod->spec.nodeName;
    if (wanted.empty() || wanted == node.name()) return Status::success();
    return Status::unresolvable("node(s) didn't match the requested node name");
  }
  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAdd);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    return event.kind == ClusterEvent::Kind::kNode && event.has(ClusterEvent::kAdd) &&
           event.node->metadata.name == pod.pod->spec.nodeName;
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_name(const PluginContext&) {
  return std::make_unique<NodeName>();
}

}  // namespace orch::server::scheduler::plugins
