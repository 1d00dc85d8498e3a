// The disruption controller's pure core: a PodDisruptionBudget's status from the pods it selects
// and the scales of their owners. The eviction subresource spends what it allows.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/policyv1.h"
#include "orch/base/clock.h"

namespace orch::server {

using PodPtr = std::shared_ptr<const api::corev1::Pod>;

// An evicted pod that is still there after this counts as healthy again.
inline constexpr Seconds kEvictionDeadline{120};

struct DisruptionInput {
  const api::policyv1::PodDisruptionBudget& budget;
  std::vector<PodPtr> pods;  // those the selector matches
  // The wanted replicas of the pods' owners, by owner uid (of a Deployment, not of its sets).
  std::map<std::string, int32_t> scales;
  WallTime now;
};

struct DisruptionPlan {
  api::policyv1::PodDisruptionBudgetStatus status;
  std::vector<PodPtr> not_deleted;  // evicted, but still there after the deadline
  std::optional<Micros> look_again;
};
DisruptionPlan plan_disruption(const DisruptionInput& input);
// The status when that cannot be found out: nothing may be disrupted.
api::policyv1::PodDisruptionBudgetStatus failed_sync(
    const api::policyv1::PodDisruptionBudget& budget, const std::string& why, WallTime now);
// Whether the budget counts the replicas that owners want, not the pods that are.
bool needs_scales(const api::policyv1::PodDisruptionBudgetSpec& spec);

// A DisruptionTarget condition of a pod that nobody deletes is taken back: when (from now; 0 =
// now); nullopt = there is none to take back.
std::optional<Micros> stale_disruption_in(const api::corev1::Pod& pod, WallTime now);

}  // namespace orch::server
