// PodTopologySpread (KEP-895): keeps the number of matching pods even over topology domains.
// DoNotSchedule constraints filter, ScheduleAnyway ones score; pods without constraints of their
// own are spread over zones and hosts with what their Services and owners select, or as the
// profile's default constraints say. Pods are counted in Indexes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "orch/api/codec.h"
#include "server/scheduler/indexes.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr std::string_view kName = "PodTopologySpread";
constexpr std::string_view kScoreKey = "PreScorePodTopologySpread";
constexpr const char* kHostname = "kubernetes.io/hostname";
constexpr const char* kZone = "topology.kubernetes.io/zone";
using Spec = std::vector<corev1::TopologySpreadConstraint>;

struct Constraint {
  int64_t max_skew = 1;
  int64_t min_domains = 1;
  std::string key;
  api::LabelSelector selector;
  bool honor_affinity = true, honor_taints = false;

  // Does this node count at all for this pod?
  bool includes(const corev1::Pod& pod, const corev1::Node& node) const {
    if (honor_affinity && !node_affinity_matches(pod, node)) return false;
    return !honor_taints || !untolerated_taint(pod, node);
  }
};

Constraint parse(const corev1::TopologySpreadConstraint& in, const PodInfo& pod) {
  Constraint out;
  out.max_skew = in.maxSkew;
  out.min_domains = in.minDomains.value_or(1);
  out.key = in.topologyKey;
  out.honor_affinity = in.nodeAffinityPolicy.value_or("Honor") == "Honor";
  out.honor_taints = in.nodeTaintsPolicy.value_or("Ignore") == "Honor";
  api::Ptr<api::metav1::LabelSelector> selector = in.labelSelector;
  for (const auto& key : in.matchLabelKeys) {
    auto at = pod.labels().find(key);
    if (!selector || at == pod.labels().end()) continue;
    auto& requirement = selector->matchExpressions.emplace_back();
    requirement.key = key;
    requirement.operator_ = "In";
    requirement.values = {at->second};
  }
  out.selector = selector_of(selector);
  return out;
}

std::vector<Constraint> constraints_of(const Spec& all, const PodInfo& pod, std::string_view when) {
  std::vector<Constraint> out;
  for (const auto& constraint : all) {
    if (constraint.whenUnsatisfiable == when) out.push_back(parse(constraint, pod));
  }
  return out;
}

bool counts(const Constraint& constraint, const std::string& ns, const PodInfo& other) {
  return other.namespace_() == ns && !other.pod->metadata.deletionTimestamp &&
         constraint.selector.matches(other.labels());
}

using Labels = std::vector<std::string>;

bool has_all(const Labels& labels, const NodeInfo& node) {
  return std::all_of(labels.begin(), labels.end(),
                     [&](const std::string& label) { return node.label(label) != nullptr; });
}

// Everything that decides what is counted, as one text.
std::string id_of(const Constraint& constraint, const PodInfo& pod, const Labels& required) {
  std::string out = "spread|" + pod.namespace_() + '|' + constraint.key + '|';
  for (const auto& label : required) out += label + ',';
  out += '|' + text_of(constraint.selector);
  const corev1::PodSpec& spec = pod.pod->spec;
  if (constraint.honor_affinity) {
    for (const auto& [key, value] : spec.nodeSelector) out += '|' + key + '=' + value;
    if (spec.affinity && spec.affinity->nodeAffinity) {
      out += '|' + api::to_json(*spec.affinity->nodeAffinity);
    }
  }
  if (constraint.honor_taints) {
    out += "|tolerates";
    for (const auto& toleration : spec.tolerations) out += '|' + api::to_json(toleration);
  }
  return out;
}

// `required`: labels without which a node does not count.
std::shared_ptr<const PodCounts> count(const Constraint& constraint, const PodInfo& pod,
                                       const Labels& required, const Snapshot& snapshot) {
  return snapshot.indexes().counts(id_of(constraint, pod, required), snapshot, [&] {
    PodCounts::Rule rule;
    rule.key = snapshot.indexes().key(constraint.key, snapshot);
    rule.counts_node = [constraint, required, like = pod.pod](const NodeInfo& node) {
      return has_all(required, node) && constraint.includes(*like, *node.node);
    };
    rule.counts_pod = [constraint, ns = pod.namespace_()](const PodInfo& other, const Snapshot&) {
      return counts(constraint, ns, other);
    };
    return rule;
  });
}

Labels labels_of(const std::vector<Constraint>& constraints) {
  Labels out;
  for (const auto& constraint : constraints) out.push_back(constraint.key);
  return out;
}

