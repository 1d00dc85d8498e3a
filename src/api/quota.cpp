#include "orch/api/quota.h"

#include <algorithm>
#include <set>

namespace orch::api {
namespace {

using corev1::Container;
using corev1::Pod;
using corev1::PodSpec;

constexpr std::string_view kClassSuffix = ".storageclass.storage.k8s.io/";
constexpr std::string_view kPodNames[] = {"pods",
                                          "cpu",
                                          "memory",
                                          "ephemeral-storage",
                                          "requests.cpu",
                                          "limits.cpu",
                                          "requests.memory",
                                          "limits.memory",
                                          "requests.ephemeral-storage",
                                          "limits.ephemeral-storage"};
constexpr std::string_view kPlainCounts[] = {"configmaps", "secrets", "replicationcontrollers",
                                             "resourcequotas"};

template <class Names>
bool listed(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is(const ResourceInfo& resource, std::string_view plural) {
  return resource.group.empty() && resource.plural == plural;
}

std::string count_name(const ResourceInfo& resource) {
  std::string name = "count/" + std::string(resource.plural);
  if (!resource.group.empty()) name += "." + std::string(resource.group);
  return name;
}

// Fully qualified and not Kubernetes' own: nvidia.com/gpu.
bool is_extended(std::string_view name) {
  return name.find('/') != std::string_view::npos &&
         name.find("kubernetes.io/") == std::string_view::npos && !name.starts_with("requests.");
}

bool is_huge(std::string_view name) { return name.starts_with("hugepages-"); }

void take_maximum(ResourceList& most, const ResourceList& other) {
  for (const auto& [name, value] : other) {
    auto [at, added] = most.emplace(name, value);
    if (!added && at->second < value) at->second = value;
  }
}

using Amounts = ResourceList corev1::ResourceRequirements::*;

ResourceList pod_amounts(const PodSpec& spec, Amounts which) {
  ResourceList sum, sidecars, init_most;
  for (const auto& container : spec.containers) add_resources(sum, container.resources.*which);
  for (const auto& container : spec.initContainers) {
    ResourceList meanwhile = sidecars;
    add_resources(meanwhile, container.resources.*which);
    if (container.restartPolicy == "Always") {
      sidecars = meanwhile;
      add_resources(sum, container.resources.*which);
    }
    take_maximum(init_most, meanwhile);
  }
  take_maximum(sum, init_most);
  return sum;
}

// The names that requests and limits are counted under.
ResourceList compute_names(const ResourceList& requests, const ResourceList& limits) {
  ResourceList out;
  for (const auto& [name, value] : requests) {
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage" || is_huge(name)) {
      out[name] = value;
      out["requests." + name] = value;
    } else if (is_extended(name)) {
      out["requests." + name] = value;
    }
  }
  for (const auto& [name, value] : limits) {
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage") {
      out["limits." + name] = value;
    }
  }
  return out;
}

bool is_over(const Pod& pod, WallTime now) {
  if (pod.status.phase == "Succeeded" || pod.status.phase == "Failed") return true;
  if (!pod.metadata.deletionTimestamp || !pod.metadata.deletionGracePeriodSeconds) return false;
  return now >
         pod.metadata.deletionTimestamp->wall() + Seconds{*pod.metadata.deletionGracePeriodSeconds};
}

void add_pod_usage(const Pod& pod, WallTime now, ResourceList& usage) {
  if (is_over(pod, now)) return;  // then only the object itself counts
  usage["pods"] = Quantity::of(1);
  usage.merge(compute_names(pod_requests(pod.spec), pod_limits(pod.spec)));
}

void add_service_usage(const corev1::Service& service, ResourceList& usage) {
  usage["services"] = Quantity::of(1);
  const auto& ports = service.spec.ports;
  auto node_ports = static_cast<int64_t>(ports.size());
  const bool balanced = service.spec.type == "LoadBalancer";
  if (balanced && !service.spec.allocateLoadBalancerNodePorts.value_or(true)) {
    node_ports = std::count_if(ports.begin(), ports.end(),
                               [](const auto& port) { return port.nodePort != 0; });
  }
  const bool exposed = balanced || service.spec.type == "NodePort";
  usage["services.nodeports"] = Quantity::of(exposed ? node_ports : 0);
  usage["services.loadbalancers"] = Quantity::of(balanced ? 1 : 0);
}

void add_claim_usage(const corev1::PersistentVolumeClaim& claim, ResourceList& usage) {
  std::string storage_class = claim.spec.storageClassName.value_or("");
  const auto& annotations = claim.metadata.annotations;
  if (auto beta = annotations.find("volume.beta.kubernetes.io/storage-class");
      beta != annotations.end()) {
    storage_class = beta->second;
  }
  Quantity storage;
  if (auto at = claim.spec.resources.requests.find("storage");
      at != claim.spec.resources.requests.end()) {
    storage = at->second;
  }
  if (auto at = claim.status.allocatedResources.find("storage");
      at != claim.status.allocatedResources.end() && storage < at->second) {
    storage = at->second;  // while it shrinks back after a failed expansion
  }
  for (const bool by_class : {false, true}) {
    if (by_class && storage_class.empty()) break;
    const std::string prefix = by_class ? storage_class + std::string(kClassSuffix) : "";
    usage[prefix + "persistentvolumeclaims"] = Quantity::of(1);
    usage[prefix + "requests.storage"] = storage;
  }
}

bool is_best_effort(const PodSpec& spec) {
  const auto asks = [](const std::vector<Container>& containers) {
    for (const auto& container : containers) {
      for (const auto* amounts : {&container.resources.requests, &container.resources.limits}) {
        for (const char* name : {"cpu", "memory"}) {
          const auto at = amounts->find(name);
          if (at != amounts->end() && at->second.sign() > 0) return true;
        }
      }
    }
    return false;
  };
  return !asks(spec.containers) && !asks(spec.initContainers);
}

bool crosses_namespaces(const PodSpec& spec) {
  if (!spec.affinity) return false;
  const auto crosses = [](const auto& affinity) {
    if (!affinity) return false;
    const auto term = [](const corev1::PodAffinityTerm& t) {
      return !t.namespaces.empty() || t.namespaceSelector.has_value();
    };
    const auto& required = affinity->requiredDuringSchedulingIgnoredDuringExecution;
    const auto& preferred = affinity->preferredDuringSchedulingIgnoredDuringExecution;
    return std::any_of(required.begin(), required.end(), term) ||
           std::any_of(preferred.begin(), preferred.end(),
                       [&](const auto& weighted) { return term(weighted.podAffinityTerm); });
  };
  return crosses(spec.affinity->podAffinity) || crosses(spec.affinity->podAntiAffinity);
}

bool has_priority_class(const PodSpec& spec,
                        const corev1::ScopedResourceSelectorRequirement& want) {
  const std::string& name = spec.priorityClassName;
  if (want.operator_ == "Exists") return !name.empty();
  if (want.operator_ == "DoesNotExist") return name.empty();
  const bool in = !name.empty() && listed(want.values, name);
  return want.operator_ == "In" ? in : !in;
}

bool in_scope(const Pod& pod, const corev1::ScopedResourceSelectorRequirement& scope) {
  const std::string& name = scope.scopeName;
  const bool terminates = pod.spec.activeDeadlineSeconds.value_or(-1) >= 0;
  if (name == "Terminating") return terminates;
  if (name == "NotTerminating") return !terminates;
  if (name == "BestEffort") return is_best_effort(pod.spec);
  if (name == "NotBestEffort") return !is_best_effort(pod.spec);
  if (name == "PriorityClass") return has_priority_class(pod.spec, scope);
  if (name == "CrossNamespacePodAffinity") return crosses_namespaces(pod.spec);
  return false;
}

}  // namespace

