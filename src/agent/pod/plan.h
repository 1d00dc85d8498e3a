// The pod worker's decision: what to do next, from what is wanted, what the runtime shows and what
// the worker remembers. Pure: no clock, no I/O.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod/pod_access.h"
#include "agent/runtime.h"
#include "orch/base/clock.h"

namespace orch::agent {

// Exponential back-off by events, as the kubelet counts: the first failure costs nothing, then 10 s
// doubling to 5 min; forgotten after 10 min without one.
struct Backoff {
  Seconds delay{0};
  WallTime last_update{};

  static constexpr Seconds kInitial{10}, kMax{300};
  // True if an event at `event` must still wait at `now`.
  bool holds(WallTime event, WallTime now) const;
  void next(WallTime now);
};

// What the worker remembers of one container, by its name.
struct ContainerMemory {
  bool busy = false;                            // a start or stop of ours is under way
  std::optional<WallTime> retry_at;             // not before (image pull back-off, failed creation)
  std::string waiting_reason, waiting_message;  // of the failed start, until one succeeds
  Backoff crash;
  bool started = false;  // startup probe (if any) succeeded in this run
  bool ready = false;    // readiness probe's last word (true without one)
  // A probe or hook failed: stop this run. Cleared when the container exited.
  std::string kill_id, kill_message;
  std::optional<int64_t> kill_grace_seconds;
};

// Newest first, both.
struct PodObserved {
  std::vector<SandboxView> sandboxes;
  std::vector<ContainerView> containers;

  const SandboxView* newest_sandbox() const {
    return sandboxes.empty() ? nullptr : &sandboxes.front();
  }
  const ContainerView* newest(std::string_view name) const;
};

struct PlanInput {
  const corev1::Pod& pod;
  const PodObserved& observed;
  const std::map<std::string, ContainerMemory>& memory;
  bool terminate = false;  // deleted, evicted or over its deadline
  bool volumes_ready = false, volumes_busy = false;
  std::optional<WallTime> volumes_retry_at;
  bool sandbox_busy = false;
  std::optional<WallTime> sandbox_retry_at;
  WallTime now;
};

struct Action {
  enum class Type : uint8_t {
    kPrepareVolumes,
    kCreateSandbox,    // attempt
    kStopSandbox,      // id
    kRemoveSandbox,    // id
    kStartContainer,   // name, kind, attempt
    kStopContainer,    // id, name, message, grace_seconds
    kRemoveContainer,  // id
    kTerminated,       // nothing runs any more: clean up
  };
  Type type;
  std::string id, name, message;
  ContainerKind kind = ContainerKind::kMain;
  uint32_t attempt = 0;
  std::optional<int64_t> grace_seconds;
};

struct Waiting {
  std::string reason, message;
};

struct Plan {
  std::vector<Action> actions;
  std::map<std::string, Waiting> waiting;  // CrashLoopBackOff by container
  std::optional<WallTime> wake_at;         // look again then
  bool finished = false;                   // the containers ended for good (Succeeded or Failed)
};

Plan plan(const PlanInput& input);

// Whether a container that is not running is to be started (again), by restartPolicy.
bool should_restart(const corev1::Pod& pod, ContainerKind kind, const ContainerView* newest);
// The restart count of a run; from its annotation.
uint32_t restart_count_of(const ContainerView& container);
WallTime wall_of_ns(int64_t ns);
// Go's rendering of a back-off: "10s", "1m20s", "5m0s".
std::string go_duration(Seconds seconds);

}  // namespace orch::agent