// A constraint with what it counts.
struct Counted {
  Constraint constraint;
  std::shared_ptr<const PodCounts> base;
  int64_t self = 0;  // 1 = the pod would count too
  int64_t least = 0;
  std::vector<std::pair<int32_t, int64_t>> trial;  // domain, pods

  int64_t at(int32_t domain) const {
    int64_t out = base->pods()[static_cast<size_t>(domain)];
    for (const auto& [where, pods] : trial) out += where == domain ? pods : 0;
    return out;
  }
  void find_least() {
    least = 0;
    if (base->domains() < constraint.min_domains) return;
    int64_t min = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < base->pods().size(); ++i) {
      const auto domain = static_cast<int32_t>(i);
      if (base->nodes(domain) > 0)
        min = std::min(min, trial.empty() ? base->pods()[i] : at(domain));
    }
    least = min;
  }
};

struct FilterState final : CycleState::Data {
  std::vector<Counted> all;
  std::unique_ptr<Data> clone() const override { return std::make_unique<FilterState>(*this); }
};

struct ScoreState final : CycleState::Data {
  struct Part {
    Constraint constraint;
    std::shared_ptr<const PodCounts> counts;
    TopologyKeyPtr key;
    bool by_node = false;
    double weight = 0;
  };
  std::vector<Part> parts;
  std::vector<bool> ignored;  // by slot: nodes that lack a topology key

  bool ignores(const NodeInfo& node) const {
    return node.slot < ignored.size() && ignored[node.slot];
  }
  std::unique_ptr<Data> clone() const override { return std::make_unique<ScoreState>(*this); }
};

class PodTopologySpread final : public PreFilter, public Filter, public PreScore, public Score {
 public:
  explicit PodTopologySpread(const PluginArgs& args)
      : of_system_(args.default_spread_of_system), defaults_(args.default_constraints) {}
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    std::vector<Constraint> constraints = wanted(pod, snapshot, "DoNotSchedule");
    if (constraints.empty()) return Status::skip();
    const Labels required = labels_of(constraints);
    auto data = std::make_unique<FilterState>();
    for (auto& constraint : constraints) {
      Counted& one = data->all.emplace_back();
      one.base = count(constraint, pod, required, snapshot);
      one.self = constraint.selector.matches(pod.labels()) ? 1 : 0;
      one.constraint = std::move(constraint);
      one.find_least();
    }
    state.put(kName, std::move(data));
    return Status::success();
  }

  void add_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
               const Snapshot&) const override {
    shift(state, pod, other, node, 1);
  }
  void remove_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo& node,
                  const Snapshot&) const override {
    shift(state, pod, other, node, -1);
  }

  Status filter(const CycleState& state, const PodInfo&, const NodeInfo& node) const override {
    for (const auto& one : state.get<FilterState>(kName)->all) {
      const int32_t domain = one.base->key()->domain(node.slot);
      if (domain == TopologyKey::kNone) {
        return Status::unresolvable(
            "node(s) didn't match pod topology spread constraints (missing required label)");
      }
      // A domain in which no node counts for this pod has no pods either.
      if (one.at(domain) + one.self - one.least > one.constraint.max_skew) {
        return Status::unschedulable("node(s) didn't match pod topology spread constraints");
      }
    }
    return Status::success();
  }

  Status pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                   Nodes feasible) const override;
  int64_t score(const CycleState& state, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override;
  void normalize(const CycleState& state, std::vector<NodeScore>& scores) const override;

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode,
                              ClusterEvent::kAdd | ClusterEvent::kDelete | ClusterEvent::kLabel |
                                  ClusterEvent::kTaint) |
           ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod,
                              ClusterEvent::kAdd | ClusterEvent::kDelete | ClusterEvent::kLabel);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind == ClusterEvent::Kind::kNode) return true;
    // Default constraints select what only a cycle looks up: a wrong yes costs one try.
    if (pod.pod->spec.topologySpreadConstraints.empty()) return true;
    for (const auto& constraint :
         constraints_of(pod.pod->spec.topologySpreadConstraints, pod, "DoNotSchedule")) {
      for (const auto* other : {event.old_pod.get(), event.pod.get()}) {
        if (other && other->namespace_() == pod.namespace_() &&
            constraint.selector.matches(other->labels())) {
          return true;
        }
      }
    }
    return false;
  }

 private:
  static void shift(CycleState& state, const PodInfo& pod, const PodInfo& other,
                    const NodeInfo& node, int64_t by) {
    auto* data = state.get<FilterState>(kName);
    if (!data) return;
    for (auto& one : data->all) {
      const int32_t domain = one.base->domain(node.slot);
      if (domain == TopologyKey::kNone || !counts(one.constraint, pod.namespace_(), other))
        continue;
      one.trial.emplace_back(domain, by);
      one.find_least();
    }
  }

  // The pod's own constraints of this kind, else the profile's defaults.
  std::vector<Constraint> wanted(const PodInfo& pod, const Snapshot& snapshot,
                                 std::string_view when) const {
    const Spec& own = pod.pod->spec.topologySpreadConstraints;
    if (!own.empty()) return constraints_of(own, pod, when);
    const bool system = of_system_ && when == "ScheduleAnyway";
    if ((!system && defaults_.empty()) || !snapshot.view.spread_selector) return {};
    std::vector<Constraint> out;
    if (system) {
      out.resize(2);
      out[0].key = kHostname;
      out[0].max_skew = 3;
      out[1].key = kZone;
      out[1].max_skew = 5;
    } else {
      out = constraints_of(defaults_, pod, when);
      if (out.empty()) return out;
    }
    const api::LabelSelector selector = snapshot.view.spread_selector(*pod.pod);
    if (selector.empty()) return {};
    for (auto& constraint : out) constraint.selector = selector;
    return out;
  }

  const bool of_system_;
  const Spec defaults_;
};

