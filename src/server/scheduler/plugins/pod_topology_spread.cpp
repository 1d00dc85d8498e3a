// PodTopologySpread (KEP-895): keeps the number of matching pods even over topology domains.
// DoNotSchedule constraints filter, ScheduleAnyway ones score; pods without constraints of their
// own are spread over zones and hosts with what their Services and owners select.
#include <algorithm>
#include <cmath>
#include <limits>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr std::string_view kName = "PodTopologySpread";
constexpr const char* kHostname = "kubernetes.io/hostname";
constexpr const char* kZone = "topology.kubernetes.io/zone";

struct Constraint {
  int64_t max_skew = 1;
  int64_t min_domains = 1;
  std::string key;
  api::LabelSelector selector;
  bool honor_affinity = true, honor_taints = false;

  // Does this node count at all for this pod?
  bool includes(const PodInfo& pod, const corev1::Node& node) const {
    if (honor_affinity && !node_affinity_matches(*pod.pod, node)) return false;
    return !honor_taints || !untolerated_taint(*pod.pod, node);
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

std::vector<Constraint> constraints_of(const PodInfo& pod, std::string_view when) {
  std::vector<Constraint> out;
  for (const auto& constraint : pod.pod->spec.topologySpreadConstraints) {
    if (constraint.whenUnsatisfiable == when) out.push_back(parse(constraint, pod));
  }
  return out;
}

bool counts(const Constraint& constraint, const PodInfo& pod, const PodInfo& other) {
  return other.namespace_() == pod.namespace_() && !other.pod->metadata.deletionTimestamp &&
         constraint.selector.matches(other.labels());
}

int64_t count_on(const Constraint& constraint, const PodInfo& pod, const NodeInfo& node) {
  return std::count_if(node.pods.begin(), node.pods.end(),
                       [&](const PodInfoPtr& other) { return counts(constraint, pod, *other); });
}

bool has_all_keys(const std::vector<Constraint>& constraints, const NodeInfo& node) {
  return std::all_of(constraints.begin(), constraints.end(),
                     [&](const Constraint& c) { return node.label(c.key) != nullptr; });
}

struct FilterState final : CycleState::Data {
  std::vector<Constraint> constraints;
  std::vector<std::map<std::string, int64_t>> matches;  // by constraint: domain -> pods

  std::unique_ptr<Data> clone() const override { return std::make_unique<FilterState>(*this); }
  int64_t least(size_t i) const {
    if (static_cast<int64_t>(matches[i].size()) < constraints[i].min_domains) return 0;
    int64_t out = std::numeric_limits<int64_t>::max();
    for (const auto& [domain, pods] : matches[i]) out = std::min(out, pods);
    return out;
  }
};

struct ScoreState final : CycleState::Data {
  std::vector<Constraint> constraints;
  std::vector<std::map<std::string, int64_t>> matches;
  std::vector<double> weights;
  std::set<const NodeInfo*> ignored;  // lack a topology key

  std::unique_ptr<Data> clone() const override { return std::make_unique<ScoreState>(*this); }
};

class PodTopologySpread final : public PreFilter, public Filter, public PreScore, public Score {
 public:
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    auto data = std::make_unique<FilterState>();
    data->constraints = constraints_of(pod, "DoNotSchedule");
    if (data->constraints.empty()) return Status::skip();
    data->matches.resize(data->constraints.size());
    for (const auto& node : snapshot.nodes) {
      if (!has_all_keys(data->constraints, *node)) continue;
      for (size_t i = 0; i < data->constraints.size(); ++i) {
        const Constraint& constraint = data->constraints[i];
        if (!constraint.includes(pod, *node->node)) continue;
        data->matches[i][*node->label(constraint.key)] += count_on(constraint, pod, *node);
      }
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

  Status filter(const CycleState& state, const PodInfo& pod, const NodeInfo& node) const override {
    const auto* data = state.get<FilterState>(kName);
    for (size_t i = 0; i < data->constraints.size(); ++i) {
      const Constraint& constraint = data->constraints[i];
      const std::string* domain = node.label(constraint.key);
      if (!domain) {
        return Status::unresolvable(
            "node(s) didn't match pod topology spread constraints (missing required label)");
      }
      auto at = data->matches[i].find(*domain);
      const int64_t there = at == data->matches[i].end() ? 0 : at->second;
      const int64_t self = constraint.selector.matches(pod.labels()) ? 1 : 0;
      if (there + self - data->least(i) > constraint.max_skew) {
        return Status::unschedulable("node(s) didn't match pod topology spread constraints");
      }
    }
    return Status::success();
  }

  Status pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                   std::span<const NodeInfoPtr> feasible) const override;
  int64_t score(const CycleState& state, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override;
  void normalize(const CycleState& state, std::vector<NodeScore>& scores) const override;

  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind == ClusterEvent::Kind::kNode) {
      return event.has(ClusterEvent::kAdd | ClusterEvent::kDelete | ClusterEvent::kLabel |
                       ClusterEvent::kTaint);
    }
    for (const auto& constraint : constraints_of(pod, "DoNotSchedule")) {
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
    if (!data || !has_all_keys(data->constraints, node)) return;
    for (size_t i = 0; i < data->constraints.size(); ++i) {
      const Constraint& constraint = data->constraints[i];
      if (!constraint.includes(pod, *node.node) || !counts(constraint, pod, other)) continue;
      data->matches[i][*node.label(constraint.key)] += by;
    }
  }

  // The system's defaults, for pods without constraints of their own.
  static std::vector<Constraint> default_constraints(const PodInfo& pod, const Snapshot& snapshot) {
    if (!snapshot.view.spread_selector) return {};
    api::LabelSelector selector = snapshot.view.spread_selector(*pod.pod);
    if (selector.empty()) return {};
    Constraint host, zone;
    host.key = kHostname;
    host.max_skew = 3;
    host.selector = selector;
    zone.key = kZone;
    zone.max_skew = 5;
    zone.selector = std::move(selector);
    return {std::move(host), std::move(zone)};
  }
};

Status PodTopologySpread::pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                                    std::span<const NodeInfoPtr> feasible) const {
  const bool own = !pod.pod->spec.topologySpreadConstraints.empty();
  auto data = std::make_unique<ScoreState>();
  data->constraints =
      own ? constraints_of(pod, "ScheduleAnyway") : default_constraints(pod, snapshot);
  if (data->constraints.empty()) return Status::skip();
  data->matches.resize(data->constraints.size());

  for (const auto& node : feasible) {
    // Defaults do not presume that nodes carry zones.
    if (own && !has_all_keys(data->constraints, *node)) {
      data->ignored.insert(node.get());
      continue;
    }
    for (size_t i = 0; i < data->constraints.size(); ++i) {
      const Constraint& constraint = data->constraints[i];
      if (constraint.key == kHostname) continue;  // counted node by node in score()
      if (const auto* domain = node->label(constraint.key)) data->matches[i][*domain];
    }
  }
  for (size_t i = 0; i < data->constraints.size(); ++i) {
    const Constraint& constraint = data->constraints[i];
    const size_t domains = constraint.key == kHostname ? feasible.size() - data->ignored.size()
                                                       : data->matches[i].size();
    data->weights.push_back(std::log(static_cast<double>(domains) + 2));
  }
  for (const auto& node : snapshot.nodes) {
    if (own && !has_all_keys(data->constraints, *node)) continue;
    for (size_t i = 0; i < data->constraints.size(); ++i) {
      const Constraint& constraint = data->constraints[i];
      const auto* domain = node->label(constraint.key);
      if (!domain || constraint.key == kHostname) continue;
      auto at = data->matches[i].find(*domain);
      if (at == data->matches[i].end() || !constraint.includes(pod, *node->node)) continue;
      at->second += count_on(constraint, pod, *node);
    }
  }
  state.put("PreScorePodTopologySpread", std::move(data));
  return Status::success();
}

int64_t PodTopologySpread::score(const CycleState& state, const PodInfo& pod, const NodeInfo& node,
                                 const Snapshot&) const {
  const auto* data = state.get<ScoreState>("PreScorePodTopologySpread");
  if (data->ignored.contains(&node)) return 0;
  double sum = 0;
  for (size_t i = 0; i < data->constraints.size(); ++i) {
    const Constraint& constraint = data->constraints[i];
    const auto* domain = node.label(constraint.key);
    if (!domain) continue;
    int64_t pods = 0;
    if (constraint.key == kHostname) {
      pods = count_on(constraint, pod, node);
    } else if (auto at = data->matches[i].find(*domain); at != data->matches[i].end()) {
      pods = at->second;
    }
    sum +=
        static_cast<double>(pods) * data->weights[i] + static_cast<double>(constraint.max_skew - 1);
  }
  return std::llround(sum);
}

void PodTopologySpread::normalize(const CycleState& state, std::vector<NodeScore>& scores) const {
  const auto* data = state.get<ScoreState>("PreScorePodTopologySpread");
  int64_t min = std::numeric_limits<int64_t>::max(), max = 0;
  for (const auto& s : scores) {
    if (data->ignored.contains(s.node)) continue;
    min = std::min(min, s.score);
    max = std::max(max, s.score);
  }
  for (auto& s : scores) {
    if (data->ignored.contains(s.node)) {
      s.score = 0;
    } else {
      s.score = max == 0 ? kScoreMax : kScoreMax * (max + min - s.score) / max;
    }
  }
}

}  // namespace

std::unique_ptr<Plugin> make_pod_topology_spread(const client::Client&) {
  return std::make_unique<PodTopologySpread>();
}

}  // namespace orch::server::scheduler::plugins
