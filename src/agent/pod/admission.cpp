#include "agent/pod/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/eviction/pod_use.h"
#include "agent/pod/resources.h"
#include "orch/api/node_match.h"
#include "orch/api/quota.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

using api::corev1::Node;
using api::corev1::Pod;
using Pods = std::vector<const Pod*>;

// Sysctls of a namespace that cannot harm another (Kubernetes' safe set of 1.32).
constexpr std::array<std::string_view, 12> kSafeSysctls{"kernel.shm_rmid_forced",
                                                        "net.ipv4.ip_local_port_range",
                                                        "net.ipv4.tcp_syncookies",
                                                        "net.ipv4.ping_group_range",
                                                        "net.ipv4.tcp_fin_timeout",
                                                        "net.ipv4.ip_unprivileged_port_start",
                                                        "net.ipv4.tcp_keepalive_time",
                                                        "net.ipv4.ip_local_reserved_ports",
                                                        "net.ipv4.tcp_keepalive_intvl",
                                                        "net.ipv4.tcp_keepalive_probes",
                                                        "net.ipv4.tcp_rmem",
                                                        "net.ipv4.tcp_wmem"};

std::string dotted(std::string name) {
  // "net/ipv4/conf" and "net.ipv4.conf" are one name; the first separator says which form it has.
  const size_t first = name.find_first_of("./");
  if (first == std::string::npos || name[first] == '.') return name;
  for (char& c : name) {
    if (c == '/')
      c = '.';
    else if (c == '.')
      c = '/';
  }
  return name;
}

std::optional<Rejection> check_sysctls(const Pod& pod) {
  const auto& context = pod.spec.securityContext;
  if (!context) return std::nullopt;
  const auto forbidden = [](const std::string& name, std::string_view why) {
    return Rejection{"SysctlForbidden", fmt::format("forbidden sysctl: \"{}\" {}", name, why)};
  };
  for (const auto& sysctl : context->sysctls) {
    const std::string name = dotted(sysctl.name);
    if (std::find(kSafeSysctls.begin(), kSafeSysctls.end(), name) == kSafeSysctls.end()) {
      return forbidden(name, "not allowlisted");
    }
    if (pod.spec.hostNetwork && name.starts_with("net.")) {
      return forbidden(name, "not allowed with host net enabled");
    }
    if (pod.spec.hostIPC && name.starts_with("kernel.")) {
      return forbidden(name, "not allowed with host ipc enabled");
    }
  }
  return std::nullopt;
}

std::optional<Rejection> check_os(const Pod& pod) {
  const auto& selector = pod.spec.nodeSelector;
  const auto at = selector.find("kubernetes.io/os");
  if (at != selector.end() && at->second != "linux") {
    return Rejection{
        "PodOSSelectorNodeLabelDoesNotMatch",
        "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"};
  }
  if (pod.spec.os && pod.spec.os->name != "linux") {
    return Rejection{"PodOSNotSupported",
                     "Failed to admit pod as the OS field doesn't match node OS"};
  }
  return std::nullopt;
}

int64_t amount(const std::string& resource, const api::Quantity& quantity) {
  return resource == "cpu" ? quantity.milli() : quantity.value();
}

std::optional<Rejection> out_of(const std::string& resource, int64_t requested, int64_t used,
                                int64_t capacity) {
  if (requested <= capacity - used) return std::nullopt;
  return Rejection{"OutOf" + resource,
                   fmt::format("Node didn't have enough resource: {}, requested: {}, used: {}, "
                               "capacity: {}",
                               resource, requested, used, capacity)};
}

std::optional<Rejection> check_resources(const Pod& pod, const Node& node, const Pods& others) {
  const auto& allocatable = node.status.allocatable;
  const auto pods = allocatable.find("pods");
  if (pods != allocatable.end()) {
    auto full = out_of("pods", 1, static_cast<int64_t>(others.size()), pods->second.value());
    if (full) return full;
  }
  api::ResourceList used;
  for (const Pod* other : others) api::add_resources(used, api::pod_requests(other->spec));
  const api::ResourceList wanted = api::pod_requests(pod.spec);
  for (const char* first : {"cpu", "memory", "ephemeral-storage", ""}) {
    for (const auto& [resource, quantity] : wanted) {
      const bool core =
          resource == "cpu" || resource == "memory" || resource == "ephemeral-storage";
      if (*first != '\0' ? resource != first : core) continue;
      const auto capacity = allocatable.find(resource);
      const int64_t requested = amount(resource, quantity);
      // A resource that the node does not know is the cluster's, not the node's.
      if (requested == 0 || capacity == allocatable.end()) continue;
      auto full = out_of(resource, requested, amount(resource, used[resource]),
                         amount(resource, capacity->second));
      if (full) return full;
    }
  }
  return std::nullopt;
}

bool ports_taken(const Pod& pod, const Pods& others) {
  const auto wanted = api::host_ports_of(pod.spec);
  if (wanted.empty()) return false;
  return std::any_of(others.begin(), others.end(), [&](const Pod* other) {
    const auto taken = api::host_ports_of(other->spec);
    return std::any_of(wanted.begin(), wanted.end(), [&](const api::HostPort& port) {
      return std::any_of(taken.begin(), taken.end(),
                         [&](const api::HostPort& held) { return port.conflicts(held); });
    });
  });
}

bool untolerated(const Pod& pod, const Node& node) {
  return std::any_of(node.spec.taints.begin(), node.spec.taints.end(), [&](const auto& taint) {
    return taint.effect == "NoExecute" && !api::tolerates(pod.spec.tolerations, taint);
  });
}

Rejection predicate(std::string_view name, std::string_view why) {
  return {std::string(name), fmt::format("Predicate {} failed: {}", name, why)};
}

}  // namespace

std::optional<Rejection> check_pressure(const Pod& pod, const Pressure& pressure) {
  if (!pressure.any() || is_critical(pod)) return std::nullopt;
  if (pressure.memory && !pressure.disk && !pressure.pid) {
    api::corev1::Taint taint;
    taint.key = "node.kubernetes.io/memory-pressure";
    taint.effect = "NoSchedule";
    if (qos_class(pod) != "BestEffort" || api::tolerates(pod.spec.tolerations, taint)) {
      return std::nullopt;
    }
  }
  std::vector<std::string> conditions;
  if (pressure.memory) conditions.emplace_back("MemoryPressure");
  if (pressure.disk) conditions.emplace_back("DiskPressure");
  if (pressure.pid) conditions.emplace_back("PIDPressure");
  return Rejection{"Evicted", fmt::format("The node had condition: [{}]. ", join(conditions, " "))};
}

std::optional<Rejection> check_admission(const Pod& pod, const Node& node, const Pods& others) {
  if (auto no = check_sysctls(pod)) return no;
  if (auto no = check_os(pod)) return no;
  if (auto no = check_resources(pod, node, others)) return no;
  if (!api::node_affinity_matches(pod, node)) {
    return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
  }
  if (ports_taken(pod, others)) {
    return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
  }
  if (untolerated(pod, node)) {
    return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate");
  }
  return std::nullopt;
}

}  // namespace orch::agent
