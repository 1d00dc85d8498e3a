// NodeAffinity: nodeSelector, required and preferred node affinity, matchFields.
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

const corev1::NodeAffinity* affinity_of(const PodInfo& pod) {
  const auto& affinity = pod.pod->spec.affinity;
  return affinity ? affinity->nodeAffinity.get() : nullptr;
}

class NodeAffinity final : public PreFilter, public Filter, public PreScore, public Score {
 public:
  std::string_view name() const override { return "NodeAffinity"; }

  Status pre_filter(CycleState&, const PodInfo& pod, const Snapshot&,
                    std::optional<std::set<std::string>>& only) const override {
    const corev1::NodeAffinity* affinity = affinity_of(pod);
    const corev1::NodeSelector* required =
        affinity ? affinity->requiredDuringSchedulingIgnoredDuringExecution.get() : nullptr;
    if (!required && pod.pod->spec.nodeSelector.empty()) return Status::skip();
    if (!required || required->nodeSelectorTerms.empty()) return Status::success();
    // Terms are alternatives: only if each names its nodes is the whole restricted to them.
    std::set<std::string> names;
    for (const auto& term : required->nodeSelectorTerms) {
      std::optional<std::set<std::string>> of_term;
      for (const auto& requirement : term.matchFields) {
        if (requirement.key != "metadata.name" || requirement.operator_ != "In") continue;
        std::set<std::string> values(requirement.values.begin(), requirement.values.end());
        if (of_term) {
          std::erase_if(*of_term, [&](const auto& node) { return !values.contains(node); });
        } else {
          of_term = std::move(values);
        }
      }
      if (!of_term) return Status::success();
      names.insert(of_term->begin(), of_term->end());
    }
    if (names.empty()) return Status::unresolvable("pod affinity terms conflict");
    only = std::move(names);
    return Status::success();
  }

  Status filter(const CycleState&, const PodInfo& pod, const NodeInfo& node) const override {
    if (node_affinity_matches(*pod.pod, *node.node)) return Status::success();
    return Status::unresolvable("node(s) didn't match Pod's node affinity/selector");
  }

  Status pre_score(CycleState&, const PodInfo& pod, const Snapshot&,
                   std::span<const NodeInfoPtr>) const override {
    const corev1::NodeAffinity* affinity = affinity_of(pod);
    if (!affinity || affinity->preferredDuringSchedulingIgnoredDuringExecution.empty()) {
      return Status::skip();
    }
    return Status::success();
  }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    int64_t sum = 0;
    for (const auto& term : affinity_of(pod)->preferredDuringSchedulingIgnoredDuringExecution) {
      const auto& wanted = term.preference;
      // An empty preference prefers every node, as upstream has it.
      const bool any = wanted.matchExpressions.empty() && wanted.matchFields.empty();
      if (any || node_selector_term_matches(wanted, *node.node)) sum += term.weight;
    }
    return sum;
  }
  void normalize(const CycleState&, std::vector<NodeScore>& scores) const override {
    normalize_scores(scores, false);
  }

  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    return event.kind == ClusterEvent::Kind::kNode &&
           event.has(ClusterEvent::kAdd | ClusterEvent::kLabel) &&
           node_affinity_matches(*pod.pod, *event.node);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_affinity(const client::Client&) {
  return std::make_unique<NodeAffinity>();
}

}  // namespace orch::server::scheduler::plugins
