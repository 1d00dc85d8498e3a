#include "agent/eviction/pod_use.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "agent/pod/pod_access.h"
#include "orch/api/quota.h"

namespace orch::agent {
namespace {

using api::corev1::Container;
using api::corev1::Pod;

constexpr const char* kStorage = "ephemeral-storage";
constexpr int32_t kCriticalPriority = 2'000'000'000;

struct Parts {
  bool layers = true, rest = true;  // rest: logs, volumes and the pod's own files
};

DiskUse disk_use(const PodUse& use, Parts parts) {
  DiskUse out;
  for (const auto& c : use.containers) {
    if (parts.layers) out += c.layer;
    if (parts.rest) out += c.logs;
  }
  if (!parts.rest) return out;
  for (const auto& [name, volume] : use.volumes) out += volume;
  out += use.own_files;
  return out;
}

int64_t request_of(const Pod& pod, const char* resource) {
  const auto requests = api::pod_requests(pod.spec);
  const auto at = requests.find(resource);
  return at == requests.end() ? 0 : at->second.value();
}

// Smaller = sooner: over its request, lower priority, more used.
using Rank = std::tuple<bool, int32_t, int64_t>;

Rank rank_of(const PodUse& use, Signal signal, Parts parts) {
  const int32_t priority = use.pod->spec.priority.value_or(0);
  const std::string_view resource = resource_of_signal(signal);
  if (signal == Signal::kPidAvailable) {
    return {false, priority, -static_cast<int64_t>(use.processes)};
  }
  int64_t used = 0, request = 0;
  if (signal == Signal::kMemoryAvailable) {
    used = static_cast<int64_t>(use.memory_bytes);
    request = request_of(*use.pod, "memory");
  } else if (resource == kStorage) {
    used = static_cast<int64_t>(disk_use(use, parts).bytes);
    request = request_of(*use.pod, kStorage);
  } else {
    used = static_cast<int64_t>(disk_use(use, parts).inodes);
  }
  return {!(used > request), priority, request - used};
}

const api::Quantity* storage_limit(const Container& c) {
  const auto at = c.resources.limits.find(kStorage);
  return at == c.resources.limits.end() || at->second.is_zero() ? nullptr : &at->second;
}

bool limits_volume(const api::corev1::Volume& volume) {
  const auto& dir = volume.emptyDir;
  return dir && dir->medium.empty() && dir->sizeLimit && dir->sizeLimit->sign() > 0;
}

}  // namespace

bool is_critical(const Pod& pod) { return pod.spec.priority.value_or(0) >= kCriticalPriority; }

void rank_for(Signal signal, bool own_image_fs, std::vector<const PodUse*>& pods) {
  Parts parts;
  if (own_image_fs) {
    const bool images = signal == Signal::kImagefsAvailable || signal == Signal::kImagefsInodesFree;
    parts = {.layers = images, .rest = !images};
  }
  std::stable_sort(pods.begin(), pods.end(), [&](const PodUse* a, const PodUse* b) {
    return rank_of(*a, signal, parts) < rank_of(*b, signal, parts);
  });
}

std::string eviction_message(Signal signal, const PodUse& use, const EvictionConfig& config,
                             const std::vector<size_t>& thresholds, const Observations& seen) {
  const std::string_view resource = resource_of_signal(signal);
  std::string out = fmt::format("The node was low on resource: {}. ", resource);
  for (size_t i : thresholds) {
    const Threshold& threshold = config.thresholds[i];
    const auto at = seen.find(threshold.signal);
    if (resource_of_signal(threshold.signal) != resource || at == seen.end()) continue;
    out += fmt::format("Threshold quantity: {}, available: {}. ",
                       threshold.value.of(at->second.capacity).str(),
                       api::Quantity::of_bytes(at->second.available).str());
    break;
  }
  for (const auto& container : use.containers) {
    const Container* spec = find_container(*use.pod, container.name);
    if (spec == nullptr) continue;
    uint64_t used = 0;
    if (resource == "memory") {
      used = container.memory_bytes;
    } else if (resource == kStorage) {
      used = container.layer.bytes + container.logs.bytes;
    } else {
      continue;
    }
    const auto asked = spec->resources.requests.find(std::string(resource));
    const api::Quantity request =
        asked == spec->resources.requests.end() ? api::Quantity() : asked->second;
    const auto usage = api::Quantity::of_bytes(static_cast<int64_t>(used));
    if (usage <= request) continue;
    out += fmt::format("Container {} was using {}, request is {}, has larger consumption of {}. ",
                       container.name, usage.str(), request.str(), resource);
  }
  return out;
}

bool has_container_storage_limit(const Pod& pod) {
  const auto& list = pod.spec.containers;
  return std::any_of(list.begin(), list.end(),
                     [](const auto& c) { return c.resources.limits.contains(kStorage); });
}

bool has_storage_limit(const Pod& pod) {
  const auto& list = pod.spec.volumes;
  return has_container_storage_limit(pod) || std::any_of(list.begin(), list.end(), limits_volume);
}

std::optional<OverLimit> over_storage_limit(const PodUse& use, bool own_image_fs) {
  const Pod& pod = *use.pod;
  const auto bytes = [](uint64_t value) {
    return api::Quantity::of_bytes(static_cast<int64_t>(value));
  };
  for (const auto& volume : pod.spec.volumes) {
    const auto used = use.volumes.find(volume.name);
    if (!limits_volume(volume) || used == use.volumes.end()) continue;
    const api::Quantity& limit = *volume.emptyDir->sizeLimit;
    if (bytes(used->second.bytes) <= limit) continue;
    return OverLimit{"emptydirfs.limit",
                     fmt::format("Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\". ",
                                 volume.name, limit.str())};
  }
  const auto limits = api::pod_limits(pod.spec);
  if (const auto limit = limits.find(kStorage); limit != limits.end()) {
    if (bytes(disk_use(use, {}).bytes) > limit->second) {
      return OverLimit{"ephemeralpodfs.limit",
                       fmt::format("Pod ephemeral local storage usage exceeds the total limit of "
                                   "containers {}. ",
                                   limit->second.str())};
    }
  }
  for (const auto& container : use.containers) {
    const Container* spec = find_container(pod, container.name);
    const api::Quantity* limit = spec == nullptr ? nullptr : storage_limit(*spec);
    if (limit == nullptr) continue;
    uint64_t used = container.logs.bytes;
    if (!own_image_fs) used += container.layer.bytes;
    if (bytes(used) <= *limit) continue;
    return OverLimit{"ephemeralcontainerfs.limit",
                     fmt::format("Container {} exceeded its local ephemeral storage limit \"{}\". ",
                                 container.name, limit->str())};
  }
  return std::nullopt;
}

}  // namespace orch::agent
