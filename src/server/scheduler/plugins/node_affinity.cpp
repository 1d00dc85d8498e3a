// NodeAffinity: nodeSelector, required and preferred node affinity, matchFields.
#include <algorithm>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

const corev1::NodeAffinity* affinity_of(const PodInfo& pod) {
  const auto& affinity = pod.pod->spec.affinity;
  return affinity ? affinity->nodeAffinity.get() : nullptr;
}

bool selects(const corev1::NodeSelector& selector, const corev1::Node& node) {
  const auto& terms = selector.nodeSelectorTerms;
  return std::any_of(terms.begin(), terms.end(),
                     [&](const auto& term) { return node_selector_term_matches(term, node); });
}

int64_t preference_for(const corev1::Node& node, const corev1::NodeAffinity& affinity) {
  int64_t sum = 0;
  for (const auto& term : affinity.preferredDuringSchedulingIgnoredDuringExecution) {
    const auto& wanted = term.preference;
    // An empty preference prefers every node, as upstream has it.
    const bool any = wanted.matchExpressions.empty() && wanted.matchFields.empty();
    if (any || node_selector_term_matches(wanted, node)) sum += term.weight;
  }
  return sum;
}

class NodeAffinity final : public PreFilter, public Filter, public PreScore, public Score {
 public:
  explicit NodeAffinity(std::optional<corev1::NodeAffinity> added) : added_(std::move(added)) {}
  std::string_view name() const override { return "NodeAffinity"; }
  bool filter_is_local() const override { return true; }
  bool score_is_local() const override { return true; }

  Status pre_filter(CycleState&, const PodInfo& pod, const Snapshot&,
                    std::optional<std::set<std::string>>& only) const override {
    const corev1::NodeAffinity* affinity = affinity_of(pod);
    const corev1::NodeSelector* required =
        affinity ? affinity->requiredDuringSchedulingIgnoredDuringExecution.get() : nullptr;
    const bool added = added_ && added_->requiredDuringSchedulingIgnoredDuringExecution;
    if (!required && pod.pod->spec.nodeSelector.empty() && !added) return Status::skip();
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
    if (!added_allows(*node.node)) {
      return Status::unresolvable("node(s) didn't match scheduler-enforced node affinity");
    }
    if (node_affinity_matches(*pod.pod, *node.node)) return Status::success();
    return Status::unresolvable("node(s) didn't match Pod's node affinity/selector");
  }

  Status pre_score(CycleState&, const PodInfo& pod, const Snapshot&, Nodes) const override {
    const corev1::NodeAffinity* affinity = affinity_of(pod);
    const bool own = affinity && !affinity->preferredDuringSchedulingIgnoredDuringExecution.empty();
    const bool added = added_ && !added_->preferredDuringSchedulingIgnoredDuringExecution.empty();
    return own || added ? Status::success() : Status::skip();
  }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    const corev1::NodeAffinity* own = affinity_of(pod);
    const int64_t sum = own ? preference_for(*node.node, *own) : 0;
    return added_ ? sum + preference_for(*node.node, *added_) : sum;
  }
  void normalize(const CycleState&, std::vector<NodeScore>& scores) const override {
    normalize_scores(scores, false);
  }

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAdd | ClusterEvent::kLabel);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    return event.kind == ClusterEvent::Kind::kNode &&
           event.has(ClusterEvent::kAdd | ClusterEvent::kLabel) &&
           node_affinity_matches(*pod.pod, *event.node) && added_allows(*event.node);
  }

 private:
  bool added_allows(const corev1::Node& node) const {
    if (!added_) return true;
    const auto& required = added_->requiredDuringSchedulingIgnoredDuringExecution;
    return !required || selects(*required, node);
  }

  const std::optional<corev1::NodeAffinity> added_;
};

}  // namespace

std::unique_ptr<Plugin> make_node_affinity(const PluginContext& context) {
  return std::make_unique<NodeAffinity>(context.args.added_affinity);
}

}  // namespace orch::server::scheduler::plugins
