// InterPodAffinity: required and preferred pod affinity and anti-affinity, of the new pod and of
// those that run.
#include <algorithm>
#include <limits>
#include <unordered_map>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr std::string_view kName = "InterPodAffinity";
constexpr std::string_view kScoreKey = "PreScoreInterPodAffinity";
// What a running pod's required affinity to the new pod is worth.
constexpr int64_t kHardAffinityWeight = 1;

// topology key -> domain -> pods, or weights; none is zero. By key first: a node has one domain of
// each, so that asking for a node costs a look-up a key, however many domains there are.
using Counts = std::map<std::string, std::unordered_map<std::string, int64_t>>;

void shift(Counts& counts, const std::string& key, const NodeInfo& node, int64_t by) {
  const std::string* domain = node.label(key);
  if (!domain) return;
  auto& domains = counts[key];
  auto at = domains.try_emplace(*domain).first;
  at->second += by;
  if (at->second != 0) return;
  domains.erase(at);
  if (domains.empty()) counts.erase(key);
}

int64_t value_of(const Counts& counts, const std::string& key, const std::string& domain) {
  auto of_key = counts.find(key);
  if (of_key == counts.end()) return 0;
  auto at = of_key->second.find(domain);
  return at == of_key->second.end() ? 0 : at->second;
}

bool matches_all(const std::vector<AffinityTerm>& terms, const PodInfo& pod,
                 const Snapshot& snapshot) {
  return !terms.empty() && std::all_of(terms.begin(), terms.end(), [&](const AffinityTerm& term) {
    return term_matches(term, pod, snapshot);
  });
}

struct FilterState final : CycleState::Data {
  Counts existing_anti;  // running pods that refuse the new one
  Counts affinity;       // running pods that match all of the new one's terms
  Counts anti;           // running pods that the new one refuses
  bool matches_itself = false;

  std::unique_ptr<Data> clone() const override { return std::make_unique<FilterState>(*this); }

  void update(const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
              const Snapshot& snapshot, int64_t by) {
    for (const auto& term : other.required_anti_affinity) {
      if (term_matches(term, pod, snapshot)) shift(existing_anti, term.topology_key, node, by);
    }
    if (matches_all(pod.required_affinity, other, snapshot)) {
      for (const auto& term : pod.required_affinity) shift(affinity, term.topology_key, node, by);
    }
    for (const auto& term : pod.required_anti_affinity) {
      if (term_matches(term, other, snapshot)) shift(anti, term.topology_key, node, by);
    }
  }
};

struct ScoreState final : CycleState::Data {
  Counts weights;
  std::unique_ptr<Data> clone() const override { return std::make_unique<ScoreState>(*this); }
};

