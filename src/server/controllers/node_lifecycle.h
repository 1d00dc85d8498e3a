// The node controllers' pure cores: a node's health from its lease, its taints from its conditions,
// and when its pods must go.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server {

inline constexpr Seconds kNodeGracePeriod{50};  // --node-monitor-grace-period
inline constexpr const char* kNotReadyTaint = "node.kubernetes.io/not-ready";
inline constexpr const char* kUnreachableTaint = "node.kubernetes.io/unreachable";

// The conditions of a node that has not been heard of for the grace period: all Unknown. Returns
// the node's own when they say so already.
std::vector<api::corev1::NodeCondition> unknown_conditions(const api::corev1::Node& node,
                                                           WallTime now);

// Whether NoExecute taints may be put on a node now.
enum class Eviction : uint8_t {
  kNow,
  kLater,      // it is not this node's turn: what is there stays
  kSuspended,  // no node at all is ready: it is rather us who are cut off; none may stay
};
// The taints that the node's conditions and spec.unschedulable call for; foreign taints are kept.
std::vector<api::corev1::Taint> plan_taints(const api::corev1::Node& node, WallTime now,
                                            Eviction eviction = Eviction::kNow);
// Whether plan_taints() would add a NoExecute taint to a node that has none of the two.
bool wants_eviction(const api::corev1::Node& node);

// Region and zone of a node, one text; "" when it has neither.
std::string zone_of(const api::corev1::Node& node);
enum class ZoneState : uint8_t { kNormal, kPartialDisruption, kFullDisruption };
ZoneState zone_state(size_t ready, size_t not_ready);
// The time between two nodes of a zone whose pods are evicted; nullopt = none is.
std::optional<Micros> eviction_interval(ZoneState state, size_t nodes);

// The TTL controller's steps: from the present one to that of a cluster of this size. They overlap,
// so that a node that comes and goes changes nothing.
size_t ttl_step(size_t step, size_t nodes);
int64_t ttl_seconds(size_t step);

// When a pod on a node with these NoExecute taints must be deleted: nullopt = it tolerates them for
// ever.
std::optional<WallTime> eviction_time(const api::corev1::Pod& pod,
                                      const std::vector<api::corev1::Taint>& taints, WallTime now);

}  // namespace orch::server
