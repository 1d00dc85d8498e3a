// What the scheduler knows of nodes and assigned pods, with the pods it has placed itself but not
// yet seen assigned ("assumed"). Not thread-safe: the scheduler's mutex guards it. Snapshots are
// brought up to date in steps; they share the nodes that did not change.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

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
  PodInfoPtr pod(const std::string& uid) const;         // null = unknown
  std::string node_of(const std::string& uid) const;    // of an assigned or assumed pod; or ""
  const NodeInfo* info(const std::string& node) const;  // null = unknown; until the next change

  void assume(const PodInfoPtr& pod, const std::string& node);
  void forget(const std::string& uid);  // undoes assume(); confirmed pods stay
  bool is_assumed(const std::string& uid) const;

  // A pod that waits for the node that preemption frees; "" takes the nomination back.
  void nominate(const PodInfoPtr& pod, const std::string& node);
  std::string nomination(const std::string& uid) const;  // "" = none
  // Pods nominated to `node` with a priority below `priority`.
  std::vector<PodInfoPtr> nominated_below(const std::string& node, int32_t priority) const;

  // Brings `snapshot` (always the same one) up to date.
  void update(Snapshot& snapshot);
  size_t node_count() const { return numbers_.size(); }
  size_t pod_count() const { return pods_.size(); }
  size_t assumed_count() const { return assumed_; }

 private:
  struct Placed {
    PodInfoPtr pod;
    uint32_t slot = 0;
    bool assumed = false;
  };
  uint32_t slot_of(const std::string& name);  // a new one if need be
  NodeInfo& writable(uint32_t slot);
  void place(const PodInfoPtr& pod, const std::string& node, bool assumed);
  void drop_if_empty(const std::string& name, uint32_t slot);

  std::map<std::string, uint32_t> numbers_;  // name -> slot; in the order snapshots begin with
  std::vector<std::shared_ptr<NodeInfo>> slots_;
  std::vector<std::string> names_;  // by slot
  std::vector<uint32_t> free_;
  uint64_t generations_ = 0, shown_ = 0;  // the last one given, and the last in the snapshot

  std::unordered_map<std::string, Placed> pods_;  // by uid
  size_t assumed_ = 0;
  std::unordered_map<std::string, std::string> nominated_to_;  // uid -> node
  std::vector<uint32_t> changed_;                              // not yet in the snapshot
  bool membership_changed_ = false, images_changed_ = false;
};

}  // namespace orch::server::scheduler
