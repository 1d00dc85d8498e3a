#include "server/scheduler/schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::server::scheduler {
namespace {

constexpr size_t kFeasibleMin = 100;
constexpr size_t kPercentMin = 5;

// Filters `candidates` from `start` on until enough are found. False = a plugin broke.
bool find_feasible(const Framework& framework, const Snapshot& snapshot, const PodInfo& pod,
                   std::span<const NodeInfoPtr> candidates, size_t start, Decision& decision,
                   std::vector<NodeInfoPtr>& feasible) {
  const size_t enough = feasible_nodes_to_find(candidates.size());
  for (size_t i = 0; i < candidates.size() && feasible.size() < enough; ++i) {
    const NodeInfoPtr& node = candidates[(start + i) % candidates.size()];
    ++decision.evaluated;
    Status status = framework.run_filter_with_nominated(decision.state, pod, *node, snapshot);
    if (status.ok()) {
      feasible.push_back(node);
    } else if (status.rejected()) {
      decision.diagnosis.plugins.insert(std::string(status.plugin));
      decision.diagnosis.nodes[node->name()] = std::move(status);
    } else {
      decision.status = std::move(status);
      return false;
    }
  }
  return true;
}

std::vector<NodeInfoPtr> narrowed(const Snapshot& snapshot, const std::set<std::string>& only) {
  std::vector<NodeInfoPtr> out;
  for (const auto& name : only) {
    if (const auto* node = snapshot.find(name)) out.push_back(*node);
  }
  return out;
}

// The highest score; ties are broken by chance (reservoir sampling).
const NodeInfo* select_host(const std::vector<NodeScore>& scores, Random& random) {
  const NodeInfo* best = nullptr;
  int64_t high = 0;
  uint64_t equals = 0;
  for (const auto& s : scores) {
    if (!best || s.score > high) {
      best = s.node;
      high = s.score;
      equals = 1;
    } else if (s.score == high && random_below(random, ++equals) == 0) {
      best = s.node;
    }
  }
  return best;
}

void refuse(const Framework& framework, const Snapshot& snapshot, const PodInfo& pod,
            Random& random, Decision& decision) {
  decision.rejected_by = decision.diagnosis.plugins;
  PostFilterResult other =
      framework.run_post_filter(decision.state, pod, snapshot, decision.diagnosis, random);
  decision.diagnosis.post_filter_message = other.status.message();
  decision.nominated_node = std::move(other.nominated_node);
  decision.victims = std::move(other.victims);
  decision.status = Status::unschedulable(decision.diagnosis.message());
}

}  // namespace

size_t feasible_nodes_to_find(size_t nodes) {
  if (nodes < kFeasibleMin) return nodes;
  const size_t percent = nodes / 125 >= 50 - kPercentMin ? kPercentMin : 50 - nodes / 125;
  return std::max(kFeasibleMin, nodes * percent / 100);
}

Decision schedule(const Framework& framework, const Snapshot& snapshot, const PodInfo& pod,
                  Random& random, size_t start) {
  Decision out;
  if (snapshot.nodes.empty()) {
    out.status = Status::unresolvable("no nodes available to schedule pods");
    return out;
  }
  out.diagnosis.all_nodes = snapshot.nodes.size();

  std::optional<std::set<std::string>> only;
  std::set<std::string> narrowing;
  Status status = framework.run_pre_filter(out.state, pod, snapshot, only, narrowing);
  if (!status.ok()) {
    if (!status.rejected()) {
      out.status = std::move(status);
      return out;
    }
    out.diagnosis.pre_filter_message = status.message();
    out.diagnosis.plugins = std::move(narrowing);
    out.diagnosis.absent = std::move(status);
    refuse(framework, snapshot, pod, random, out);
    return out;
  }

  std::vector<NodeInfoPtr> feasible;
  // The node that preemption freed for this pod, if it is good now.
  if (const auto& nominated = pod.pod->status.nominatedNodeName; !nominated.empty()) {
    const auto* node = snapshot.find(nominated);
    if (node && (!only || only->contains(nominated)) &&
        framework.run_filter_with_nominated(out.state, pod, **node, snapshot).ok()) {
      feasible.push_back(*node);
      out.evaluated = 1;
    }
  }
  if (feasible.empty()) {
    std::vector<NodeInfoPtr> few;
    std::span<const NodeInfoPtr> candidates = snapshot.nodes;
    if (only) {
      few = narrowed(snapshot, *only);
      candidates = few;
      out.diagnosis.absent = Status::unresolvable(
          fmt::format("node(s) didn't satisfy plugin(s) [{}]",
                      join(std::vector<std::string>(narrowing.begin(), narrowing.end()), " ")));
      out.diagnosis.plugins = narrowing;
    }
    if (!find_feasible(framework, snapshot, pod, candidates, start, out, feasible)) return out;
  }
  out.feasible = feasible.size();
  if (feasible.empty()) {
    refuse(framework, snapshot, pod, random, out);
    return out;
  }
  if (feasible.size() == 1) {
    out.node = feasible.front()->name();
    return out;
  }
  std::vector<NodeScore> scores;
  out.status = framework.run_score(out.state, pod, snapshot, feasible, scores);
  if (out.status.ok()) out.node = select_host(scores, random)->name();
  return out;
}

}  // namespace orch::server::scheduler
