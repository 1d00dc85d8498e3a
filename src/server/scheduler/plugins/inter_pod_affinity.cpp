// InterPodAffinity: required and preferred pod affinity and anti-affinity, of the new pod and of
// those that run. Pods are counted by domain in Indexes; a state holds those counts and, for trials
// of preemption, what changes them.
#include <algorithm>
#include <limits>

#include "server/scheduler/indexes.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr std::string_view kName = "InterPodAffinity";
constexpr std::string_view kScoreKey = "PreScoreInterPodAffinity";

bool matches_all(const std::vector<AffinityTerm>& terms, const PodInfo& pod,
                 const Snapshot& snapshot) {
  return !terms.empty() && std::all_of(terms.begin(), terms.end(), [&](const AffinityTerm& term) {
    return term_matches(term, pod, snapshot);
  });
}

// Pods by domain of one key.
struct Tally {
  TopologyKeyPtr key;
  std::shared_ptr<const std::vector<int64_t>> base;  // null = none
  int64_t total = 0;
  std::string term;                                // id, of terms that running pods carry
  std::vector<std::pair<int32_t, int64_t>> trial;  // domain, pods
  int64_t weight = 0;                              // for scores

  bool has_domain(const NodeInfo& node) const {
    return key->domain(node.slot) != TopologyKey::kNone;
  }
  int64_t at(const NodeInfo& node) const {
    const int32_t domain = key->domain(node.slot);
    if (domain == TopologyKey::kNone) return 0;
    const auto place = static_cast<size_t>(domain);
    int64_t out = base && place < base->size() ? (*base)[place] : 0;
    for (const auto& [where, pods] : trial) out += where == domain ? pods : 0;
    return out;
  }
  void shift(const NodeInfo& node, int64_t by) {
    const int32_t domain = key->domain(node.slot);
    if (domain == TopologyKey::kNone) return;
    trial.emplace_back(domain, by);
    total += by;
  }
};

Tally tally_of(const CarriedTermPtr& carried, int64_t weight = 0) {
  return {carried->key, {carried, &carried->pods}, carried->total, carried->term.id, {}, weight};
}

// Pods that match all of `terms`, by domain of `label`.
Tally count_matching(std::vector<AffinityTerm> terms, const std::string& label,
                     const Snapshot& snapshot, int64_t weight = 0) {
  std::string id = "affinity|" + label;
  for (const auto& term : terms) id += '|' + term.id;
  // Labels of namespaces change without the nodes.
  const bool asks = std::any_of(terms.begin(), terms.end(),
                                [](const AffinityTerm& term) { return term.asks_namespaces(); });
  auto counts = snapshot.indexes().counts(asks ? "" : id, snapshot, [&] {
    PodCounts::Rule rule;
    rule.key = snapshot.indexes().key(label, snapshot);
    rule.counts_pod = [terms = std::move(terms)](const PodInfo& other, const Snapshot& s) {
      return matches_all(terms, other, s);
    };
    return rule;
  });
  return {counts->key(), {counts, &counts->pods()}, counts->total(), "", {}, weight};
}

struct FilterState final : CycleState::Data {
  std::vector<Tally> existing_anti;  // running pods that refuse the new one
  std::vector<Tally> affinity;       // by term: running pods that match all of the new one's terms
  std::vector<Tally> anti;           // by term: running pods that the new one refuses
  bool matches_itself = false;

  std::unique_ptr<Data> clone() const override { return std::make_unique<FilterState>(*this); }

  void shift(const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
             const Snapshot& snapshot, int64_t by) {
    for (const auto& term : other.required_anti_affinity) {
      if (!term_matches(term, pod, snapshot)) continue;
      auto at = std::find_if(existing_anti.begin(), existing_anti.end(),
                             [&](const Tally& tally) { return tally.term == term.id; });
      if (at == existing_anti.end()) {
        Tally fresh;
        fresh.key = snapshot.indexes().key(term.topology_key, snapshot);
        fresh.term = term.id;
        at = existing_anti.insert(at, std::move(fresh));
      }
      at->shift(node, by);
    }
    if (matches_all(pod.required_affinity, other, snapshot)) {
      for (auto& tally : affinity) tally.shift(node, by);
    }
    for (size_t i = 0; i < anti.size(); ++i) {
      if (term_matches(pod.required_anti_affinity[i], other, snapshot)) anti[i].shift(node, by);
    }
  }
};

struct ScoreState final : CycleState::Data {
  std::vector<Tally> tallies;
  std::unique_ptr<Data> clone() const override { return std::make_unique<ScoreState>(*this); }
};

