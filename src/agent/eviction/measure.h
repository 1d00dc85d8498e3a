// Measures what thresholds and limits are compared with. File calls and, for the layers of
// containers, what the runtime said; blocks.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "agent/eviction/pod_use.h"
#include "agent/images/image_collector.h"
#include "agent/pod_manager.h"

namespace orch::agent {

// Memory, processes and both file systems. Two statfs() and three files of /proc or of the cgroups.
Observations observe_node(const std::optional<FsSpace>& nodefs,
                          const std::optional<FsSpace>& imagefs);

enum class Measured : uint8_t {
  kVolumeLimits,  // the emptyDirs that have a size
  kDisk,          // all the pod has on disk
  kMemory,        // and nothing on disk
  kProcesses,
};
PodUse measure_pod(const PodUsage& usage, const std::string& agent_dir,
                   const std::string& cgroup_root, Measured what, const std::atomic<bool>& stop);

}  // namespace orch::agent