void add_resources(ResourceList& sum, const ResourceList& more) {
  for (const auto& [name, value] : more) {
    auto [at, added] = sum.emplace(name, value);
    if (!added) at->second += value;
  }
}

ResourceList pod_requests(const PodSpec& spec, bool with_overhead) {
  auto sum = pod_amounts(spec, &corev1::ResourceRequirements::requests);
  if (with_overhead) add_resources(sum, spec.overhead);
  return sum;
}

ResourceList pod_limits(const PodSpec& spec, bool with_overhead) {
  auto sum = pod_amounts(spec, &corev1::ResourceRequirements::limits);
  if (!with_overhead) return sum;
  for (const auto& [name, value] : spec.overhead) {
    // What is not limited does not become so by its overhead.
    if (auto at = sum.find(name); at != sum.end() && !at->second.is_zero()) at->second += value;
  }
  return sum;
}

bool quota_counts(const ResourceInfo& resource, std::string_view name) {
  if (name == count_name(resource)) return true;
  if (is(resource, "pods")) {
    constexpr std::string_view kRequests = "requests.";
    if (listed(kPodNames, name) || is_huge(name)) return true;
    if (!name.starts_with(kRequests)) return false;
    name.remove_prefix(kRequests.size());
    // "requests.storage" and the like of claims have no slash.
    return is_huge(name) || is_extended(name);
  }
  if (is(resource, "services")) {
    return name == "services" || name == "services.nodeports" || name == "services.loadbalancers";
  }
  if (is(resource, "persistentvolumeclaims")) {
    if (const size_t at = name.find(kClassSuffix); at != std::string_view::npos) {
      name.remove_prefix(at + kClassSuffix.size());
    }
    return name == "persistentvolumeclaims" || name == "requests.storage";
  }
  return resource.group.empty() && name == resource.plural && listed(kPlainCounts, name);
}