class InterPodAffinity final : public PreFilter, public Filter, public PreScore, public Score {
 public:
  InterPodAffinity(int64_t hard_weight, bool own_preferences_only)
      : hard_weight_(hard_weight), own_preferences_only_(own_preferences_only) {}
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    auto data = std::make_unique<FilterState>();
    for (const auto& carried : snapshot.indexes().carried(snapshot).matching(
             CarriedTerm::Kind::kRequiredAnti, pod, snapshot)) {
      data->existing_anti.push_back(tally_of(carried));
    }
    if (data->existing_anti.empty() && pod.required_affinity.empty() &&
        pod.required_anti_affinity.empty()) {
      return Status::skip();
    }
    for (const auto& term : pod.required_affinity) {
      data->affinity.push_back(count_matching(pod.required_affinity, term.topology_key, snapshot));
    }
    for (const auto& term : pod.required_anti_affinity) {
      data->anti.push_back(count_matching({term}, term.topology_key, snapshot));
    }
    data->matches_itself = matches_all(pod.required_affinity, pod, snapshot);
    state.put(kName, std::move(data));
    return Status::success();
  }

  void add_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
               const Snapshot& snapshot) const override {
    if (auto* data = state.get<FilterState>(kName)) data->shift(pod, other, node, snapshot, 1);
  }
  void remove_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
                  const Snapshot& snapshot) const override {
    if (auto* data = state.get<FilterState>(kName)) data->shift(pod, other, node, snapshot, -1);
  }

  Status filter(const CycleState& state, const PodInfo&, const NodeInfo& node) const override {
    const auto* data = state.get<FilterState>(kName);
    if (!affinity_holds(*data, node)) {
      return Status::unresolvable("node(s) didn't match pod affinity rules");
    }
    auto occupied = [&](const Tally& tally) { return tally.at(node) > 0; };
    if (std::any_of(data->anti.begin(), data->anti.end(), occupied)) {
      return Status::unschedulable("node(s) didn't match pod anti-affinity rules");
    }
    if (std::any_of(data->existing_anti.begin(), data->existing_anti.end(), occupied)) {
      return Status::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules");
    }
    return Status::success();
  }

  Status pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                   Nodes) const override {
    using Kind = CarriedTerm::Kind;
    auto data = std::make_unique<ScoreState>();
    auto own = [&](const std::vector<AffinityTerm>& terms, int64_t sign) {
      for (const auto& term : terms) {
        data->tallies.push_back(
            count_matching({term}, term.topology_key, snapshot, sign * term.weight));
      }
    };
    own(pod.preferred_affinity, 1);
    own(pod.preferred_anti_affinity, -1);
    const CarriedTerms& all = snapshot.indexes().carried(snapshot);
    auto carried = [&](Kind kind, auto weight) {
      for (const auto& term : all.matching(kind, pod, snapshot)) {
        data->tallies.push_back(tally_of(term, weight(*term)));
      }
    };
    const bool has_own = !pod.preferred_affinity.empty() || !pod.preferred_anti_affinity.empty();
    if (has_own || !own_preferences_only_) {
      if (hard_weight_ > 0) {
        carried(Kind::kRequired, [this](const CarriedTerm&) { return hard_weight_; });
      }
      carried(Kind::kPreferred, [](const CarriedTerm& term) { return +term.term.weight; });
      carried(Kind::kPreferredAnti, [](const CarriedTerm& term) { return -term.term.weight; });
    }
    std::erase_if(data->tallies,
                  [](const Tally& tally) { return tally.total == 0 || tally.weight == 0; });
    if (data->tallies.empty()) return Status::skip();
    state.put(kScoreKey, std::move(data));
    return Status::success();
  }

  int64_t score(const CycleState& state, const PodInfo&, const NodeInfo& node,
                const Snapshot&) const override {
    int64_t sum = 0;
    for (const auto& tally : state.get<ScoreState>(kScoreKey)->tallies) {
      sum += tally.weight * tally.at(node);
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

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode,
                              ClusterEvent::kAdd | ClusterEvent::kLabel | ClusterEvent::kTaint) |
           ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod,
                              ClusterEvent::kAdd | ClusterEvent::kDelete | ClusterEvent::kLabel);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind == ClusterEvent::Kind::kNode) return true;
    // Namespace selectors are not looked up here: a wrong yes costs one try.
    auto concerns = [](const std::vector<AffinityTerm>& terms, const PodInfo& other) {
      return std::any_of(terms.begin(), terms.end(), [&](const AffinityTerm& term) {
        return term.selector.matches(other.labels());
      });
    };
    for (const auto* other : {event.old_pod.get(), event.pod.get()}) {
      if (!other) continue;
      if (concerns(pod.required_affinity, *other) || concerns(pod.required_anti_affinity, *other) ||
          concerns(other->required_anti_affinity, pod)) {
        return true;
      }
    }
    return false;
  }

 private:
  static bool affinity_holds(const FilterState& data, const NodeInfo& node) {
    bool near = true, any = false;
    for (const auto& tally : data.affinity) {
      if (!tally.has_domain(node)) return false;
      if (tally.at(node) <= 0) near = false;
      any = any || tally.total > 0;
    }
    // The first pod of a group that wants to be near itself must start somewhere.
    return near || (!any && data.matches_itself);
  }

  const int64_t hard_weight_;
  const bool own_preferences_only_;
};

}  // namespace

std::unique_ptr<Plugin> make_inter_pod_affinity(const PluginContext& context) {
  return std::make_unique<InterPodAffinity>(context.args.hard_pod_affinity_weight,
                                            context.args.ignore_preferred_terms_of_existing_pods);
}

}  // namespace orch::server::scheduler::plugins
