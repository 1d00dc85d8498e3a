#include "agent/pod/resources.h"

#include <algorithm>
#include <optional>

namespace orch::agent {
namespace {

constexpr int64_t kPeriodMicros = 100'000, kQuotaMin = 1000;
constexpr int64_t kSharesMin = 2, kSharesMax = 262'144;

using Quantities = std::map<std::string, api::Quantity>;

std::optional<int64_t> amount(const Quantities& from, const std::string& name, bool milli) {
  auto it = from.find(name);
  if (it == from.end()) return std::nullopt;
  return milli ? it->second.milli() : it->second.value();
}

// max(sum of main and sidecars, each init container beside the sidecars before it). nullopt if a
// long-running container has none (limits only).
std::optional<int64_t> pod_total(const corev1::Pod& pod, const std::string& name, bool milli,
                                 bool limits) {
  auto of = [&](const corev1::Container& c) {
    return amount(limits ? c.resources.limits : c.resources.requests, name, milli);
  };
  int64_t sidecars = 0, init_max = 0;
  for (const auto& c : pod.spec.initContainers) {
    auto value = of(c);
    if (limits && !value) return std::nullopt;
    if (is_sidecar(c)) {
      sidecars += value.value_or(0);
      init_max = std::max(init_max, sidecars);
    } else {
      init_max = std::max(init_max, sidecars + value.value_or(0));
    }
  }
  int64_t sum = sidecars;
  for (const auto& c : pod.spec.containers) {
    auto value = of(c);
    if (limits && !value) return std::nullopt;
    sum += value.value_or(0);
  }
  return std::max(sum, init_max);
}

int64_t oom_score_adj(const corev1::Pod& pod, const corev1::Container& c, int64_t node_memory) {
  const std::string qos = qos_class(pod);
  if (pod.spec.priority.value_or(0) >= 2'000'000'000 || qos == "Guaranteed") return -997;
  if (qos == "BestEffort") return 1000;
  int64_t request = amount(c.resources.requests, "memory", false).value_or(0);
  if (node_memory <= 0) return 999;
  auto adjust = static_cast<int64_t>(1000 - static_cast<__int128>(1000) * request / node_memory);
  return std::clamp<int64_t>(adjust, 3, 999);
}

}  // namespace

std::string qos_class(const corev1::Pod& pod) {
  bool any = false, guaranteed = true;
  auto look = [&](const corev1::Container& c) {
    for (const char* name : {"cpu", "memory"}) {
      auto request = amount(c.resources.requests, name, true);
      auto limit = amount(c.resources.limits, name, true);
      const bool has_request = request && *request > 0, has_limit = limit && *limit > 0;
      any |= has_request || has_limit;
      if (!has_limit || (request && *request != *limit)) guaranteed = false;
    }
  };
  for (const auto& c : pod.spec.initContainers) look(c);
  for (const auto& c : pod.spec.containers) look(c);
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

int64_t cpu_shares_of_milli(int64_t milli) {
  return milli <= 0 ? kSharesMin : std::clamp(milli * 1024 / 1000, kSharesMin, kSharesMax);
}

int64_t cpu_quota_of_milli(int64_t milli) {
  return milli <= 0 ? 0 : std::max(milli * kPeriodMicros / 1000, kQuotaMin);
}

LinuxResources container_resources(const corev1::Pod& pod, const corev1::Container& c,
                                   int64_t node_memory_bytes, bool cgroup_v2) {
  LinuxResources out;
  auto limit = amount(c.resources.limits, "cpu", true);
  auto request = amount(c.resources.requests, "cpu", true);
  out.cpu_shares = cpu_shares_of_milli(request ? *request : limit.value_or(0));
  if (limit && *limit > 0) {
    out.cpu_period_us = kPeriodMicros;
    out.cpu_quota_us = cpu_quota_of_milli(*limit);
  }
  out.memory_limit_bytes = amount(c.resources.limits, "memory", false).value_or(0);
  out.oom_score_adj = oom_score_adj(pod, c, node_memory_bytes);
  if (cgroup_v2) out.unified["memory.oom.group"] = "1";
  return out;
}

LinuxResources sandbox_resources() {
  LinuxResources out;
  out.cpu_shares = kSharesMin;
  return out;
}

CgroupLimits pod_cgroup_limits(const corev1::Pod& pod) {
  CgroupLimits out;
  const std::string qos = qos_class(pod);
  out.cpu_shares =
      qos == "BestEffort" ? kSharesMin : cpu_shares_of_milli(pod_request(pod, "cpu", true));
  if (auto cpu = pod_total(pod, "cpu", true, true); cpu && *cpu > 0) {
    out.cpu_quota_us = cpu_quota_of_milli(*cpu);
  }
  if (auto memory = pod_total(pod, "memory", false, true); memory && *memory > 0) {
    out.memory_max_bytes = *memory;
  }
  return out;
}

std::string pod_cgroup_path(const std::string& root, const corev1::Pod& pod) {
  const std::string qos = qos_class(pod);
  std::string dir = root + "/kubepods";
  if (qos == "Burstable") dir += "/burstable";
  if (qos == "BestEffort") dir += "/besteffort";
  return dir + "/pod" + pod.metadata.uid;
}

int64_t pod_request(const corev1::Pod& pod, const std::string& resource, bool milli) {
  return pod_total(pod, resource, milli, false).value_or(0);
}

}  // namespace orch::agent
