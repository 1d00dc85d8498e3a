// Changing cpu and memory of a running pod (KEP-1287, subresource resize): what may be given, and
// what has to be done to its containers. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/pod/plan.h"
#include "agent/pod/pod_access.h"

namespace orch::agent {

enum class ResizeVerdict : uint8_t { kFits, kDeferred, kInfeasible };

// `wanted`: the pod with the resources asked for; `others`: the admitted pods here but it.
ResizeVerdict judge_resize(const corev1::Pod& wanted, const corev1::Node& node,
                           const std::vector<const corev1::Pod*>& others);

// Whether the main containers' cpu and memory differ.
bool resources_differ(const corev1::PodSpec& a, const corev1::PodSpec& b);
// `to` takes the resources of the containers of `from`.
void take_resources(const corev1::PodSpec& from, corev1::PodSpec& to);
// Of a pod that an agent ran before: what was given to it, as its status tells.
void take_allocated(const corev1::PodStatus& status, corev1::PodSpec& spec);

// What each run was started with or changed to, by container id.
using Applied = std::map<std::string, corev1::ResourceRequirements>;

struct ContainerResize {
  std::string name, id;
  bool restart = false;  // its resizePolicy wants that
};
// The containers that run with other resources than `pod` has.
std::vector<ContainerResize> plan_resize(const corev1::Pod& pod, const Applied& applied,
                                         const PodObserved& observed);

}  // namespace orch::agent
