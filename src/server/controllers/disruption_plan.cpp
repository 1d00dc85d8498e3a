#include <algorithm>

#include "orch/base/strings.h"
#include "server/controllers/disruption.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using corev1::Pod;
using policyv1::PodDisruptionBudget;
using policyv1::PodDisruptionBudgetStatus;

namespace {

constexpr const char* kCondition = "DisruptionAllowed";

int32_t scaled(const IntOrString& value, int32_t total) {
  if (!value.is_string) return value.int_value;
  const std::string_view text = value.string_value;
  const int64_t percent = parse_int(text.substr(0, text.size() - 1)).value_or(0);
  return static_cast<int32_t>((percent * total + 99) / 100);
}

void put_condition(PodDisruptionBudgetStatus& status, bool is_true, const std::string& reason,
                   const std::string& message, WallTime now) {
  metav1::Condition condition;
  condition.type = kCondition;
  condition.status = is_true ? "True" : "False";
  condition.reason = reason;
  condition.message = message;
  condition.observedGeneration = status.observedGeneration;
  condition.lastTransitionTime = Time(now);
  for (auto& there : status.conditions) {
    if (there.type != kCondition) continue;
    if (there.status == condition.status) condition.lastTransitionTime = there.lastTransitionTime;
    there = std::move(condition);
    return;
  }
  status.conditions.push_back(std::move(condition));
}

struct Counts {
  int32_t expected = 0, desired = 0;
};
Counts count(const DisruptionInput& in) {
  const auto& spec = in.budget.spec;
  int64_t scale = 0;
  for (const auto& [owner, replicas] : in.scales) scale += replicas;
  const auto total = static_cast<int32_t>(std::min<int64_t>(scale, INT32_MAX));
  if (spec.maxUnavailable) {
    return {total, std::max(0, total - scaled(*spec.maxUnavailable, total))};
  }
  if (!spec.minAvailable) return {};
  if (spec.minAvailable->is_string) return {total, scaled(*spec.minAvailable, total)};
  return {static_cast<int32_t>(in.pods.size()), spec.minAvailable->int_value};
}

}  // namespace

bool needs_scales(const policyv1::PodDisruptionBudgetSpec& spec) {
  return spec.maxUnavailable.has_value() || (spec.minAvailable && spec.minAvailable->is_string);
}

DisruptionPlan plan_disruption(const DisruptionInput& in) {
  DisruptionPlan plan;
  auto& status = plan.status;
  const auto& before = in.budget.status;
  status.observedGeneration = in.budget.metadata.generation;
  status.conditions = before.conditions;
  for (const auto& pod : in.pods) {
    if (pod->metadata.deletionTimestamp) continue;
    auto evicted = before.disruptedPods.find(pod->metadata.name);
    if (evicted != before.disruptedPods.end()) {
      const Micros left = evicted->second.wall() + kEvictionDeadline - in.now;
      if (left.count() >= 0) {
        status.disruptedPods.insert(*evicted);
        const Micros after = left + Seconds{1};  // times are whole seconds
        if (!plan.look_again || after < *plan.look_again) plan.look_again = after;
        continue;
      }
      plan.not_deleted.push_back(pod);
    }
    if (is_ready(*pod)) ++status.currentHealthy;
  }
  const Counts counts = count(in);
  status.expectedPods = counts.expected;
  status.desiredHealthy = counts.desired;
  // Without pods nothing is allowed: the first ones appear before this status is computed anew.
  if (counts.expected > 0) {
    status.disruptionsAllowed = std::max(0, status.currentHealthy - counts.desired);
  }
  const bool allowed = status.disruptionsAllowed > 0;
  put_condition(status, allowed, allowed ? "SufficientPods" : "InsufficientPods", "", in.now);
  return plan;
}

PodDisruptionBudgetStatus failed_sync(const PodDisruptionBudget& budget, const std::string& why,
                                      WallTime now) {
  PodDisruptionBudgetStatus status = budget.status;
  status.disruptionsAllowed = 0;
  put_condition(status, false, "SyncFailed", why, now);
  return status;
}

std::optional<Micros> stale_disruption_in(const Pod& pod, WallTime now) {
  if (pod.metadata.deletionTimestamp || is_terminal(pod)) return std::nullopt;
  const auto* target = find_condition(pod, "DisruptionTarget");
  // What the node announces may take as long as it wants.
  if (target == nullptr || target->status != "True" || target->reason == "TerminationByKubelet") {
    return std::nullopt;
  }
  return std::max(Micros{0}, Micros{target->lastTransitionTime.wall() + kEvictionDeadline - now});
}

}  // namespace orch::server
