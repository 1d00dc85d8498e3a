// DefaultPreemption: when no node fits, finds the node where deleting the fewest and least
// important pods of lower priority makes room, and breaks no PodDisruptionBudget if it can.
#include <algorithm>
#include <deque>
#include <limits>

#include "orch/api/policyv1.h"
#include "server/scheduler/class_cache.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

int64_t start_seconds(const PodInfo& pod) {
  const auto& start = pod.pod->status.startTime;
  return start ? start->unix_seconds : std::numeric_limits<int64_t>::max();
}

// Higher priority first, then longer running.
bool more_important(const PodInfoPtr& a, const PodInfoPtr& b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  return start_seconds(*a) < start_seconds(*b);
}

Code refusal_of(const Diagnosis& diagnosis, uint32_t slot) {
  const Status* status = diagnosis.of(slot);
  return status ? status->code : Code::kUnschedulableAndUnresolvable;
}

bool is_preempted(const corev1::Pod& pod) {
  if (!pod.metadata.deletionTimestamp) return false;
  return std::any_of(pod.status.conditions.begin(), pod.status.conditions.end(), [](const auto& c) {
    return c.type == "DisruptionTarget" && c.status == "True" &&
           c.reason == "PreemptionByScheduler";
  });
}

// "" = eligible.
std::string why_not_eligible(const PodInfo& pod, const Snapshot& snapshot,
                             const Diagnosis& diagnosis) {
  if (pod.pod->spec.preemptionPolicy == "Never") {
    return "not eligible due to preemptionPolicy=Never.";
  }
  const std::string& nominated = pod.nominated_node;
  const auto* node = nominated.empty() ? nullptr : snapshot.find(nominated);
  if (!node || refusal_of(diagnosis, (*node)->slot) == Code::kUnschedulableAndUnresolvable)
    return "";
  const bool under_way =
      std::any_of((*node)->pods.begin(), (*node)->pods.end(), [&](const PodInfoPtr& other) {
        return other->priority < pod.priority && is_preempted(*other->pod);
      });
  return under_way ? "not eligible due to a terminating pod on the nominated node." : "";
}

// A budget as the trial counts it.
struct Budget {
  std::string ns;
  api::LabelSelector selector;
  const std::map<std::string, api::Time>* disrupted = nullptr;
  int64_t allowed = 0;
};

struct Budgets {
  std::vector<ClusterView::Budget> held;
  std::vector<Budget> all;

  explicit Budgets(const Snapshot& snapshot) {
    if (!snapshot.view.budgets) return;
    held = snapshot.view.budgets();
    for (const auto& budget : held) {
      api::LabelSelector selector = selector_of(budget->spec.selector);
      // One that selects everything by saying nothing covers no pod, as upstream has it here.
      if (selector.empty()) continue;
      all.push_back({budget->metadata.namespace_, std::move(selector),
                     &budget->status.disruptedPods, budget->status.disruptionsAllowed});
    }
  }

  // Which of `pods` (in order) cannot go without breaking a budget.
  std::vector<bool> violating(const std::vector<PodInfoPtr>& pods) const {
    std::vector<bool> out(pods.size());
    if (all.empty()) return out;
    std::vector<int64_t> left;
    for (const auto& budget : all) left.push_back(budget.allowed);
    for (size_t i = 0; i < pods.size(); ++i) {
      const PodInfo& pod = *pods[i];
      if (pod.labels().empty()) continue;
      for (size_t b = 0; b < all.size(); ++b) {
        if (all[b].ns != pod.namespace_() || !all[b].selector.matches(pod.labels())) continue;
        // Its going is counted already.
        if (all[b].disrupted->contains(pod.name())) continue;
        if (--left[b] < 0) out[i] = true;
      }
    }
    return out;
  }
};

// It breaks fewer budgets, its most important victim matters less, then the sum of priorities, then
// fewer victims, then victims that started later.
auto rank_of(const std::vector<PodInfoPtr>& victims, int64_t violations) {
  int64_t sum = 0;
  int64_t earliest = std::numeric_limits<int64_t>::max();
  for (const auto& victim : victims) {
    sum += static_cast<int64_t>(victim->priority) + std::numeric_limits<int32_t>::max() + 1LL;
    if (victim->priority == victims.front()->priority) {
      earliest = std::min(earliest, start_seconds(*victim));
    }
  }
  const int64_t highest = victims.empty() ? 0 : victims.front()->priority;
  return std::make_tuple(violations, highest, sum, victims.size(), -earliest);
}

// The victims needed on `original`; a refusal if even all lower-priority pods are not enough.
Status select_victims(const Framework& framework, const CycleState& before, const PodInfo& pod,
                      const NodeInfo& original, const Snapshot& snapshot, const Budgets& budgets,
                      PreemptionTrial& out) {
  std::vector<PodInfoPtr> lower;
  for (const auto& other : original.pods) {
    if (other->priority < pod.priority) lower.push_back(other);
  }
  if (lower.empty()) {
    return Status::unresolvable("No preemption victims found for incoming pod");
  }
  CycleState state = before.clone();
  NodeInfo node = original;
  auto remove = [&](const PodInfoPtr& other) {
    node.remove_pod(other);
    framework.run_remove_pod(state, pod, *other, node, snapshot);
  };
  for (const auto& other : lower) remove(other);
  Status fits = framework.run_filter_with_nominated(state, pod, node, snapshot);
  if (!fits.ok()) return fits;

  // Spare as many as possible: those whose going breaks a budget first, then the most important.
  std::stable_sort(lower.begin(), lower.end(), more_important);
  const std::vector<bool> violating = budgets.violating(lower);
  int64_t violations = 0;
  for (const bool breaks : {true, false}) {
    for (size_t i = 0; i < lower.size(); ++i) {
      if (violating[i] != breaks) continue;
      node.add_pod(lower[i]);
      framework.run_add_pod(state, pod, *lower[i], node, snapshot);
      if (framework.run_filter_with_nominated(state, pod, node, snapshot).ok()) continue;
      remove(lower[i]);
      out.victims.push_back(lower[i]);
      violations += breaks ? 1 : 0;
    }
  }
  std::stable_sort(out.victims.begin(), out.victims.end(), more_important);
  out.rank = rank_of(out.victims, violations);
  return Status::success();
}

