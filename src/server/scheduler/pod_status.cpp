#include "server/scheduler/pod_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"

namespace orch::server::scheduler {
namespace {

std::string patch_with(const corev1::Pod& pod, const std::string& status_json) {
  // The uid makes the patch fail on a pod of the same name created anew.
  return fmt::format(R"({{"metadata":{{"uid":{}}},"status":{{{}}}}})", json_quote(pod.metadata.uid),
                     status_json);
}

const corev1::PodCondition* find_condition(const corev1::Pod& pod, std::string_view type) {
  const auto& all = pod.status.conditions;
  auto at = std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.type == type; });
  return at == all.end() ? nullptr : &*at;
}

}  // namespace

std::optional<std::string> pod_scheduled_patch(const corev1::Pod& pod, const Verdict& verdict,
                                               WallTime now) {
  const auto* old = find_condition(pod, "PodScheduled");
  const bool same_condition = old && old->status == "False" && old->reason == verdict.reason &&
                              old->message == verdict.message;
  const bool same_node = pod.status.nominatedNodeName == verdict.nominated_node;
  if (same_condition && same_node) return std::nullopt;
  corev1::PodCondition condition;
  condition.type = "PodScheduled";
  condition.status = "False";
  condition.reason = verdict.reason;
  condition.message = verdict.message;
  condition.lastTransitionTime =
      old && old->status == "False" ? old->lastTransitionTime : api::Time(now);
  std::string status = fmt::format(R"("conditions":[{}])", api::to_json(condition));
  if (!same_node) {
    status += ",\"nominatedNodeName\":" +
              (verdict.nominated_node.empty() ? "null" : json_quote(verdict.nominated_node));
  }
  return patch_with(pod, status);
}

std::string disruption_target_patch(const corev1::Pod& pod, WallTime now) {
  corev1::PodCondition condition;
  condition.type = "DisruptionTarget";
  condition.status = "True";
  condition.reason = "PreemptionByScheduler";
  condition.message = "default-scheduler: preempting to accommodate a higher priority pod";
  condition.lastTransitionTime = now;
  return patch_with(pod, fmt::format(R"("conditions":[{}])", api::to_json(condition)));
}

std::string clear_nomination_patch(const corev1::Pod& pod) {
  return patch_with(pod, R"("nominatedNodeName":null)");
}

}  // namespace orch::server::scheduler
