// What a hollow node says of itself and of its pods, as a kubelet would. Pure.
#pragma once

#include <optional>
#include <string>

#include "orch/api/corev1.h"

namespace orch::sim {

struct PodView {
  enum State : uint8_t { kNew, kRunning, kBackOff, kSucceeded, kFailed };
  State state = kNew;
  WallTime since{};     // the pod is here
  WallTime started{};   // its containers, last
  WallTime finished{};  // its containers, last
  int restarts = 0;
  std::optional<int> exit_code;  // that its containers end with
};

// Whether the pod's status says this already.
bool shows(const api::corev1::Pod& pod, const PodView& view, const std::string& ip);
// A strategic merge patch of pods/status, for this very pod.
std::string pod_status_patch(const api::corev1::Pod& pod, const PodView& view,
                             const std::string& ip, const api::corev1::Node& node);

bool is_ready(const api::corev1::Node& node);
std::vector<api::corev1::NodeCondition> node_conditions(WallTime now);
std::string node_status_patch(WallTime now);

}  // namespace orch::sim
