#include "agent/pod/resize.h"

#include <algorithm>

#include "agent/pod/admission.h"
#include "orch/api/quota.h"

namespace orch::agent {
namespace {

using Amounts = std::map<std::string, api::Quantity>;

bool differs(const Amounts& a, const Amounts& b, const char* name) {
  const auto x = a.find(name), y = b.find(name);
  if (x == a.end() || y == b.end()) return (x == a.end()) != (y == b.end());
  return x->second != y->second;
}

bool differs(const corev1::ResourceRequirements& a, const corev1::ResourceRequirements& b,
             const char* name) {
  return differs(a.requests, b.requests, name) || differs(a.limits, b.limits, name);
}

bool differs(const corev1::ResourceRequirements& a, const corev1::ResourceRequirements& b) {
  return differs(a, b, "cpu") || differs(a, b, "memory");
}

const corev1::Container* main_container(const corev1::PodSpec& spec, const std::string& name) {
  for (const auto& c : spec.containers) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

bool restarts_for(const corev1::Container& c, const char* resource) {
  return std::any_of(c.resizePolicy.begin(), c.resizePolicy.end(), [&](const auto& policy) {
    return policy.resourceName == resource && policy.restartPolicy == "RestartContainer";
  });
}

}  // namespace

ResizeVerdict judge_resize(const corev1::Pod& wanted, const corev1::Node& node,
                           const std::vector<const corev1::Pod*>& others) {
  const auto requests = api::pod_requests(wanted.spec);
  for (const char* name : {"cpu", "memory"}) {
    const auto asked = requests.find(name);
    const auto there = node.status.allocatable.find(name);
    if (asked == requests.end() || there == node.status.allocatable.end()) continue;
    if (asked->second > there->second) return ResizeVerdict::kInfeasible;
  }
  return check_admission(wanted, node, others) ? ResizeVerdict::kDeferred : ResizeVerdict::kFits;
}

bool resources_differ(const corev1::PodSpec& a, const corev1::PodSpec& b) {
  return std::any_of(a.containers.begin(), a.containers.end(), [&](const auto& c) {
    const auto* other = main_container(b, c.name);
    return other != nullptr && differs(c.resources, other->resources);
  });
}

void take_resources(const corev1::PodSpec& from, corev1::PodSpec& to) {
  for (auto& c : to.containers) {
    if (const auto* other = main_container(from, c.name)) c.resources = other->resources;
  }
}

void take_allocated(const corev1::PodStatus& status, corev1::PodSpec& spec) {
  for (auto& c : spec.containers) {
    for (const auto& s : status.containerStatuses) {
      if (s.name != c.name || !s.resources) continue;
      for (const char* name : {"cpu", "memory"}) {
        const auto take = [name](const Amounts& from, Amounts& to) {
          to.erase(name);
          if (const auto it = from.find(name); it != from.end()) to.insert(*it);
        };
        take(s.allocatedResources, c.resources.requests);
        take(s.resources->limits, c.resources.limits);
      }
    }
  }
}

std::vector<ContainerResize> plan_resize(const corev1::Pod& pod, const Applied& applied,
                                         const PodObserved& observed) {
  std::vector<ContainerResize> out;
  for (const auto& c : pod.spec.containers) {
    const ContainerView* run = observed.newest(c.name);
    if (run == nullptr || run->state != ContainerState::kRunning) continue;
    const auto has = applied.find(run->id);
    if (has == applied.end() || !differs(has->second, c.resources)) continue;
    ContainerResize resize{c.name, run->id, false};
    for (const char* name : {"cpu", "memory"}) {
      resize.restart |= differs(has->second, c.resources, name) && restarts_for(c, name);
    }
    out.push_back(std::move(resize));
  }
  return out;
}

}  // namespace orch::agent
