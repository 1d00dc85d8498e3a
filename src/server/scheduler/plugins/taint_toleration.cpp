// TaintToleration: NoSchedule and NoExecute taints filter, PreferNoSchedule ones count against a
// node.
#include <fmt/format.h>

#include <algorithm>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class TaintToleration final : public Filter, public Score {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  bool filter_is_local() const override { return true; }
  bool score_is_local() const override { return true; }

  Status filter(const CycleState&, const PodInfo& pod, const NodeInfo& node) const override {
    const corev1::Taint* taint = untolerated_taint(*pod.pod, *node.node);
    if (!taint) return Status::success();
    return Status::unresolvable(
        fmt::format("node(s) had untolerated taint {{{}: {}}}", taint->key, taint->value));
  }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    const auto& taints = node.node->spec.taints;
    return std::count_if(taints.begin(), taints.end(), [&](const corev1::Taint& taint) {
      return taint.effect == "PreferNoSchedule" && !tolerates(pod.pod->spec.tolerations, taint);
    });
  }
  void normalize(const CycleState&, std::vector<NodeScore>& scores) const override {
    normalize_scores(scores, true);
  }

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAdd | ClusterEvent::kTaint);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    return event.kind == ClusterEvent::Kind::kNode && !event.has(ClusterEvent::kDelete) &&
           !untolerated_taint(*pod.pod, *event.node);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_taint_toleration(const PluginContext&) {
  return std::make_unique<TaintToleration>();
}

}  // namespace orch::server::scheduler::plugins
