#include "agent/pod/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/pod/resources.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

api::Time time_of_ns(int64_t ns) { return ns > 0 ? api::Time(wall_of_ns(ns)) : api::Time(); }

const corev1::ContainerStatus* find_status(const std::vector<corev1::ContainerStatus>& list,
                                           const std::string& name) {
  for (const auto& s : list) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

class StatusMaker {
 public:
  explicit StatusMaker(const StatusInput& input)
      : in_(input), containers_(all_containers(input.pod)), old_(input.pod.status) {}

  corev1::PodStatus make() {
    out_ = old_;  // keeps what others write: nominatedNodeName, resourceClaimStatuses
    out_.resize = in_.resize;
    out_.initContainerStatuses.clear();
    out_.containerStatuses.clear();
    out_.ephemeralContainerStatuses.clear();
    const bool was_rejected = is_terminal_phase(in_.pod) && old_.containerStatuses.empty();
    const bool never_begun = in_.rejected || (was_rejected && in_.observed.containers.empty());
    for (const auto& c : containers_) {
      if (!never_begun) add_container(c);
    }
    set_phase();
    out_.qosClass = qos_class(in_.pod);
    if (!out_.startTime || !out_.startTime->is_set) out_.startTime = api::Time(in_.now);
    if (never_begun) return std::move(out_);
    set_addresses();
    set_conditions();
    return std::move(out_);
  }

 private:
  std::vector<corev1::ContainerStatus>& list_of(corev1::PodStatus& s, ContainerKind kind) const {
    if (kind == ContainerKind::kMain) return s.containerStatuses;
    if (kind == ContainerKind::kEphemeral) return s.ephemeralContainerStatuses;
    return s.initContainerStatuses;
  }
  const std::vector<corev1::ContainerStatus>& list_of(const corev1::PodStatus& s,
                                                      ContainerKind kind) const {
    if (kind == ContainerKind::kMain) return s.containerStatuses;
    if (kind == ContainerKind::kEphemeral) return s.ephemeralContainerStatuses;
    return s.initContainerStatuses;
  }

  corev1::ContainerStateTerminated terminated(const ContainerView& c) const {
    corev1::ContainerStateTerminated out;
    out.exitCode = c.exit_code;
    out.reason = c.reason;
    out.message = c.message;
    auto text = in_.termination_messages.find(c.id);
    if (text != in_.termination_messages.end() && !text->second.empty()) {
      out.message = text->second;
    }
    out.startedAt = time_of_ns(c.started_at_ns);
    out.finishedAt = time_of_ns(c.finished_at_ns);
    out.containerID = in_.runtime_name + "://" + c.id;
    return out;
  }

  void set_state(const ContainerView& c, corev1::ContainerState& state) const {
    if (c.state == ContainerState::kRunning) {
      state.running.ensure().startedAt = time_of_ns(c.started_at_ns);
    } else if (c.state == ContainerState::kExited) {
      state.terminated = terminated(c);
    } else {
      state.waiting.ensure().reason = "ContainerCreating";
    }
  }

  void add_container(const PodContainer& c) {
    const std::string& name = c.spec.name;
    const corev1::ContainerStatus* before = find_status(list_of(old_, c.kind), name);
    std::vector<const ContainerView*> runs;
    for (const auto& run : in_.observed.containers) {
      if (run.name == name) runs.push_back(&run);
    }
    auto memory_it = in_.memory.find(name);
    const ContainerMemory* memory = memory_it == in_.memory.end() ? nullptr : &memory_it->second;
    if (c.kind == ContainerKind::kEphemeral && runs.empty() && memory == nullptr) return;

    corev1::ContainerStatus s;
    s.name = name;
    s.image = c.spec.image;
    if (runs.empty()) {
      set_without_run(c, before, s);
    } else {
      const ContainerView& run = *runs[0];
      set_state(run, s.state);
      if (runs.size() > 1 && runs[1]->state == ContainerState::kExited) {
        s.lastState.terminated = terminated(*runs[1]);
      } else if (before != nullptr && restart_count_of(run) > 0) {
        s.lastState = before->state.terminated && !same_run(before->state, run)
                          ? last_of(before->state)
                          : before->lastState;
      }
      s.restartCount = static_cast<int32_t>(restart_count_of(run));
      s.containerID = in_.runtime_name + "://" + run.id;
      set_resources(c, run, s);
      s.imageID = run.image_ref;
      if (!run.image.empty()) s.image = run.image;
      set_back_off(c, run, memory, s);
    }
    set_waiting(name, memory, s);
    const bool running = static_cast<bool>(s.state.running);
    s.started = running && memory != nullptr && memory->started;
    s.ready = c.kind == ContainerKind::kInit
                  ? s.state.terminated && s.state.terminated->exitCode == 0
                  : running && memory != nullptr && memory->ready && *s.started;
    if (c.kind == ContainerKind::kEphemeral) {
      s.ready = false;
      s.started.reset();
    }
    list_of(out_, c.kind).push_back(std::move(s));
  }

  // What it was given and what it has: that a node tells shows that it can resize.
  void set_resources(const PodContainer& c, const ContainerView& run,
                     corev1::ContainerStatus& s) const {
    const auto applied = in_.applied.find(run.id);
    if (c.kind != ContainerKind::kMain || run.state != ContainerState::kRunning ||
        applied == in_.applied.end()) {
      return;
    }
    s.allocatedResources = c.spec.resources.requests;
    s.resources = applied->second;
    s.resources->claims.clear();
  }

  bool same_run(const corev1::ContainerState& state, const ContainerView& run) const {
    return state.terminated && state.terminated->containerID == in_.runtime_name + "://" + run.id;
  }
  static corev1::ContainerState last_of(const corev1::ContainerState& state) {
    corev1::ContainerState out;
    out.terminated = state.terminated;
    return out;
  }

  // The runtime knows nothing of the container (yet, or any more).
  void set_without_run(const PodContainer& c, const corev1::ContainerStatus* before,
                       corev1::ContainerStatus& s) const {
    if (before != nullptr) {
      s.restartCount = before->restartCount;
      s.lastState = before->lastState;
      s.imageID = before->imageID;
      s.containerID = before->containerID;
      if (before->state.terminated &&
          (in_.terminal || c.kind == ContainerKind::kInit || is_terminal_phase(in_.pod))) {
        s.state = before->state;
        return;
      }
      if (before->state.terminated) s.lastState = last_of(before->state);
      if (before->state.running && in_.terminal) {
        // It ran and its record is lost.
        auto& t = s.state.terminated.ensure();
        t.exitCode = 137;
        t.reason = "ContainerStatusUnknown";
        t.message = "The container could not be located when the pod was terminated";
        t.startedAt = before->state.running->startedAt;
        t.containerID = before->containerID;
        return;
      }
    }
    const bool has_init = !in_.pod.spec.initContainers.empty();
    s.state.waiting.ensure().reason = has_init ? "PodInitializing" : "ContainerCreating";
  }

  // An ended run that is going to be started again shows why it waits, and the run as the last.
  void set_back_off(const PodContainer& c, const ContainerView& run, const ContainerMemory* memory,
                    corev1::ContainerStatus& s) const {
    if (!s.state.terminated || in_.terminal || !should_restart(in_.pod, c.kind, &run)) return;
    auto waiting = in_.waiting.find(c.spec.name);
    const bool failed = memory != nullptr && !memory->waiting_reason.empty();
    if (waiting == in_.waiting.end() && !failed) return;
    s.lastState = last_of(s.state);
    s.state = {};
    auto& w = s.state.waiting.ensure();
    w.reason = failed ? memory->waiting_reason : waiting->second.reason;
    w.message = failed ? memory->waiting_message : waiting->second.message;
  }

  void set_waiting(const std::string& name, const ContainerMemory* memory,
                   corev1::ContainerStatus& s) const {
    (void)name;
    if (!s.state.waiting || memory == nullptr || memory->waiting_reason.empty()) return;
    s.state.waiting->reason = memory->waiting_reason;
    s.state.waiting->message = memory->waiting_message;
  }

  struct Counts {
    int pending_init = 0, failed_init = 0, running_sidecars = 0;
    int running = 0, waiting = 0, stopped = 0, succeeded = 0, unknown = 0;
  };

  Counts count() const {
    Counts n;
    for (const auto& c : containers_) {
      if (c.kind == ContainerKind::kEphemeral) continue;
      const corev1::ContainerStatus* s = find_status(list_of(out_, c.kind), c.spec.name);
      if (s == nullptr) {
        ++(c.kind == ContainerKind::kMain ? n.unknown : n.pending_init);
      } else if (c.kind == ContainerKind::kInit) {
        if (s->state.terminated) {
          n.failed_init += s->state.terminated->exitCode != 0;
        } else if (s->state.waiting && s->lastState.terminated) {
          n.failed_init += s->lastState.terminated->exitCode != 0;
          n.pending_init += s->lastState.terminated->exitCode != 0;
        } else {
          ++n.pending_init;
        }
      } else if (c.kind == ContainerKind::kSidecar) {
        if (s->state.running) {
          s->started.value_or(false) ? ++n.running_sidecars : ++n.pending_init;
        } else if (s->state.waiting && !s->lastState.terminated) {
          ++n.pending_init;
        }
      } else if (s->state.running) {
        ++n.running;
      } else if (s->state.terminated) {
        ++n.stopped;
        n.succeeded += s->state.terminated->exitCode == 0;
      } else if (s->lastState.terminated) {
        ++n.stopped;
      } else {
        ++n.waiting;
      }
    }
    return n;
  }

  void set_phase() {
    const bool was_terminal = is_terminal_phase(in_.pod);
    // What still runs has not failed yet.
    if (!was_terminal && !in_.reason.empty() && !in_.terminal && runs()) {
      out_.phase = phase(count());
      if (old_.phase == "Running") out_.phase = "Running";
      return;
    }
    out_.reason = in_.reason.empty() ? (was_terminal ? old_.reason : "") : in_.reason;
    out_.message = in_.message.empty() ? (was_terminal ? old_.message : "") : in_.message;
    if (was_terminal) {
      out_.phase = old_.phase;  // final
    } else if (!in_.reason.empty()) {
      out_.phase = "Failed";
    } else {
      out_.phase = phase(count());
    }
    // A pod that was deleted before it could finish never goes back.
    if (old_.phase == "Running" && out_.phase == "Pending") out_.phase = "Running";
  }

  bool runs() const {
    const auto& list = in_.observed.containers;
    return std::any_of(list.begin(), list.end(),
                       [](const auto& c) { return c.state == ContainerState::kRunning; });
  }

  std::string phase(const Counts& n) const {
    if (n.failed_init > 0 && restarts_never(in_.pod)) return "Failed";
    if (in_.terminal) {
      // Deleted before any container ran, or all ended.
      if (n.stopped > 0 && n.stopped == n.succeeded && n.waiting == 0) return "Succeeded";
      return "Failed";
    }
    if (n.pending_init > 0 && n.running + n.stopped == 0) return "Pending";
    if (n.waiting > 0 && n.running + n.stopped == 0) return "Pending";
    if (n.waiting > 0) return "Pending";
    if (n.running > 0 && n.unknown == 0) return "Running";
    if (n.running == 0 && n.stopped > 0 && n.unknown == 0) {
      if (restarts_always(in_.pod) || n.running_sidecars > 0) return "Running";
      if (n.stopped == n.succeeded) return "Succeeded";
      return restarts_never(in_.pod) ? "Failed" : "Running";
    }
    return "Pending";
  }

  void set_addresses() {
    if (!in_.host_ips.empty()) {
      out_.hostIP = in_.host_ips[0];
      out_.hostIPs.clear();
      for (const auto& ip : in_.host_ips) out_.hostIPs.emplace_back().ip = ip;
    }
    const auto& ips = in_.pod.spec.hostNetwork ? in_.host_ips : in_.pod_ips;
    if (ips.empty()) return;  // an ended pod keeps showing the address it had
    out_.podIP = ips[0];
    out_.podIPs.clear();
    for (const auto& ip : ips) out_.podIPs.emplace_back().ip = ip;
  }

  void set_condition(std::string type, bool status, std::string reason = "",
                     std::string message = "") {
    const std::string text = status ? "True" : "False";
    for (auto& condition : out_.conditions) {
      if (condition.type != type) continue;
      if (condition.status != text) {
        condition.status = text;
        condition.lastTransitionTime = api::Time(in_.now);
      }
      condition.reason = std::move(reason);
      condition.message = std::move(message);
      return;
    }
    corev1::PodCondition condition;
    condition.type = std::move(type);
    condition.status = text;
    condition.lastTransitionTime = api::Time(in_.now);
    condition.reason = std::move(reason);
    condition.message = std::move(message);
    out_.conditions.push_back(std::move(condition));
  }

  void set_conditions() {
    bool sandbox_ready = false;
    for (const auto& sandbox : in_.observed.sandboxes) sandbox_ready |= sandbox.ready;
    const bool has_address = in_.pod.spec.hostNetwork || !in_.pod_ips.empty();
    set_condition("PodReadyToStartContainers", sandbox_ready && has_address && !in_.terminal);
    set_initialized();
    std::string reason, message;
    const bool ready = containers_ready(reason, message);
    set_pod_ready(ready, reason, message);
    set_condition("ContainersReady", ready, reason, message);
    set_condition("PodScheduled", true);
    if (in_.disrupted) {
      set_condition("DisruptionTarget", true, "TerminationByKubelet", in_.message);
    }
  }

  void set_initialized() {
    std::vector<std::string> incomplete;
    bool started_main = false;
    for (const auto& s : out_.containerStatuses) {
      started_main |= s.state.running || s.state.terminated || s.lastState.terminated;
    }
    for (const auto& c : containers_) {
      if (c.kind != ContainerKind::kInit && c.kind != ContainerKind::kSidecar) continue;
      const auto* s = find_status(out_.initContainerStatuses, c.spec.name);
      const bool done =
          s != nullptr && (c.kind == ContainerKind::kInit ? s->ready : s->started.value_or(false));
      if (!done && !started_main) incomplete.push_back(c.spec.name);
    }
    if (out_.phase == "Succeeded") return set_condition("Initialized", true, "PodCompleted");
    if (incomplete.empty()) return set_condition("Initialized", true);
    set_condition("Initialized", false, "ContainersNotInitialized",
                  fmt::format("containers with incomplete status: [{}]", join(incomplete, " ")));
  }

  bool containers_ready(std::string& reason, std::string& message) const {
    if (out_.phase == "Succeeded") {
      reason = "PodCompleted";
      return false;
    }
    if (out_.phase == "Failed") {
      reason = "PodFailed";
      return false;
    }
    std::vector<std::string> unready;
    for (const auto& c : containers_) {
      if (c.kind != ContainerKind::kMain && c.kind != ContainerKind::kSidecar) continue;
      const auto* s = find_status(list_of(out_, c.kind), c.spec.name);
      if (s == nullptr || !s->ready) unready.push_back(c.spec.name);
    }
    if (unready.empty()) return true;
    reason = "ContainersNotReady";
    message = fmt::format("containers with unready status: [{}]", join(unready, " "));
    return false;
  }

  void set_pod_ready(bool containers_ready, const std::string& reason, const std::string& message) {
    if (!containers_ready) return set_condition("Ready", false, reason, message);
    std::vector<std::string> missing;
    for (const auto& gate : in_.pod.spec.readinessGates) {
      const corev1::PodCondition* found = nullptr;
      for (const auto& c : out_.conditions) {
        if (c.type == gate.conditionType) found = &c;
      }
      if (found == nullptr) {
        missing.push_back(
            fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist.",
                        gate.conditionType));
      } else if (found->status != "True") {
        missing.push_back(
            fmt::format("the status of pod readiness gate \"{}\" is not \"True\", but {}",
                        gate.conditionType, found->status));
      }
    }
    if (missing.empty()) return set_condition("Ready", true);
    set_condition("Ready", false, "ReadinessGatesNotReady", join(missing, ", "));
  }

  const StatusInput& in_;
  const std::vector<PodContainer> containers_;
  const corev1::PodStatus& old_;
  corev1::PodStatus out_;
};

}  // namespace

corev1::PodStatus make_status(const StatusInput& input) { return StatusMaker(input).make(); }

}  // namespace orch::agent
