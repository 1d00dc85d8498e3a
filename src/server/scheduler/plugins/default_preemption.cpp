// DefaultPreemption: when no node fits, finds the node where deleting the fewest and least
// important pods of lower priority makes room.
#include <algorithm>
#include <limits>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr size_t kCandidatesMin = 100;
constexpr size_t kCandidatesPercent = 10;

struct Candidate {
  std::string node;
  std::vector<PodInfoPtr> victims;  // the most important first
};

int64_t start_seconds(const PodInfo& pod) {
  const auto& start = pod.pod->status.startTime;
  return start ? start->unix_seconds : std::numeric_limits<int64_t>::max();
}

// Higher priority first, then longer running.
bool more_important(const PodInfoPtr& a, const PodInfoPtr& b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  return start_seconds(*a) < start_seconds(*b);
}

Code refusal_of(const Diagnosis& diagnosis, const std::string& node) {
  auto at = diagnosis.nodes.find(node);
  if (at != diagnosis.nodes.end()) return at->second.code;
  return diagnosis.absent ? diagnosis.absent->code : Code::kUnschedulableAndUnresolvable;
}

// "" = eligible.
std::string why_not_eligible(const PodInfo& pod, const Snapshot& snapshot,
                             const Diagnosis& diagnosis) {
  if (pod.pod->spec.preemptionPolicy == "Never") {
    return "not eligible due to preemptionPolicy=Never.";
  }
  const std::string& nominated = pod.pod->status.nominatedNodeName;
  const auto* node = nominated.empty() ? nullptr : snapshot.find(nominated);
  if (!node || refusal_of(diagnosis, nominated) == Code::kUnschedulableAndUnresolvable) return "";
  const bool under_way =
      std::any_of((*node)->pods.begin(), (*node)->pods.end(), [&](const PodInfoPtr& other) {
        return other->pod->metadata.deletionTimestamp && other->priority < pod.priority;
      });
  return under_way ? "not eligible due to a terminating pod on the nominated node." : "";
}

// The victims needed on `original`; a refusal if even all lower-priority pods are not enough.
Status select_victims(const Framework& framework, CycleState state, const PodInfo& pod,
                      const NodeInfo& original, const Snapshot& snapshot,
                      std::vector<PodInfoPtr>& victims) {
  NodeInfo node = original;
  std::vector<PodInfoPtr> lower;
  for (const auto& other : original.pods) {
    if (other->priority < pod.priority) lower.push_back(other);
  }
  if (lower.empty()) {
    return Status::unresolvable("No preemption victims found for incoming pod");
  }
  auto remove = [&](const PodInfoPtr& other) {
    node.remove_pod(other->uid());
    framework.run_remove_pod(state, pod, *other, node, snapshot);
  };
  for (const auto& other : lower) remove(other);
  Status fits = framework.run_filter_with_nominated(state, pod, node, snapshot);
  if (!fits.ok()) return fits;

  // Spare as many as possible, the most important first.
  std::stable_sort(lower.begin(), lower.end(), more_important);
  for (const auto& other : lower) {
    node.add_pod(other);
    framework.run_add_pod(state, pod, *other, node, snapshot);
    if (framework.run_filter_with_nominated(state, pod, node, snapshot).ok()) continue;
    remove(other);
    victims.push_back(other);
  }
  return Status::success();
}

// True if `a` is the better choice: its most important victim matters less, then the sum of
// priorities, then fewer victims, then victims that started later.
bool better(const Candidate& a, const Candidate& b) {
  auto rank = [](const Candidate& c) {
    int64_t sum = 0;
    int64_t earliest = std::numeric_limits<int64_t>::max();
    for (const auto& victim : c.victims) {
      sum += static_cast<int64_t>(victim->priority) + std::numeric_limits<int32_t>::max() + 1LL;
      if (victim->priority == c.victims.front()->priority) {
        earliest = std::min(earliest, start_seconds(*victim));
      }
    }
    return std::make_tuple(c.victims.front()->priority, sum, c.victims.size(), -earliest);
  };
  return rank(a) < rank(b);
}

class DefaultPreemption final : public PostFilter {
 public:
  std::string_view name() const override { return "DefaultPreemption"; }

  PostFilterResult post_filter(const Framework& framework, const CycleState& state,
                               const PodInfo& pod, const Snapshot& snapshot,
                               const Diagnosis& diagnosis, Random& random) const override {
    PostFilterResult out;
    if (auto why = why_not_eligible(pod, snapshot, diagnosis); !why.empty()) {
      out.status = Status::unschedulable("preemption: " + why);
      out.nominated_node = pod.pod->status.nominatedNodeName;
      return out;
    }
    Diagnosis trial;
    trial.all_nodes = snapshot.nodes.size();
    trial.absent = Status::unresolvable("Preemption is not helpful for scheduling");
    const auto candidates =
        find_candidates(framework, state, pod, snapshot, diagnosis, random, trial);
    if (candidates.empty()) {
      out.status = Status::unschedulable("preemption: " + trial.message());
      return out;
    }
    const Candidate& best = *std::min_element(candidates.begin(), candidates.end(), better);
    out.nominated_node = best.node;
    out.victims = best.victims;
    return out;
  }

  // Asked only about pods that others refused; victims leaving is their matter.
  bool may_help(const ClusterEvent&, const PodInfo&) const override { return false; }

 private:
  static std::vector<Candidate> find_candidates(const Framework& framework, const CycleState& state,
                                                const PodInfo& pod, const Snapshot& snapshot,
                                                const Diagnosis& diagnosis, Random& random,
                                                Diagnosis& trial) {
    std::vector<const NodeInfo*> potential;
    for (const auto& node : snapshot.nodes) {
      if (refusal_of(diagnosis, node->name()) == Code::kUnschedulable) {
        potential.push_back(node.get());
      }
    }
    std::vector<Candidate> out;
    if (potential.empty()) return out;
    const size_t enough =
        std::max(kCandidatesMin, snapshot.nodes.size() * kCandidatesPercent / 100);
    const size_t offset = random_below(random, potential.size());
    for (size_t i = 0; i < potential.size() && out.size() < enough; ++i) {
      const NodeInfo& node = *potential[(offset + i) % potential.size()];
      Candidate candidate{node.name(), {}};
      Status status =
          select_victims(framework, state.clone(), pod, node, snapshot, candidate.victims);
      if (!status.ok()) {
        trial.nodes[node.name()] = std::move(status);
      } else if (!candidate.victims.empty()) {
        out.push_back(std::move(candidate));
      }
    }
    return out;
  }
};

}  // namespace

std::unique_ptr<Plugin> make_default_preemption(const client::Client&) {
  return std::make_unique<DefaultPreemption>();
}

}  // namespace orch::server::scheduler::plugins
