// What the scheduler knows of nodes and assigned pods, with the pods it has placed itself but not
// yet seen assigned ("assumed"). Not thread-safe: the scheduler's mutex guards it. Snapshots are
// brought up to date in steps; they share the nodes that did not change.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "server/scheduler/snapshot.h"

namespace orch::server::scheduler {

class Cache {
 public:
  void put_node(std::shared_ptr<const corev1::Node> node);
  void remove_node(const std::string& name);
  std::shared_ptr<const corev1::Node> node(const std::string& name) const;

  // An assigned, running pod; confirms an assumption, wherever that had placed it.
  void put_pod(const PodInfoPtr& pod);
  void remove_pod(const std::string& uid);
  PodInfoPtr pod(const std::string& uid) const;  // null = unknown

  void assume(const PodInfoPtr& pod, const std::string& node);
  void forget(const std::string& uid);  // undoes assume(); confirmed pods stay
  bool is_assumed(const std::string& uid) const { return assumed_.contains(uid); }

  // A pod that waits for the node that preemption frees; "" takes the nomination back.
  void nominate(const PodInfoPtr& pod, const std::string& node);
  // Pods nominated to `node` with a priority below `priority`.
  std::vector<PodInfoPtr> nominated_below(const std::string& node, int32_t priority) const;

  // Brings `snapshot` (always the same one) up to date.
  void update(Snapshot& snapshot);
  size_t node_count() const { return nodes_.size(); }

 private:
  struct Placed {
    PodInfoPtr pod;
    std::string node;
  };
  NodeInfo& writable(const std::string& name);
  void place(const PodInfoPtr& pod, const std::string& node);
  void drop_if_empty(const std::string& name);

  std::map<std::string, std::shared_ptr<NodeInfo>> nodes_;
  std::unordered_map<std::string, Placed> pods_;  // by uid, assumed ones included
  std::set<std::string> assumed_;
  std::map<std::string, std::vector<PodInfoPtr>> nominated_;
  std::set<std::string> changed_;  // nodes not yet in the snapshot
  bool membership_changed_ = false, images_changed_ = false, nominated_changed_ = false;
};

}  // namespace orch::server::scheduler