class DefaultPreemption final : public PostFilter {
 public:
  explicit DefaultPreemption(const PluginArgs& args)
      : candidates_percent_(static_cast<size_t>(args.min_candidate_nodes_percentage)),
        candidates_min_(static_cast<size_t>(args.min_candidate_nodes_absolute)) {}
  std::string_view name() const override { return "DefaultPreemption"; }

  PostFilterResult post_filter(const Framework& framework, const CycleState& state,
                               const PodInfo& pod, const Snapshot& snapshot,
                               const Diagnosis& diagnosis, Random& random) const override {
    PostFilterResult out;
    if (auto why = why_not_eligible(pod, snapshot, diagnosis); !why.empty()) {
      out.status = Status::unschedulable("preemption: " + why);
      out.nominated_node = pod.nominated_node;
      return out;
    }
    Diagnosis trial;
    trial.all_nodes = snapshot.nodes.size();
    trial.absent = Status::unresolvable("Preemption is not helpful for scheduling");
    std::deque<PreemptionTrial> fresh;
    const auto candidates =
        find_candidates({framework, state, pod, snapshot, Budgets(snapshot), fresh, nullptr},
                        diagnosis, random, trial);
    if (candidates.empty()) {
      out.status = Status::unschedulable("preemption: " + trial.message());
      return out;
    }
    const auto* best =
        *std::min_element(candidates.begin(), candidates.end(),
                          [](const auto* a, const auto* b) { return a->rank < b->rank; });
    out.nominated_node = best->node->name();
    out.victims = best->victims;
    return out;
  }

  // Asked only about pods that others refused; victims leaving is their matter.
  ClusterEvent::Mask interests() const override { return 0; }

 private:
  struct Search {
    const Framework& framework;
    const CycleState& state;
    const PodInfo& pod;
    const Snapshot& snapshot;
    const Budgets budgets;
    std::deque<PreemptionTrial>& fresh;    // those that are not remembered
    std::vector<PreemptionTrial>* trials;  // by slot; null: nothing may be remembered
  };

  // From memory if the node is as it was.
  static const PreemptionTrial& look_at(Search& search, const NodeInfo& node, Diagnosis& trial) {
    const bool remembers = search.trials != nullptr && !node.is_nominated(search.pod);
    auto& found =
        remembers ? (*search.trials)[node.slot] : search.fresh.emplace_back(PreemptionTrial{});
    if (!remembers || found.generation != node.generation) {
      found = {};
      found.generation = node.generation;
      Status status = select_victims(search.framework, search.state, search.pod, node,
                                     search.snapshot, search.budgets, found);
      if (!status.ok() && remembers) {
        found.refusal = search.state.known->keep(std::move(status));
      } else if (!status.ok()) {
        trial.refuse(node, std::move(status));
        found.refusal = trial.of(node.slot);
      }
    }
    found.node = &node;
    if (found.refusal != nullptr && remembers) trial.refuse(node.slot, found.refusal);
    return found;
  }

  std::vector<const PreemptionTrial*> find_candidates(Search search, const Diagnosis& diagnosis,
                                                      Random& random, Diagnosis& trial) const {
    const Snapshot& snapshot = search.snapshot;
    std::vector<const NodeInfo*> potential;
    potential.reserve(snapshot.nodes.size());
    for (size_t i = 0; i < snapshot.nodes.size(); ++i) {
      if (refusal_of(diagnosis, snapshot.tags[i].slot) != Code::kUnschedulable) continue;
      potential.push_back(snapshot.nodes[i].get());
    }
    std::vector<const PreemptionTrial*> out;
    if (potential.empty()) return out;
    // Budgets change apart from the nodes.
    if (search.state.known != nullptr && search.budgets.all.empty()) {
      search.trials = &search.state.known->of_priority(search.pod.priority).trials;
    }
    // Some that break no budget, besides those that do.
    const size_t enough = std::max<size_t>(
        1, std::min(potential.size(),
                    std::max(candidates_min_, snapshot.nodes.size() * candidates_percent_ / 100)));
    size_t harmless = 0;
    const size_t offset = random_below(random, potential.size());
    for (size_t i = 0; i < potential.size(); ++i) {
      if (out.size() >= enough && harmless > 0) break;
      const NodeInfo& node = *potential[(offset + i) % potential.size()];
      const auto& found = look_at(search, node, trial);
      if (found.refusal != nullptr || found.victims.empty()) continue;
      harmless += std::get<0>(found.rank) == 0 ? 1 : 0;
      out.push_back(&found);
    }
    return out;
  }

  const size_t candidates_percent_, candidates_min_;
};

}  // namespace

std::unique_ptr<Plugin> make_default_preemption(const PluginContext& context) {
  return std::make_unique<DefaultPreemption>(context.args);
}

}  // namespace orch::server::scheduler::plugins
