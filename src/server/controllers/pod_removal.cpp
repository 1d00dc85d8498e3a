#include "server/controllers/pod_removal.h"

#include <algorithm>

#include "orch/base/log.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using corev1::Pod;

namespace {

// True if the status changed.
bool mark(Pod& pod, const PodRemoval& removal, WallTime now) {
  bool changed = false;
  if (removal.force && !is_terminal(pod)) {
    pod.status.phase = "Failed";
    changed = true;
  }
  if (removal.reason.empty()) return changed;
  auto& conditions = pod.status.conditions;
  const auto* before = find_condition(pod, "DisruptionTarget");
  if (before != nullptr && before->status == "True" && before->reason == removal.reason) {
    return changed;
  }
  std::erase_if(conditions, [](const auto& c) { return c.type == "DisruptionTarget"; });
  auto& condition = conditions.emplace_back();
  condition.type = "DisruptionTarget";
  condition.status = "True";
  condition.reason = removal.reason;
  condition.message = removal.message;
  condition.lastTransitionTime = Time(now);
  return true;
}

}  // namespace

Result<Unit, client::ReconcileError> remove_pod(const client::ControllerContext& context,
                                                const Pod& pod, const PodRemoval& removal) {
  Pod marked = pod;
  if (mark(marked, removal, context.env.clock.now())) {
    // The mark is for whoever asks why; the deletion does not depend on it.
    auto written = context.client.update_status(marked);
    if (!written) log::debug("pods", "{}: {}", key_of(pod).str(), written.error().message);
  }
  client::DeleteOptions options;
  options.uid = pod.metadata.uid;
  if (removal.force) options.grace_period_seconds = 0;
  auto removed = context.client.remove<Pod>(pod.metadata.namespace_, pod.metadata.name, options);
  if (!removed && !removed.error().is("NotFound")) {
    return Err(client::ReconcileError(removed.error()));
  }
  return Unit{};
}

}  // namespace orch::server
