// The node controllers' pure cores: a node's health from its lease, its taints from its conditions,
// and when its pods must go.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server {

inline constexpr Seconds kNodeGracePeriod{40};  // --node-monitor-grace-period
inline constexpr const char* kNotReadyTaint = "node.kubernetes.io/not-ready";
inline constexpr const char* kUnreachableTaint = "node.kubernetes.io/unreachable";

// The conditions of a node that has not been heard of for the grace period: all Unknown. Returns
// the node's own when they say so already.
std::vector<api::corev1::NodeCondition> unknown_conditions(const api::corev1::Node& node,
                                                           WallTime now);
// The taints that the node's conditions and spec.unschedulable call for; foreign taints are kept.
std::vector<api::corev1::Taint> plan_taints(const api::corev1::Node& node, WallTime now);

// When a pod on a node with these NoExecute taints must be deleted: nullopt = it tolerates them for
// ever.
std::optional<WallTime> eviction_time(const api::corev1::Pod& pod,
                                      const std::vector<api::corev1::Taint>& taints, WallTime now);
bool tolerates(const api::corev1::Toleration& toleration, const api::corev1::Taint& taint);

}  // namespace orch::server
