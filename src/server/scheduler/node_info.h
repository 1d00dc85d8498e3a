// A node with the pods on it, sums kept up to date. A value: the cache changes its own copy, the
// snapshot shares it once it is frozen.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/scheduler/pod_info.h"

namespace orch::server::scheduler {

struct NodeInfo {
  std::shared_ptr<const corev1::Node> node;  // null: only pods are known so far
  uint32_t slot = 0;        // its place in Snapshot::slots, for as long as it is known
  uint64_t generation = 0;  // another one after every change, of all nodes ever; 0 = none
  std::vector<PodInfoPtr> pods;
  std::vector<PodInfoPtr> nominated;  // preempted others here and wait for these to be gone
  size_t pods_with_affinity = 0;      // any kind of pod (anti-)affinity
  size_t pods_with_required_anti_affinity = 0;
  Resources requested, allocatable;
  int64_t nonzero_milli_cpu = 0, nonzero_memory_bytes = 0;
  std::multiset<HostPort> used_ports;
  std::map<std::string, int64_t> image_bytes;  // by every name of the image

  const std::string& name() const { return node->metadata.name; }
  const api::Labels& labels() const { return node->metadata.labels; }
  // The label's value; null = not there.
  const std::string* label(const std::string& key) const;

  void set_node(std::shared_ptr<const corev1::Node> now);
  void add_pod(const PodInfoPtr& pod);
  bool is_nominated(const PodInfo& pod) const;
  bool remove_pod(const PodInfoPtr& pod);  // false = was not here
  // `now` is a later version of `old`; the order of pods stays.
  void replace_pod(const PodInfoPtr& old, const PodInfoPtr& now);

 private:
  void account(const PodInfo& pod, bool adds);
  void recount();
};
using NodeInfoPtr = std::shared_ptr<const NodeInfo>;

}  // namespace orch::server::scheduler
