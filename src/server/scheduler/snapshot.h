// The cluster as one scheduling cycle sees it: nothing in it changes while the cycle runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "orch/api/policyv1.h"
#include "server/scheduler/node_info.h"
#include "server/scheduler/volume_view.h"

namespace orch::server::scheduler {

class Indexes;

// What plugins must know beyond nodes and pods. Answers from informer caches; any may be empty.
struct ClusterView {
  using Budget = std::shared_ptr<const api::policyv1::PodDisruptionBudget>;
  // Labels of a namespace, {} if unknown.
  std::function<api::Labels(const std::string& ns)> namespace_labels;
  // What selects the pods that should be spread with this one: its Services and its owner.
  // empty() = nothing selects it.
  std::function<api::LabelSelector(const corev1::Pod& pod)> spread_selector;
  std::function<std::vector<Budget>()> budgets;
  std::shared_ptr<const VolumeView> volumes;
};

struct Snapshot {
  Snapshot();

  // Only nodes with a Node object; zones take turns, so that sampling sees all of them.
  std::vector<NodeInfoPtr> nodes;
  // What of each of them, in the same order, tells whether something remembered still holds: side
  // by side, as thousands are looked at for one pod.
  struct Tag {
    uint64_t generation = 0;
    uint32_t slot = 0;
    bool nominated = false;  // pods are
  };
  std::vector<Tag> tags;
  // The same by NodeInfo::slot, which no other change moves; null = a free place.
  std::vector<NodeInfoPtr> slots;
  std::unordered_map<std::string, size_t> index;  // name -> position in nodes
  std::map<std::string, int> nodes_with_image;    // by image name
  ClusterView view;

  // The slots that changed, in order, from change number log_begin on: what is derived from the
  // nodes follows in steps.
  std::vector<uint32_t> log;
  uint64_t log_begin = 1;
  uint64_t log_end() const { return log_begin + log.size(); }
  void note_change(uint32_t slot);

  const NodeInfoPtr* find(const std::string& name) const;
  api::Labels namespace_labels(const std::string& ns) const;
  // Counts of pods by topology domain, kept from cycle to cycle. The cycle's thread only.
  Indexes& indexes() const { return *indexes_; }
  // Tests build snapshots of nodes with this; the cache keeps its own up to date in steps.
  static Snapshot of(std::vector<NodeInfo> nodes);
  void rebuild_index();
  void replace(size_t at, NodeInfoPtr node);  // of `nodes`, which has this name already

 private:
  std::shared_ptr<Indexes> indexes_;
};

// Does `term` (of another pod) mean `pod`? Looks up namespace labels only if the term asks.
bool term_matches(const AffinityTerm& term, const PodInfo& pod, const Snapshot& snapshot);

}  // namespace orch::server::scheduler
