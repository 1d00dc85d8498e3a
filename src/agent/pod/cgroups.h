// Cgroups of pods, in v1 hierarchies and in v2: <root>/kubepods/{burstable/,besteffort/,}pod<uid>.
// The runtime makes the containers' cgroups below. File calls only; any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/base/result.h"

namespace orch::agent {

struct CgroupLimits {
  std::optional<int64_t> cpu_shares;        // v1 shares; v2 gets the weight for it
  std::optional<int64_t> cpu_quota_us;      // per 100 ms period; -1 = none
  std::optional<int64_t> memory_max_bytes;  // -1 = none
  std::optional<int64_t> pids_max;
};

// Makes `path` ("/orch/1a2b/kubepods/burstable/podUID") in every hierarchy, with its parents, and
// sets the limits where the controller is there.
Result<Unit, std::string> make_cgroup(const std::string& path, const CgroupLimits& limits);
// Removes `path` and all below, in every hierarchy. Gone is fine. Errors: one text each.
std::vector<std::string> remove_cgroups(const std::string& path);
// Processes in `path` and below, in any hierarchy.
std::set<pid_t> cgroup_processes(const std::string& path);

struct CgroupUsage {
  uint64_t cpu_nanoseconds = 0;
  uint64_t memory_usage_bytes = 0, memory_working_set_bytes = 0, memory_rss_bytes = 0;
};
// path "" or "/" = the whole machine's root cgroup.
std::optional<CgroupUsage> cgroup_usage(const std::string& path);

// How often the CPU quota of `path` held its processes back. nullopt: no quota, or not there.
struct CpuThrottling {
  uint64_t periods = 0, throttled_periods = 0, throttled_nanoseconds = 0;
};
std::optional<CpuThrottling> cgroup_throttling(const std::string& path);

bool cgroup_is_v2();
// v2 weight for v1 shares: 1 + (shares - 2) * 9999 / 262142.
int64_t cpu_weight_of_shares(int64_t shares);

// "/orch/<hash of data dir>".
std::string cgroup_root_of(const std::string& data_dir);

}  // namespace orch::agent