class InterPodAffinity final : public PreFilter, public Filter, public PreScore, public Score {
 public:
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    auto data = std::make_unique<FilterState>();
    const bool own = !pod.required_affinity.empty() || !pod.required_anti_affinity.empty();
    for (const auto& node : snapshot.nodes) {
      if (!own && node->pods_with_required_anti_affinity == 0) continue;
      for (const auto& other : node->pods) data->update(pod, *other, *node, snapshot, 1);
    }
    if (!own && data->existing_anti.empty()) return Status::skip();
    data->matches_itself = matches_all(pod.required_affinity, pod, snapshot);
    state.put(kName, std::move(data));
    return Status::success();
  }

  void add_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
               const Snapshot& snapshot) const override {
    if (auto* data = state.get<FilterState>(kName)) data->update(pod, other, node, snapshot, 1);
  }
  void remove_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
                  const Snapshot& snapshot) const override {
    if (auto* data = state.get<FilterState>(kName)) data->update(pod, other, node, snapshot, -1);
  }

  Status filter(const CycleState& state, const PodInfo& pod, const NodeInfo& node) const override {
    const auto* data = state.get<FilterState>(kName);
    if (!affinity_holds(*data, pod, node)) {
      return Status::unresolvable("node(s) didn't match pod affinity rules");
    }
    for (const auto& term : pod.required_anti_affinity) {
      const std::string* domain = node.label(term.topology_key);
      if (domain && value_of(data->anti, term.topology_key, *domain) > 0) {
        return Status::unschedulable("node(s) didn't match pod anti-affinity rules");
      }
    }
    for (const auto& [key, domains] : data->existing_anti) {
      const std::string* domain = node.label(key);
      auto at = domain ? domains.find(*domain) : domains.end();
      if (at != domains.end() && at->second > 0) {
        return Status::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules");
      }
    }
    return Status::success();
  }

  Status pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                   std::span<const NodeInfoPtr>) const override {
    const bool own = !pod.preferred_affinity.empty() || !pod.preferred_anti_affinity.empty();
    auto data = std::make_unique<ScoreState>();
    for (const auto& node : snapshot.nodes) {
      if (!own && node->pods_with_affinity == 0) continue;
      for (const auto& other : node->pods) weigh(data->weights, pod, *other, *node, snapshot);
    }
    if (data->weights.empty()) return Status::skip();
    state.put(kScoreKey, std::move(data));
    return Status::success();
  }

  int64_t score(const CycleState& state, const PodInfo&, const NodeInfo& node,
                const Snapshot&) const override {
    int64_t sum = 0;
    for (const auto& [key, domains] : state.get<ScoreState>(kScoreKey)->weights) {
      const std::string* domain = node.label(key);
      auto at = domain ? domains.find(*domain) : domains.end();
      if (at != domains.end()) sum += at->second;
    }
    return sum;
  }

  void normalize(const CycleState&, std::vector<NodeScore>& scores) const override {
    int64_t min = std::numeric_limits<int64_t>::max(), max = std::numeric_limits<int64_t>::min();
    for (const auto& s : scores) {
      min = std::min(min, s.score);
      max = std::max(max, s.score);
    }
    for (auto& s : scores) s.score = max == min ? 0 : kScoreMax * (s.score - min) / (max - min);
  }

  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind == ClusterEvent::Kind::kNode) {
      return event.has(ClusterEvent::kAdd | ClusterEvent::kLabel | ClusterEvent::kTaint);
    }
    // Namespace selectors are not looked up here: a wrong yes costs one try.
    auto concerns = [](const std::vector<AffinityTerm>& terms, const PodInfo* other) {
      return other && std::any_of(terms.begin(), terms.end(), [&](const AffinityTerm& term) {
               return term.selector.matches(other->labels());
             });
    };
    for (const auto* other : {event.old_pod.get(), event.pod.get()}) {
      if (!other) continue;
      if (concerns(pod.required_affinity, other) || concerns(pod.required_anti_affinity, other) ||
          concerns(other->required_anti_affinity, &pod)) {
        return true;
      }
    }
    return false;
  }

 private:
  static bool affinity_holds(const FilterState& data, const PodInfo& pod, const NodeInfo& node) {
    bool exists = true;
    for (const auto& term : pod.required_affinity) {
      const std::string* domain = node.label(term.topology_key);
      if (!domain) return false;
      if (value_of(data.affinity, term.topology_key, *domain) <= 0) exists = false;
    }
    if (exists) return true;
    // The first pod of a group that wants to be near itself must start somewhere.
    return data.affinity.empty() && data.matches_itself;
  }

  static void weigh(Counts& weights, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
                    const Snapshot& snapshot) {
    auto add = [&](const std::vector<AffinityTerm>& terms, const PodInfo& target, int64_t sign) {
      for (const auto& term : terms) {
        if (!term_matches(term, target, snapshot)) continue;
        shift(weights, term.topology_key, node, sign * term.weight);
      }
    };
    add(pod.preferred_affinity, other, 1);
    add(pod.preferred_anti_affinity, other, -1);
    for (const auto& term : other.required_affinity) {
      if (term_matches(term, pod, snapshot)) {
        shift(weights, term.topology_key, node, kHardAffinityWeight);
      }
    }
    add(other.preferred_affinity, pod, 1);
    add(other.preferred_anti_affinity, pod, -1);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_inter_pod_affinity(const client::Client&) {
  return std::make_unique<InterPodAffinity>();
}

}  // namespace orch::server::scheduler::plugins
