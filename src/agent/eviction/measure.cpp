#include "agent/eviction/measure.h"

#include <fmt/format.h>

#include "agent/eviction/disk_usage.h"
#include "agent/node/machine.h"
#include "agent/pod/cgroups.h"
#include "agent/pod/pod_access.h"
#include "agent/pod/resources.h"
#include "agent/volumes/volume.h"

namespace orch::agent {
namespace {

int64_t i64(uint64_t value) { return static_cast<int64_t>(value); }

void add_fs(Observations& out, const std::optional<FsSpace>& fs, Signal bytes, Signal inodes) {
  if (!fs) return;
  out[bytes] = {i64(fs->available), i64(fs->capacity)};
  // Some file systems do not count inodes.
  if (fs->inodes > 0) out[inodes] = {i64(fs->inodes_free), i64(fs->inodes)};
}

bool is_limited(const corev1::Volume& volume) {
  return volume.emptyDir && volume.emptyDir->sizeLimit.has_value();
}

// Volumes whose files are on the node's own disk and go with the pod.
bool is_local(const corev1::Volume& volume) {
  if (volume.emptyDir) return volume.emptyDir->medium.empty();
  return volume.configMap || volume.downwardAPI;
}

}  // namespace

Observations observe_node(const std::optional<FsSpace>& nodefs,
                          const std::optional<FsSpace>& imagefs) {
  Observations out;
  const MachineMemory memory = read_machine_memory();
  if (memory.total > 0) {
    out[Signal::kMemoryAvailable] = {i64(memory.available()), i64(memory.total)};
  }
  const MachinePids pids = read_machine_pids();
  if (pids.max > 0) out[Signal::kPidAvailable] = {pids.max - pids.used, pids.max};
  add_fs(out, nodefs, Signal::kNodefsAvailable, Signal::kNodefsInodesFree);
  add_fs(out, imagefs, Signal::kImagefsAvailable, Signal::kImagefsInodesFree);
  return out;
}

PodUse measure_pod(const PodUsage& usage, const std::string& agent_dir,
                   const std::string& cgroup_root, Measured what, const std::atomic<bool>& stop) {
  PodUse out;
  out.pod = usage.pod;
  const std::string dir = pod_dir_of(agent_dir, *usage.pod);
  const std::string cgroup = pod_cgroup_path(cgroup_root, *usage.pod);
  if (what == Measured::kMemory) {
    if (const auto whole = cgroup_usage(cgroup)) out.memory_bytes = whole->memory_working_set_bytes;
  }
  if (what == Measured::kProcesses) out.processes = cgroup_processes(cgroup).size();
  const bool disk = what == Measured::kDisk;
  for (const auto& container : usage.containers) {
    ContainerUse use;
    use.name = container.name;
    use.memory_bytes = container.memory_working_set_bytes;
    if (disk) {
      use.layer = {container.filesystem_used_bytes, container.filesystem_inodes};
      use.logs = disk_usage(pod_log_dir_of(agent_dir, *usage.pod) + "/" + use.name, stop);
    }
    out.containers.push_back(std::move(use));
  }
  if (!disk && what != Measured::kVolumeLimits) return out;
  for (const auto& volume : usage.pod->spec.volumes) {
    const VolumeDriver* driver = find_volume_driver(volume);
    if (driver == nullptr || !is_local(volume) || (!disk && !is_limited(volume))) continue;
    out.volumes[volume.name] = disk_usage(
        fmt::format("{}/volumes/kubernetes.io~{}/{}", dir, driver->kind(), volume.name), stop);
  }
  if (!disk) return out;
  out.own_files = disk_usage(dir + "/containers", stop);
  if (const auto hosts = disk_usage_of_file(dir + "/etc-hosts")) out.own_files += *hosts;
  return out;
}

}  // namespace orch::agent
