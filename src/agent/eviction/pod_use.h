// What one pod takes of the node, and what follows from it: who is evicted first, with what
// message, and who is over a limit of its own. Pure; measured by measure.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/eviction/eviction_plan.h"
#include "agent/eviction/thresholds.h"
#include "orch/api/corev1.h"

namespace orch::agent {

struct DiskUse {
  uint64_t bytes = 0, inodes = 0;
  DiskUse& operator+=(const DiskUse& other) {
    bytes += other.bytes;
    inodes += other.inodes;
    return *this;
  }
};

struct ContainerUse {
  std::string name;
  uint64_t memory_bytes = 0;  // working set
  DiskUse layer, logs;
};

struct PodUse {
  std::shared_ptr<const api::corev1::Pod> pod;
  uint64_t memory_bytes = 0, processes = 0;  // of the pod's cgroup
  std::vector<ContainerUse> containers;
  std::map<std::string, DiskUse> volumes;  // by name; those on the node's own disk
  DiskUse own_files;                       // /etc/hosts, termination messages
};

// The node needs it: never evicted, always admitted. By its priority alone: an annotation is
// anybody's.
bool is_critical(const api::corev1::Pod& pod);

// In the order they are to be evicted for a signal. `own_image_fs`: images and layers are on
// another file system than the rest.
void rank_for(Signal signal, bool own_image_fs, std::vector<const PodUse*>& pods);

// "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container ..."
std::string eviction_message(Signal signal, const PodUse& use, const EvictionConfig& config,
                             const std::vector<size_t>& thresholds, const Observations& seen);

// A container of it has a limit of local storage, or an emptyDir on disk a size.
bool has_storage_limit(const api::corev1::Pod& pod);
// Some container has; then layers have to be measured too.
bool has_container_storage_limit(const api::corev1::Pod& pod);

struct OverLimit {
  const char* signal;  // as the metric kubelet_evictions names it
  std::string message;
};
std::optional<OverLimit> over_storage_limit(const PodUse& use, bool own_image_fs);

}  // namespace orch::agent
