// Resource requests and limits to cgroup values; QoS class. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "agent/pod/cgroups.h"
#include "agent/pod/pod_access.h"
#include "agent/runtime.h"

namespace orch::agent {

std::string qos_class(const corev1::Pod& pod);  // Guaranteed, Burstable, BestEffort

int64_t cpu_shares_of_milli(int64_t milli);
int64_t cpu_quota_of_milli(int64_t milli);  // µs per 100 ms; 0 = none

LinuxResources container_resources(const corev1::Pod& pod, const corev1::Container& container,
                                   int64_t node_memory_bytes, bool cgroup_v2);
LinuxResources sandbox_resources();
CgroupLimits pod_cgroup_limits(const corev1::Pod& pod);
// "<root>/kubepods/burstable/pod<uid>".
std::string pod_cgroup_path(const std::string& root, const corev1::Pod& pod);

// Sum over containers, or the largest init container, as the scheduler counts.
int64_t pod_request(const corev1::Pod& pod, const std::string& resource, bool milli);

}  // namespace orch::agent