bool in_quota_scope(const corev1::ResourceQuotaSpec& quota, const ResourceInfo& resource,
                    const Object& object) {
  std::vector<corev1::ScopedResourceSelectorRequirement> scopes;
  for (const auto& name : quota.scopes) {
    auto& scope = scopes.emplace_back();
    scope.scopeName = name;
    scope.operator_ = "Exists";
  }
  if (quota.scopeSelector) {
    const auto& more = quota.scopeSelector->matchExpressions;
    scopes.insert(scopes.end(), more.begin(), more.end());
  }
  return std::all_of(scopes.begin(), scopes.end(), [&](const auto& scope) {
    return is(resource, "pods") && in_scope(static_cast<const Pod&>(object), scope);
  });
}

ResourceList quota_usage(const ResourceInfo& resource, const Object& object, WallTime now) {
  ResourceList usage = {{count_name(resource), Quantity::of(1)}};
  if (is(resource, "pods")) {
    add_pod_usage(static_cast<const Pod&>(object), now, usage);
  } else if (is(resource, "services")) {
    add_service_usage(static_cast<const corev1::Service&>(object), usage);
  } else if (is(resource, "persistentvolumeclaims")) {
    add_claim_usage(static_cast<const corev1::PersistentVolumeClaim&>(object), usage);
  } else if (resource.group.empty() && listed(kPlainCounts, resource.plural)) {
    usage[std::string(resource.plural)] = Quantity::of(1);
  }
  return usage;
}

std::string quota_lacks(const ResourceInfo& resource, const Object& object,
                        const ResourceList& names) {
  static constexpr std::string_view kDemanded[] = {"cpu",    "limits.cpu",   "limits.memory",
                                                   "memory", "requests.cpu", "requests.memory"};
  if (!is(resource, "pods")) return "";
  const auto& spec = static_cast<const Pod&>(object).spec;
  std::string text;
  for (const auto name : kDemanded) {
    if (names.count(std::string(name)) == 0) continue;
    std::set<std::string> lacking;
    for (const auto* containers : {&spec.containers, &spec.initContainers}) {
      for (const auto& container : *containers) {
        const auto said = compute_names(container.resources.requests, container.resources.limits);
        if (said.count(std::string(name)) == 0) lacking.insert(container.name);
      }
    }
    if (lacking.empty()) continue;
    text += (text.empty() ? "must specify " : "; ") + std::string(name) + " for: ";
    for (const auto& container : lacking) {
      if (container != *lacking.begin()) text += ",";
      text += container;
    }
  }
  return text;
}

}  // namespace orch::api