Status PodTopologySpread::pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                                    Nodes feasible) const {
  std::vector<Constraint> constraints = wanted(pod, snapshot, "ScheduleAnyway");
  if (constraints.empty()) return Status::skip();
  // The system's defaults do not presume that nodes carry zones.
  const bool all_required = !pod.pod->spec.topologySpreadConstraints.empty() || !of_system_;
  const Labels required = all_required ? labels_of(constraints) : Labels{};
  auto data = std::make_unique<ScoreState>();
  size_t with_labels = 0;
  data->ignored.resize(snapshot.slots.size());
  for (const auto* node : feasible) {
    const bool has = has_all(required, *node);
    data->ignored[node->slot] = !has;
    with_labels += has ? 1 : 0;
  }
  for (auto& constraint : constraints) {
    ScoreState::Part part;
    part.key = snapshot.indexes().key(constraint.key, snapshot);
    part.counts = count(constraint, pod, required, snapshot);
    part.by_node = constraint.key == kHostname;
    size_t domains = with_labels;
    if (!part.by_node) {
      std::vector<bool> seen(part.key->size());
      domains = 0;
      for (const auto* node : feasible) {
        const int32_t domain = part.key->domain(node->slot);
        if (domain == TopologyKey::kNone || data->ignored[node->slot]) continue;
        if (!seen[static_cast<size_t>(domain)]) ++domains;
        seen[static_cast<size_t>(domain)] = true;
      }
    }
    part.weight = std::log(static_cast<double>(domains) + 2);
    part.constraint = std::move(constraint);
    data->parts.push_back(std::move(part));
  }
  state.put(kScoreKey, std::move(data));
  return Status::success();
}

int64_t PodTopologySpread::score(const CycleState& state, const PodInfo&, const NodeInfo& node,
                                 const Snapshot&) const {
  const auto* data = state.get<ScoreState>(kScoreKey);
  if (data->ignores(node)) return 0;
  double sum = 0;
  for (const auto& part : data->parts) {
    const int32_t domain = part.key->domain(node.slot);
    if (domain == TopologyKey::kNone) continue;
    const int64_t pods = part.by_node ? part.counts->on_node(node.slot)
                                      : part.counts->pods()[static_cast<size_t>(domain)];
    sum +=
        static_cast<double>(pods) * part.weight + static_cast<double>(part.constraint.max_skew - 1);
  }
  return std::llround(sum);
}

void PodTopologySpread::normalize(const CycleState& state, std::vector<NodeScore>& scores) const {
  const auto* data = state.get<ScoreState>(kScoreKey);
  int64_t min = std::numeric_limits<int64_t>::max(), max = 0;
  for (const auto& s : scores) {
    if (data->ignores(*s.node)) continue;
    min = std::min(min, s.score);
    max = std::max(max, s.score);
  }
  for (auto& s : scores) {
    if (data->ignores(*s.node)) {
      s.score = 0;
    } else {
      s.score = max == 0 ? kScoreMax : kScoreMax * (max + min - s.score) / max;
    }
  }
}

}  // namespace

std::unique_ptr<Plugin> make_pod_topology_spread(const PluginContext& context) {
  return std::make_unique<PodTopologySpread>(context.args);
}

}  // namespace orch::server::scheduler::plugins
