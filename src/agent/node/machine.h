// Facts of the machine that a Node reports: read from /proc, /sys, /etc and the filesystem.
#pragma once

#include <cstdint>
#include <string>

#include "orch/api/corev1.h"

namespace orch::agent {

struct Machine {
  int64_t cpus = 1;
  int64_t memory_bytes = 0, memory_available_bytes = 0;
  int64_t disk_bytes = 0, disk_available_bytes = 0, inodes = 0, inodes_available = 0;
  int64_t pids_max = 0, pids_used = 0;
  std::string machine_id, system_uuid, boot_id, kernel, os_image, architecture;
};

// As the kubelet counts: what the kernel could drop at once (files not used for long) is not used.
struct MachineMemory {
  uint64_t total = 0, usage = 0, working_set = 0, anonymous = 0;
  uint64_t available() const { return total - (total < working_set ? total : working_set); }
};
MachineMemory read_machine_memory();
struct MachinePids {
  int64_t max = 0, used = 0;
};
MachinePids read_machine_pids();

// What cannot be read stays empty or 0. `data_dir`: whose filesystem counts as the node's disk.
Machine read_machine(const std::string& data_dir);

}  // namespace orch::agent
