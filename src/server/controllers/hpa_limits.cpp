// How far an autoscaler's target may move now.
#include <algorithm>
#include <cmath>

#include "server/controllers/hpa.h"

namespace orch::server {

using namespace api;
using autoscalingv2::HorizontalPodAutoscalerSpec;
using autoscalingv2::HPAScalingPolicy;
using autoscalingv2::HPAScalingRules;
using Condition = autoscalingv2::HorizontalPodAutoscalerCondition;

namespace {

constexpr Seconds kDownWindow{300};
constexpr Seconds kLongestWindow{3600};

HPAScalingPolicy policy(const char* type, int32_t value) {
  HPAScalingPolicy out;
  out.type = type;
  out.value = value;
  out.periodSeconds = 15;
  return out;
}

// The rules of one direction; what they leave out is as the API defaults it.
HPAScalingRules rules_of(const HorizontalPodAutoscalerSpec& spec, bool up) {
  HPAScalingRules rules;
  const auto& given = up ? spec.behavior->scaleUp : spec.behavior->scaleDown;
  if (given) rules = *given;
  if (!rules.selectPolicy) rules.selectPolicy = "Max";
  if (!rules.stabilizationWindowSeconds) {
    rules.stabilizationWindowSeconds = up ? 0 : static_cast<int32_t>(kDownWindow.count());
  }
  if (rules.policies.empty()) {
    rules.policies.push_back(policy("Percent", 100));
    if (up) rules.policies.push_back(policy("Pods", 4));
  }
  return rules;
}

int64_t changed_within(const std::vector<TimedNumber>& events, int32_t seconds, WallTime now) {
  int64_t sum = 0;
  for (const auto& event : events) {
    if (event.at > now - Seconds{seconds}) sum += event.number;
  }
  return sum;
}

// The size that the policies allow at most (up) or at least (down).
int64_t policy_limit(const HPAScalingRules& rules, int32_t current, const HpaHistory& history,
                     WallTime now, bool up) {
  if (rules.selectPolicy == "Disabled") return current;
  const bool farthest = rules.selectPolicy != "Min";
  std::optional<int64_t> limit;
  for (const auto& p : rules.policies) {
    const int64_t start = current - changed_within(history.ups, p.periodSeconds, now) +
                          changed_within(history.downs, p.periodSeconds, now);
    const double share = p.value / 100.0;
    int64_t proposed = 0;
    if (p.type == "Pods") {
      proposed = up ? start + p.value : start - p.value;
    } else if (up) {
      // Rounded up: else a small target would never grow.
      proposed = static_cast<int64_t>(std::ceil(static_cast<double>(start) * (1 + share)));
    } else {
      proposed = static_cast<int64_t>(static_cast<double>(start) * (1 - share));
    }
    if (!limit) limit = proposed;
    limit = farthest == up ? std::max(*limit, proposed) : std::min(*limit, proposed);
  }
  return up ? std::max<int64_t>(limit.value_or(current), current)
            : std::min<int64_t>(limit.value_or(current), current);
}

struct Limited {
  int32_t replicas;
  const char *reason, *message;
};
constexpr const char* kTooFew = "the desired replica count is less than the minimum replica count";
constexpr const char* kTooMany = "the desired replica count is more than the maximum replica count";
constexpr const char* kTooFast =
    "the desired replica count is increasing faster than the maximum scale rate";
constexpr const char* kTooFastDown =
    "the desired replica count is decreasing faster than the maximum scale rate";

Limited in_range(int32_t replicas) {
  return {replicas, "DesiredWithinRange", "the desired count is within the acceptable range"};
}

// Without behavior: at most doubled at once, or 4.
Limited limit_plainly(int32_t current, int32_t desired, int32_t min, int32_t max) {
  const int64_t fastest = std::max<int64_t>(int64_t{2} * current, 4);
  if (desired < min) return {min, "TooFewReplicas", kTooFew};
  if (max > fastest && desired > fastest) {
    return {static_cast<int32_t>(fastest), "ScaleUpLimit", kTooFast};
  }
  if (desired > max) return {max, "TooManyReplicas", kTooMany};
  return in_range(desired);
}

Limited limit_by_behavior(const HorizontalPodAutoscalerSpec& spec, int32_t current, int32_t desired,
                          int32_t min, const HpaHistory& history, WallTime now) {
  if (desired > current) {
    const int64_t fastest = policy_limit(rules_of(spec, true), current, history, now, true);
    if (spec.maxReplicas > fastest && desired > fastest) {
      return {static_cast<int32_t>(fastest), "ScaleUpLimit", kTooFast};
    }
    if (desired > spec.maxReplicas) return {spec.maxReplicas, "TooManyReplicas", kTooMany};
  } else if (desired < current) {
    const int64_t fastest = policy_limit(rules_of(spec, false), current, history, now, false);
    if (min < fastest && desired < fastest) {
      return {static_cast<int32_t>(fastest), "ScaleDownLimit", kTooFastDown};
    }
    if (desired < min) return {min, "TooFewReplicas", kTooFew};
  }
  return in_range(desired);
}

// Not below the highest recommendation of the last minutes; with behavior, not above the lowest
// of its window either.
int32_t stabilize(const HorizontalPodAutoscalerSpec& spec, int32_t current, int32_t desired,
                  const HpaHistory& history, WallTime now) {
  Seconds up_window{0}, down_window = kDownWindow;
  if (spec.behavior) {
    up_window = Seconds{*rules_of(spec, true).stabilizationWindowSeconds};
    down_window = Seconds{*rules_of(spec, false).stabilizationWindowSeconds};
  }
  int32_t lowest = desired, highest = desired;
  for (const auto& past : history.recommendations) {
    if (past.at > now - up_window) lowest = std::min(lowest, past.number);
    if (past.at > now - down_window) highest = std::max(highest, past.number);
  }
  if (!spec.behavior) return highest;
  return std::min(std::max(current, lowest), highest);
}

}  // namespace

Condition hpa_condition(const char* type, bool value, std::string reason, std::string message) {
  Condition out;
  out.type = type;
  out.status = value ? "True" : "False";
  out.reason = std::move(reason);
  out.message = std::move(message);
  return out;
}

void set_hpa_condition(autoscalingv2::HorizontalPodAutoscalerStatus& status, Condition condition,
                       WallTime now) {
  for (auto& before : status.conditions) {
    if (before.type != condition.type) continue;
    condition.lastTransitionTime =
        before.status == condition.status ? before.lastTransitionTime : Time(now);
    before = std::move(condition);
    return;
  }
  condition.lastTransitionTime = Time(now);
  status.conditions.push_back(std::move(condition));
}

HpaVerdict limit_scaling(const HorizontalPodAutoscalerSpec& spec, int32_t current, int32_t desired,
                         HpaHistory& history, WallTime now) {
  const int32_t min = spec.minReplicas.value_or(1);
  const int32_t stable = stabilize(spec, current, desired, history, now);
  const auto forget = [now](std::vector<TimedNumber>& events) {
    std::erase_if(events, [now](const auto& event) { return event.at < now - kLongestWindow; });
  };
  forget(history.recommendations);
  forget(history.ups);
  forget(history.downs);
  history.recommendations.push_back({desired, now});

  HpaVerdict out;
  if (stable == desired) {
    out.able = hpa_condition("AbleToScale", true, "ReadyForNewScale",
                             "recommended size matches current size");
  } else if (spec.behavior && desired >= current) {
    out.able = hpa_condition("AbleToScale", true, "ScaleUpStabilized",
                             "recent recommendations were lower than current one, applying the "
                             "lowest recent recommendation");
  } else {
    out.able = hpa_condition("AbleToScale", true, "ScaleDownStabilized",
                             "recent recommendations were higher than current one, applying the "
                             "highest recent recommendation");
  }
  const Limited limited = spec.behavior
                              ? limit_by_behavior(spec, current, stable, min, history, now)
                              : limit_plainly(current, stable, min, spec.maxReplicas);
  out.replicas = limited.replicas;
  out.limited =
      hpa_condition("ScalingLimited", limited.replicas != stable, limited.reason, limited.message);
  return out;
}

void remember_scaling(const HorizontalPodAutoscalerSpec& spec, int32_t from, int32_t to,
                      HpaHistory& history, WallTime now) {
  if (!spec.behavior) return;  // only its policies look back
  if (to > from) history.ups.push_back({to - from, now});
  if (to < from) history.downs.push_back({from - to, now});
}

}  // namespace orch::server
