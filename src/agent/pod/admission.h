// Whether this node takes a pod that was bound to it: the checks of the kubelet's admission, which
// hold for pods that no scheduler placed too (pkg/kubelet/lifecycle of Kubernetes). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/node/pressure.h"
#include "orch/api/corev1.h"

namespace orch::agent {

struct Rejection {
  std::string reason;   // "OutOfcpu", "NodePorts", "SysctlForbidden": status.reason
  std::string message;  // of the event; status.message says "Pod was rejected: " before it
};

// `others`: the admitted pods here that have not ended. `node` as the server has it; a node whose
// allocatable is not known yet is checked for nothing that depends on it.
std::optional<Rejection> check_admission(const api::corev1::Pod& pod, const api::corev1::Node& node,
                                         const std::vector<const api::corev1::Pod*>& others);

// Whether a node under pressure takes it: nothing but critical pods; short of memory alone, all
// that ask for resources or tolerate it.
std::optional<Rejection> check_pressure(const api::corev1::Pod& pod, const Pressure& pressure);

}  // namespace orch::agent
