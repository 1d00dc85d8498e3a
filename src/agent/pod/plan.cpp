#include "agent/pod/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/pod/sandbox_config.h"
#include "orch/base/strings.h"

namespace orch::agent {

bool Backoff::holds(WallTime event, WallTime now) const {
  if (delay.count() == 0 || event - last_update > 2 * kMax) return false;
  return now - event < delay;
}

void Backoff::next(WallTime now) {
  const bool expired = delay.count() == 0 || now - last_update > 2 * kMax;
  delay = expired ? kInitial : std::min(delay * 2, kMax);
  last_update = now;
}

const ContainerView* PodObserved::newest(std::string_view name) const {
  for (const auto& c : containers) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

WallTime wall_of_ns(int64_t ns) { return WallTime{Micros{ns / 1000}}; }

uint32_t restart_count_of(const ContainerView& c) {
  auto it = c.annotations.find(kRestartCountAnnotation);
  if (it == c.annotations.end()) return c.attempt;
  return static_cast<uint32_t>(parse_int(it->second).value_or(c.attempt));
}

std::string go_duration(Seconds seconds) {
  int64_t s = seconds.count();
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{}s", s / 60, s % 60);
  return fmt::format("{}h{}m{}s", s / 3600, s / 60 % 60, s % 60);
}

bool should_restart(const corev1::Pod& pod, ContainerKind kind, const ContainerView* newest) {
  if (newest == nullptr) return true;
  if (newest->state == ContainerState::kRunning) return false;
  if (newest->state == ContainerState::kCreated || newest->state == ContainerState::kUnknown) {
    return true;
  }
  switch (kind) {
    case ContainerKind::kSidecar:
      return true;
    case ContainerKind::kEphemeral:
      return false;
    case ContainerKind::kInit:
      return newest->exit_code != 0 && !restarts_never(pod);
    case ContainerKind::kMain:
      break;
  }
  if (restarts_never(pod)) return false;
  return restarts_always(pod) || newest->exit_code != 0;
}

namespace {

bool is_live(const ContainerView& c) {
  return c.state == ContainerState::kRunning || c.state == ContainerState::kUnknown;
}

class Planner {
 public:
  explicit Planner(const PlanInput& input)
      : in_(input), containers_(all_containers(input.pod)), observed_(input.observed) {
    for (const auto& sandbox : observed_.sandboxes) {
      if (sandbox.ready) {
        sandbox_ = &sandbox;
        break;
      }
    }
  }

  Plan make() {
    out_.finished = is_finished();
    if (in_.terminate || out_.finished) {
      terminate();
    } else {
      run();
      collect_garbage();
    }
    return std::move(out_);
  }

 private:
  const ContainerMemory& memory(const std::string& name) const {
    static const ContainerMemory none;
    auto it = in_.memory.find(name);
    return it == in_.memory.end() ? none : it->second;
  }
  void wake(WallTime at) {
    if (!out_.wake_at || at < *out_.wake_at) out_.wake_at = at;
  }
  void stop(const ContainerView& c, std::string message, std::optional<int64_t> grace = {}) {
    if (memory(c.name).busy) return;
    out_.actions.push_back({.type = Action::Type::kStopContainer,
                            .id = c.id,
                            .name = c.name,
                            .message = std::move(message),
                            .grace_seconds = grace});
  }

  // The newest run of a container in the present sandbox. Runs of dead sandboxes count as ended.
  const ContainerView* current(std::string_view name) const {
    for (const auto& c : observed_.containers) {
      if (c.name == name && sandbox_ != nullptr && c.sandbox_id == sandbox_->id) return &c;
    }
    return nullptr;
  }

  // Succeeded or Failed for good: the API says so already, or no container may run again.
  bool is_finished() const {
    if (is_terminal_phase(in_.pod)) return true;
    if (restarts_always(in_.pod)) return false;
    for (const auto& c : containers_) {
      if (c.kind != ContainerKind::kInit) continue;
      const ContainerView* newest = observed_.newest(c.spec.name);
      if (newest != nullptr && newest->state == ContainerState::kExited && newest->exit_code != 0 &&
          restarts_never(in_.pod) && !main_seen()) {
        return true;
      }
    }
    for (const auto& c : containers_) {
      if (c.kind != ContainerKind::kMain) continue;
      const ContainerView* newest = observed_.newest(c.spec.name);
      if (newest == nullptr || newest->state != ContainerState::kExited ||
          should_restart(in_.pod, c.kind, newest) || memory(c.spec.name).busy) {
        return false;
      }
    }
    return true;
  }

  bool main_seen() const {
    for (const auto& c : containers_) {
      if (c.kind == ContainerKind::kMain && observed_.newest(c.spec.name) != nullptr) return true;
    }
    return false;
  }

  // Main and init containers first, then sidecars from the last to the first, then the sandbox.
  void terminate() {
    bool main_live = false, any_live = false, any_busy = in_.sandbox_busy || in_.volumes_busy;
    for (const auto& [name, m] : in_.memory) any_busy |= m.busy;
    for (const auto& c : observed_.containers) {
      if (!is_live(c)) continue;
      any_live = true;
      if (kind_of(c.name) != ContainerKind::kSidecar) {
        main_live = true;
        stop(c, fmt::format("Stopping container {}", c.name));
      }
    }
    if (any_live && !main_live) stop_last_sidecar();
    if (any_live) return;
    bool any_ready = false;
    for (const auto& sandbox : observed_.sandboxes) {
      if (!sandbox.ready) continue;
      any_ready = true;
      if (!in_.sandbox_busy) {
        out_.actions.push_back({.type = Action::Type::kStopSandbox, .id = sandbox.id});
      }
    }
    if (any_ready || any_busy) return;
    out_.actions.push_back({.type = Action::Type::kTerminated});
  }

  void stop_last_sidecar() {
    const auto& inits = in_.pod.spec.initContainers;
    for (auto it = inits.rbegin(); it != inits.rend(); ++it) {
      for (const auto& c : observed_.containers) {
        if (c.name == it->name && is_live(c)) {
          return stop(c, fmt::format("Stopping container {}", c.name));
        }
      }
    }
    for (const auto& c : observed_.containers) {  // not in the spec any more
      if (is_live(c)) stop(c, fmt::format("Stopping container {}", c.name));
    }
  }

  ContainerKind kind_of(const std::string& name) const {
    for (const auto& c : containers_) {
      if (c.spec.name == name) return c.kind;
    }
    return ContainerKind::kMain;
  }

  void run() {
    if (!in_.volumes_ready && !in_.volumes_busy) {
      if (in_.volumes_retry_at && *in_.volumes_retry_at > in_.now) {
        wake(*in_.volumes_retry_at);
      } else {
        out_.actions.push_back({.type = Action::Type::kPrepareVolumes});
      }
    }
    if (!have_sandbox() || !in_.volumes_ready) return;
    if (run_init_containers()) run_main_containers();
  }

  bool have_sandbox() {
    for (const auto& sandbox : observed_.sandboxes) {
      if (sandbox.ready && &sandbox != sandbox_ && !in_.sandbox_busy) {
        out_.actions.push_back({.type = Action::Type::kStopSandbox, .id = sandbox.id});
      }
    }
    bool waiting_for_stop = false;
    for (const auto& c : observed_.containers) {
      if (is_live(c) && (sandbox_ == nullptr || c.sandbox_id != sandbox_->id)) {
        stop(c, "Pod sandbox changed, it will be killed and re-created.");
        waiting_for_stop = true;
      }
    }
    if (sandbox_ != nullptr) return !waiting_for_stop;
    if (waiting_for_stop || in_.sandbox_busy) return false;
    if (in_.sandbox_retry_at && *in_.sandbox_retry_at > in_.now) {
      wake(*in_.sandbox_retry_at);
      return false;
    }
    const SandboxView* last = observed_.newest_sandbox();
    out_.actions.push_back(
        {.type = Action::Type::kCreateSandbox, .attempt = last != nullptr ? last->attempt + 1 : 0});
    return false;
  }

  // True when all init containers are through (sidecars started).
  bool run_init_containers() {
    bool initialized = false;
    for (const auto& c : containers_) {
      initialized |= c.kind == ContainerKind::kMain && current(c.spec.name) != nullptr;
    }
    for (const auto& c : containers_) {
      const ContainerView* now = current(c.spec.name);
      if (c.kind == ContainerKind::kSidecar) {
        if (now == nullptr || !is_live(*now)) {
          start(c, now);
          if (!initialized) return false;
        } else {
          check_running(c, *now);
          if (!initialized && !memory(c.spec.name).started) return false;
        }
      } else if (c.kind == ContainerKind::kInit && !initialized) {
        if (now != nullptr && is_live(*now)) return false;
        if (now != nullptr && now->state == ContainerState::kExited && now->exit_code == 0) {
          continue;
        }
        start(c, now);
        return false;
      }
    }
    return true;
  }

  void run_main_containers() {
    for (const auto& c : containers_) {
      if (c.kind != ContainerKind::kMain && c.kind != ContainerKind::kEphemeral) continue;
      const ContainerView* now = current(c.spec.name);
      if (now != nullptr && is_live(*now)) {
        if (c.kind == ContainerKind::kMain) check_running(c, *now);
        continue;
      }
      // A run in an earlier sandbox counts for OnFailure: what succeeded is not run again.
      const ContainerView* last = observed_.newest(c.spec.name);
      if (should_restart(in_.pod, c.kind, last)) start(c, last);
    }
  }

  void check_running(const PodContainer& c, const ContainerView& now) {
    const ContainerMemory& m = memory(c.spec.name);
    if (m.kill_id == now.id) return stop(now, m.kill_message, m.kill_grace_seconds);
    auto hash = now.annotations.find(kHashAnnotation);
    if (hash != now.annotations.end() && hash->second != container_hash(c.spec)) {
      stop(now, fmt::format("Container {} definition changed, will be restarted", c.spec.name));
    }
  }

  // `last`: the run before, ended.
  void start(const PodContainer& c, const ContainerView* last) {
    const ContainerMemory& m = memory(c.spec.name);
    if (m.busy) return;
    if (m.retry_at && *m.retry_at > in_.now) return wake(*m.retry_at);
    const ContainerView* newest = observed_.newest(c.spec.name);
    if (last != nullptr && last->state == ContainerState::kExited) {
      const WallTime ended = wall_of_ns(last->finished_at_ns);
      if (m.crash.holds(ended, in_.now)) {
        out_.waiting[c.spec.name] = {
            "CrashLoopBackOff",
            fmt::format("back-off {} restarting failed container={} pod={}",
                        go_duration(m.crash.delay), c.spec.name, format_pod(in_.pod))};
        return wake(ended + m.crash.delay);
      }
    }
    out_.actions.push_back({.type = Action::Type::kStartContainer,
                            .name = c.spec.name,
                            .kind = c.kind,
                            .attempt = newest != nullptr ? restart_count_of(*newest) + 1 : 0});
  }

  // Keeps of each container the newest run and the newest ended one; of sandboxes the newest and
  // those that still hold containers.
  void collect_garbage() {
    std::map<std::string, int> ended;
    for (const auto& c : observed_.containers) {
      if (is_live(c) || memory(c.name).busy) continue;
      const bool unstarted = c.state == ContainerState::kCreated;
      if (!unstarted && ++ended[c.name] <= 1) continue;
      out_.actions.push_back({.type = Action::Type::kRemoveContainer, .id = c.id, .name = c.name});
    }
    for (size_t i = 1; i < observed_.sandboxes.size(); ++i) {
      const SandboxView& sandbox = observed_.sandboxes[i];
      bool used = sandbox.ready;
      for (const auto& c : observed_.containers) used |= c.sandbox_id == sandbox.id;
      if (!used) out_.actions.push_back({.type = Action::Type::kRemoveSandbox, .id = sandbox.id});
    }
  }

  const PlanInput& in_;
  const std::vector<PodContainer> containers_;
  const PodObserved& observed_;
  const SandboxView* sandbox_ = nullptr;  // the ready one that is used
  Plan out_;
};

}  // namespace

Plan plan(const PlanInput& input) { return Planner(input).make(); }

}  // namespace orch::agent
