#include "server/scheduler/schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "server/scheduler/extenders.h"

namespace orch::server::scheduler {
namespace {

constexpr size_t kFeasibleMin = 100;
constexpr int64_t kPercentMin = 5;
// With fewer nodes to look at, remembering costs more than it saves.
constexpr size_t kRememberFrom = 32;

struct Cycle {
  const Framework& framework;
  const Snapshot& snapshot;
  const PodInfo& pod;
  const ScheduleOptions& options;
  Random& random;
  PodClass* known = nullptr;
  PodClass::OfPriority* with_nominated = nullptr;  // null: not to be remembered
  Decision out;
};

// What the local filters say, from memory if the node is as it was. Null = they pass it.
const Status* local_refusal(Cycle& cycle, const NodeInfo& node) {
  auto& row = cycle.known->rows[node.slot];
  if (row.generation == node.generation) return row.refusal;
  row = {};
  row.generation = node.generation;
  Status status = cycle.framework.run_local_filters(cycle.out.state, cycle.pod, node);
  if (!status.ok()) row.refusal = cycle.known->keep(std::move(status));
  return row.refusal;
}

// The same of a node that pods are nominated to. Null = they pass it.
const Status* nominated_refusal(Cycle& cycle, const NodeInfo& node) {
  auto& row = cycle.with_nominated->nominated[node.slot];
  if (row.generation == node.generation) return row.refusal;
  row = {node.generation, nullptr};
  Status status =
      cycle.framework.run_filter_with_nominated(cycle.out.state, cycle.pod, node, cycle.snapshot);
  if (!status.ok()) row.refusal = cycle.known->keep(std::move(status));
  return row.refusal;
}

// False = a plugin broke, which `out.status` tells.
bool judge(Cycle& cycle, const NodeInfo& node, std::vector<const NodeInfo*>& feasible) {
  Decision& out = cycle.out;
  Status status;
  const Status* refusal = nullptr;
  const bool nominated = !node.nominated.empty();
  const bool remembered =
      cycle.known &&
      (!nominated || (cycle.with_nominated != nullptr && !node.is_nominated(cycle.pod)));
  if (remembered) {
    refusal = nominated ? nominated_refusal(cycle, node) : local_refusal(cycle, node);
  }
  if (!remembered) {
    status = cycle.framework.run_filter_with_nominated(out.state, cycle.pod, node, cycle.snapshot);
  } else if (refusal) {
    if (!refusal->rejected()) {
      out.status = *refusal;
      return false;
    }
    out.diagnosis.refuse(node.slot, refusal);
    return true;
  } else if (!nominated) {
    status = cycle.framework.run_other_filters(out.state, cycle.pod, node);
  }
  if (status.ok()) {
    feasible.push_back(&node);
  } else if (status.rejected()) {
    out.diagnosis.refuse(node, std::move(status));
  } else {
    out.status = std::move(status);
    return false;
  }
  return true;
}

// Why it is refused, from memory alone. Null = it has to be looked at.
const Status* remembered_refusal(const Cycle& cycle, const Snapshot::Tag& tag) {
  const Status* out = nullptr;
  if (cycle.known && !tag.nominated) {
    const auto& row = cycle.known->rows[tag.slot];
    if (row.generation == tag.generation) out = row.refusal;
  } else if (cycle.with_nominated && cycle.pod.nominated_node.empty()) {
    const auto& row = cycle.with_nominated->nominated[tag.slot];
    if (row.generation == tag.generation) out = row.refusal;
  }
  return out && out->rejected() ? out : nullptr;
}

// Filters `candidates` until enough are found. False = a plugin broke.
bool find_feasible(Cycle& cycle, std::span<const NodeInfoPtr> candidates,
                   std::vector<const NodeInfo*>& feasible) {
  const size_t enough =
      feasible_nodes_to_find(candidates.size(), cycle.options.percentage_of_nodes);
  feasible.reserve(enough);
  size_t at = candidates.empty() ? 0 : cycle.options.start % candidates.size();
  const bool all = candidates.data() == cycle.snapshot.nodes.data();
  for (size_t i = 0; i < candidates.size() && feasible.size() < enough; ++i) {
    ++cycle.out.evaluated;
    const Status* known = all ? remembered_refusal(cycle, cycle.snapshot.tags[at]) : nullptr;
    if (known) {
      cycle.out.diagnosis.refuse(cycle.snapshot.tags[at].slot, known);
    } else if (!judge(cycle, *candidates[at], feasible)) {
      return false;
    }
    if (++at == candidates.size()) at = 0;
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

// False = an extender that may not be ignored failed, which `out.status` tells.
bool ask_extenders(Cycle& cycle, std::vector<const NodeInfo*>& feasible) {
  if (!cycle.options.extenders || feasible.empty()) return true;
  cycle.out.status = cycle.options.extenders->filter(cycle.pod, feasible, cycle.out.diagnosis,
                                                     cycle.out.rejected_by);
  return cycle.out.status.ok();
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

// Without victims of the extenders' taste there is no preemption.
void let_extenders_choose(Cycle& cycle, PostFilterResult& other) {
  if (!cycle.options.extenders || other.victims.empty()) return;
  Extenders::Candidates candidates;
  auto& chosen = candidates[other.nominated_node];
  for (const auto& victim : other.victims) chosen.uids.push_back(victim->uid());
  Status status = cycle.options.extenders->preempt(cycle.pod, candidates);
  auto at = candidates.find(other.nominated_node);
  if (status.ok() && at != candidates.end()) {
    std::erase_if(other.victims, [&](const PodInfoPtr& victim) {
      const auto& uids = at->second.uids;
      return std::find(uids.begin(), uids.end(), victim->uid()) == uids.end();
    });
    if (!other.victims.empty()) return;
  }
  other = {};
  other.status = Status::unschedulable(
      status.ok() ? "preemption: no node left after extenders were asked" : status.message());
}

void refuse(Cycle& cycle) {
  Decision& out = cycle.out;
  out.rejected_by.insert(out.diagnosis.plugins.begin(), out.diagnosis.plugins.end());
  PostFilterResult other;
  other.nominated_node = cycle.pod.nominated_node;
  if (cycle.framework.has_post_filter()) {
    other = cycle.framework.run_post_filter(out.state, cycle.pod, cycle.snapshot, out.diagnosis,
                                            cycle.random);
    let_extenders_choose(cycle, other);
  }
  out.diagnosis.post_filter_message = other.status.message();
  out.nominated_node = std::move(other.nominated_node);
  out.victims = std::move(other.victims);
  out.status = Status::unschedulable(out.diagnosis.message());
}

// Nodes that pass all filters; false = the decision is made.
bool filter_nodes(Cycle& cycle, const std::optional<std::set<std::string>>& only,
                  const std::set<std::string>& narrowing, std::vector<const NodeInfo*>& feasible) {
  Decision& out = cycle.out;
  // The node that preemption freed for this pod, if it is good now.
  if (const auto& nominated = cycle.pod.nominated_node; !nominated.empty()) {
    const auto* node = cycle.snapshot.find(nominated);
    if (node && (!only || only->contains(nominated)) &&
        cycle.framework.run_filter_with_nominated(out.state, cycle.pod, **node, cycle.snapshot)
            .ok()) {
      feasible.push_back(node->get());
      if (!ask_extenders(cycle, feasible)) return false;
      if (!feasible.empty()) {
        out.evaluated = 1;
        return true;
      }
    }
  }
  std::vector<NodeInfoPtr> few;
  std::span<const NodeInfoPtr> candidates = cycle.snapshot.nodes;
  if (only) {
    few = narrowed(cycle.snapshot, *only);
    candidates = few;
    out.diagnosis.absent = Status::unresolvable(
        fmt::format("node(s) didn't satisfy plugin(s) [{}]",
                    join(std::vector<std::string>(narrowing.begin(), narrowing.end()), " ")));
    out.diagnosis.plugins = narrowing;
  }
  if (cycle.options.classes && candidates.size() >= kRememberFrom) {
    cycle.known = cycle.options.classes->find(cycle.pod, cycle.snapshot.slots.size());
  }
  if (cycle.known && cycle.framework.decides_locally(out.state)) {
    cycle.with_nominated = &cycle.known->of_priority(cycle.pod.priority);
    out.state.known = cycle.known;
  }
  return find_feasible(cycle, candidates, feasible) && ask_extenders(cycle, feasible);
}

void choose(Cycle& cycle, const std::vector<const NodeInfo*>& feasible) {
  Decision& out = cycle.out;
  if (feasible.size() == 1) {
    out.node = feasible.front()->name();
    return;
  }
  std::vector<NodeScore> scores;
  out.status = cycle.framework.run_score(out.state, cycle.pod, cycle.snapshot, feasible, scores,
                                         cycle.known);
  if (!out.status.ok()) return;
  if (cycle.options.extenders) cycle.options.extenders->prioritize(cycle.pod, feasible, scores);
  out.node = select_host(scores, cycle.random)->name();
}

}  // namespace

size_t feasible_nodes_to_find(size_t nodes, int64_t percentage) {
  if (nodes < kFeasibleMin || percentage >= 100) return nodes;
  if (percentage <= 0) {
    percentage = std::max(kPercentMin, 50 - static_cast<int64_t>(nodes / 125));
  }
  return std::max(kFeasibleMin, nodes * static_cast<size_t>(percentage) / 100);
}

Decision schedule(const Framework& framework, const Snapshot& snapshot, const PodInfo& pod,
                  Random& random, const ScheduleOptions& options) {
  Cycle cycle{framework, snapshot, pod, options, random, nullptr, {}};
  Decision& out = cycle.out;
  if (snapshot.nodes.empty()) {
    out.status = Status::unresolvable("no nodes available to schedule pods");
    return std::move(cycle.out);
  }
  out.diagnosis.all_nodes = snapshot.nodes.size();

  std::optional<std::set<std::string>> only;
  std::set<std::string> narrowing;
  Status status = framework.run_pre_filter(out.state, pod, snapshot, only, narrowing);
  if (!status.ok()) {
    if (!status.rejected()) {
      out.status = std::move(status);
      return std::move(cycle.out);
    }
    out.diagnosis.pre_filter_message = status.message();
    out.diagnosis.plugins = std::move(narrowing);
    out.diagnosis.absent = std::move(status);
    refuse(cycle);
    return std::move(cycle.out);
  }

  std::vector<const NodeInfo*> feasible;
  if (!filter_nodes(cycle, only, narrowing, feasible)) return std::move(cycle.out);
  out.feasible = feasible.size();
  if (feasible.empty()) {
    refuse(cycle);
  } else {
    choose(cycle, feasible);
  }
  return std::move(cycle.out);
}

}  // namespace orch::server::scheduler
