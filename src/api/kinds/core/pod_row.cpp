// The row of a Pod in `kubectl get pods`.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/common.h"

namespace orch::api {
namespace {

using namespace corev1;

struct Restarts {
  int64_t count = 0;
  Time last;  // newest termination

  void add(const ContainerStatus& status) {
    count += status.restartCount;
    const auto& ended = status.lastState.terminated;
    if (ended && ended->finishedAt && ended->finishedAt.unix_seconds > last.unix_seconds) {
      last = ended->finishedAt;
    }
  }
};

bool restartable_init(const Pod& pod, const std::string& name) {
  return std::any_of(pod.spec.initContainers.begin(), pod.spec.initContainers.end(),
                     [&](const Container& c) {
                       return c.name == name && c.restartPolicy.value_or("") == "Always";
                     });
}

std::string terminated_reason(const ContainerStateTerminated& state) {
  if (!state.reason.empty()) return state.reason;
  return state.signal != 0 ? fmt::format("Signal:{}", state.signal)
                           : fmt::format("ExitCode:{}", state.exitCode);
}

// "" when all init containers are through.
std::string init_reason(const Pod& pod) {
  const auto& statuses = pod.status.initContainerStatuses;
  for (size_t i = 0; i < statuses.size(); ++i) {
    const auto& status = statuses[i];
    const auto& state = status.state;
    if (state.terminated && state.terminated->exitCode == 0) continue;
    if (restartable_init(pod, status.name) && status.started.value_or(false)) continue;
    if (state.terminated) return "Init:" + terminated_reason(*state.terminated);
    if (state.waiting && !state.waiting->reason.empty() &&
        state.waiting->reason != "PodInitializing") {
      return "Init:" + state.waiting->reason;
    }
    return fmt::format("Init:{}/{}", i, pod.spec.initContainers.size());
  }
  return "";
}

bool has_condition(const Pod& pod, std::string_view type) {
  return std::any_of(pod.status.conditions.begin(), pod.status.conditions.end(),
                     [type](const auto& c) { return c.type == type && c.status == "True"; });
}

std::string reason_of(const Pod& pod) {
  std::string reason = pod.status.reason.empty() ? pod.status.phase : pod.status.reason;
  for (const auto& c : pod.status.conditions) {
    if (c.type == "PodScheduled" && c.reason == "SchedulingGated") reason = "SchedulingGated";
  }
  const std::string init = init_reason(pod);
  if (!init.empty()) reason = init;
  // A sidecar may fail after the pod was initialized: then the containers say how it is.
  if (init.empty() || has_condition(pod, "Initialized")) {
    bool running = false;
    const auto& statuses = pod.status.containerStatuses;
    for (auto it = statuses.rbegin(); it != statuses.rend(); ++it) {
      const auto& state = it->state;
      if (state.waiting && !state.waiting->reason.empty()) {
        reason = state.waiting->reason;
      } else if (state.terminated) {
        reason = terminated_reason(*state.terminated);
      } else if (it->ready && state.running) {
        running = true;
      }
    }
    if (reason == "Completed" && running)
      reason = has_condition(pod, "Ready") ? "Running" : "NotReady";
  }
  if (pod.metadata.deletionTimestamp) {
    if (pod.status.reason == "NodeLost") return "Unknown";
    if (pod.status.phase != "Succeeded" && pod.status.phase != "Failed") return "Terminating";
  }
  return reason;
}

std::string none_if_empty(const std::string& value) { return value.empty() ? "<none>" : value; }

}  // namespace

std::vector<Column> pod_columns() {
  return {name_column(),
          column("Ready", "string", "Ready containers of all containers."),
          column("Status", "string", "What the pod is doing."),
          column("Restarts", "string", "How often containers were restarted, and when last."),
          age_column(),
          column("IP", "string", "The pod's address.", 1),
          column("Node", "string", "The node it runs on.", 1),
          column("Nominated Node", "string", "The node that preemption makes room on.", 1),
          column("Readiness Gates", "string", "Fulfilled readiness gates of all.", 1)};
}

std::vector<Cell> pod_row(const Object& object, WallTime now) {
  const auto& pod = static_cast<const Pod&>(object);
  size_t total = pod.spec.containers.size(), ready = 0;
  Restarts restarts, init_restarts;
  for (const auto& c : pod.spec.initContainers) {
    if (c.restartPolicy.value_or("") == "Always") ++total;
  }
  for (const auto& status : pod.status.initContainerStatuses) {
    init_restarts.add(status);
    if (!restartable_init(pod, status.name)) continue;
    restarts.add(status);
    if (status.ready) ++ready;
  }
  const bool initializing = !init_reason(pod).empty() && !has_condition(pod, "Initialized");
  for (const auto& status : pod.status.containerStatuses) {
    restarts.add(status);
    if (status.ready && status.state.running) ++ready;
  }
  const Restarts& shown = initializing ? init_restarts : restarts;
  std::string restarts_text = std::to_string(shown.count);
  if (shown.count > 0 && shown.last) {
    restarts_text += fmt::format(" ({} ago)", age_of(shown.last, now));
  }
  std::string gates = "<none>";
  if (!pod.spec.readinessGates.empty()) {
    size_t fulfilled = 0;
    for (const auto& gate : pod.spec.readinessGates) {
      for (const auto& c : pod.status.conditions) {
        if (c.type == gate.conditionType && c.status == "True") ++fulfilled;
      }
    }
    gates = fmt::format("{}/{}", fulfilled, pod.spec.readinessGates.size());
  }
  return {name_cell(object),
          text(fmt::format("{}/{}", ready, total)),
          text(reason_of(pod)),
          text(restarts_text),
          age_cell(object, now),
          text(none_if_empty(pod.status.podIP)),
          text(none_if_empty(pod.spec.nodeName)),
          text(none_if_empty(pod.status.nominatedNodeName)),
          text(gates)};
}

}  // namespace orch::api
