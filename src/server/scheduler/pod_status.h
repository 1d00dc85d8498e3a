// The patches that the scheduler writes to pods' status. Pure.
#pragma once

#include <optional>
#include <string>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server::scheduler {

namespace corev1 = api::corev1;

struct Verdict {
  std::string reason;  // Unschedulable, SchedulerError, SchedulingGated
  std::string message;
  std::string nominated_node;
};
// A strategic merge patch that says PodScheduled=False; nullopt = the pod says so already.
std::optional<std::string> pod_scheduled_patch(const corev1::Pod& pod, const Verdict& verdict,
                                               WallTime now);
// Marks a victim of preemption (condition DisruptionTarget).
std::string disruption_target_patch(const corev1::Pod& pod, WallTime now);
// Takes the nomination back.
std::string clear_nomination_patch(const corev1::Pod& pod);

}  // namespace orch::server::scheduler
