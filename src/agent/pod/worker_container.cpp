#include <fmt/format.h>

#include <algorithm>

#include "agent/pod/cgroups.h"
#include "agent/pod/container_config.h"
#include "agent/pod/image_auth.h"
#include "agent/pod/image_name.h"
#include "agent/pod/leftovers.h"
#include "agent/pod/mounts.h"
#include "agent/pod/worker.h"
#include "orch/base/file.h"
#include "orch/base/log.h"

namespace orch::agent {
namespace {

constexpr Micros kConfigRetry = Seconds{5};  // a missing ConfigMap may come
constexpr Micros kCreateRetry = Seconds{5};
constexpr Micros kPullRecheck = Seconds{2};    // ErrImagePull turns into ImagePullBackOff
constexpr Micros kImageRecheck = Seconds{10};  // the image may be imported meanwhile
constexpr int64_t kMinimumGrace = 2;           // left to a container after its preStop hook

std::string go_seconds(Micros time) {
  return fmt::format("{}ms", std::chrono::duration_cast<Millis>(time).count());
}

}  // namespace

struct PodWorker::Start {
  std::string name;
  ContainerKind kind;
  corev1::Container spec;
  uint32_t attempt = 0;
  std::string sandbox_id, container_id;
  ImageView image;
  bool pulling = false, warned = false;
  MonoTime pull_began{};
  std::string target_container_id;
};

bool PodWorker::is_current(const std::shared_ptr<Start>& start) const {
  auto it = starting_.find(start->name);
  return it != starting_.end() && it->second == start;
}

void PodWorker::abandon_pulls() {
  for (auto it = starting_.begin(); it != starting_.end();) {
    if (it->second->pulling) {
      memory(it->first).busy = false;
      it = starting_.erase(it);
    } else {
      ++it;
    }
  }
}

void PodWorker::start_container(const Action& action) {
  auto start = std::make_shared<Start>();
  start->name = action.name;
  start->kind = action.kind;
  start->attempt = action.attempt;
  for (auto& c : all_containers(*pod_)) {
    if (c.spec.name == action.name) start->spec = std::move(c.spec);
  }
  for (const auto& e : pod_->spec.ephemeralContainers) {
    if (e.name != action.name || e.targetContainerName.empty()) continue;
    const ContainerView* target = observed_.newest(e.targetContainerName);
    if (target != nullptr) start->target_container_id = target->id;
  }
  for (const auto& sandbox : observed_.sandboxes) {
    if (sandbox.ready) {
      start->sandbox_id = sandbox.id;
      break;
    }
  }
  ContainerMemory& m = memory(action.name);
  m.busy = true;
  m.retry_at.reset();
  starting_[action.name] = start;
  context_.runtime.image_status(start->spec.image, back(start, &PodWorker::image_known));
}

void PodWorker::image_known(const std::shared_ptr<Start>& start,
                            Result<std::optional<ImageView>, Error> result) {
  if (const std::string why = image_name_error(start->spec.image); !why.empty()) {
    Error error{Error::Code::kImageMissing,
                fmt::format("Failed to apply default image tag \"{0}\": couldn't parse image name "
                            "\"{0}\": {1}",
                            start->spec.image, why)};
    container_event(start->name, "Warning", "InspectFailed", error.message);
    return start_failed(start, "InvalidImageName", error, kImageRecheck);
  }
  if (!result) return start_failed(start, "ImageInspectError", result.error(), kCreateRetry);
  const std::string& policy = start->spec.imagePullPolicy;
  if (*result) start->image = **result;
  // After a pull this comes by again: present is enough then.
  if (*result && (policy != "Always" || start->pulling)) {
    if (!start->pulling) {
      container_event(
          start->name, "Normal", "Pulled",
          fmt::format("Container image \"{}\" already present on machine", start->spec.image));
    }
    start->pulling = false;
    pull_backoff_.erase(start->spec.image);
    return build(start);
  }
  if (policy == "Never") {
    Error error{Error::Code::kImageMissing,
                fmt::format("Container image \"{}\" is not present with pull policy of Never",
                            start->spec.image)};
    container_event(start->name, "Warning", "ErrImageNeverPull", error.message);
    return start_failed(start, "ErrImageNeverPull", error, kImageRecheck);
  }
  if (pull_backoff_[start->spec.image].holds(pull_backoff_[start->spec.image].last_update, now())) {
    return wait_for_pull(start);
  }
  pull(start);
}

void PodWorker::pull(const std::shared_ptr<Start>& start) {
  container_event(start->name, "Normal", "Pulling",
                  fmt::format("Pulling image \"{}\"", start->spec.image));
  start->pulling = true;
  start->pull_began = context_.env.clock.mono();
  auto done = back(start, &PodWorker::pulled);
  if (pod_->spec.imagePullSecrets.empty()) {
    return context_.runtime.pull_image(start->spec.image, std::nullopt, done);
  }
  context_.pool.post([&context = context_, pod = pod_, image = start->spec.image, done] {
    context.runtime.pull_image(image, image_auth(*pod, image, context.objects.fresh()), done);
  });
}

void PodWorker::pulled(const std::shared_ptr<Start>& start, Result<std::string, Error> result) {
  const std::string& image = start->spec.image;
  if (result) {
    container_event(start->name, "Normal", "Pulled",
                    fmt::format("Successfully pulled image \"{}\" in {}", image,
                                go_seconds(context_.env.clock.mono() - start->pull_began)));
    return context_.runtime.image_status(image, back(start, &PodWorker::image_known));
  }
  container_event(start->name, "Warning", "Failed",
                  fmt::format("Failed to pull image \"{}\": {}", image, result.error().message));
  pull_backoff_[image].next(now());
  start_failed(start, "ErrImagePull", result.error(), kPullRecheck);
}

void PodWorker::wait_for_pull(const std::shared_ptr<Start>& start) {
  const Backoff& backoff = pull_backoff_[start->spec.image];
  ContainerMemory& m = memory(start->name);
  const std::string cause = m.waiting_reason == "ErrImagePull" ? m.waiting_message : "";
  const bool told = m.waiting_reason == "ImagePullBackOff";
  const std::string text = fmt::format("Back-off pulling image \"{}\"", start->spec.image);
  m.busy = false;
  m.retry_at = std::min(backoff.last_update + backoff.delay, now() + kImageRecheck);
  starting_.erase(start->name);
  if (!told) {
    m.waiting_reason = "ImagePullBackOff";
    m.waiting_message = cause.empty() ? text : text + ": ErrImagePull: " + cause;
    container_event(start->name, "Normal", "BackOff", text);
    container_event(start->name, "Warning", "Failed", "Error: ImagePullBackOff");
  }
  sync();
}

// Environment, mounts and checks; on a thread that may block.
void PodWorker::build(const std::shared_ptr<Start>& start) {
  Result<Unit, Error> ready = Unit{};
  const ContainerView* last = observed_.newest(start->name);
  if (last != nullptr && last->state == ContainerState::kExited)
    memory(start->name).crash.next(now());
  uint32_t sandbox_attempt = 0;
  for (const auto& s : observed_.sandboxes) {
    if (s.id == start->sandbox_id) sandbox_attempt = s.attempt;
  }
  SandboxSpec sandbox = sandbox_spec(sandbox_attempt, ready);
  if (!ready) return start_failed(start, "CreateContainerConfigError", ready.error(), kConfigRetry);
  auto done = back(start, &PodWorker::built);
  context_.pool.post([weak = weak_from_this(), &context = context_, pod = pod_, start,
                      sandbox = std::move(sandbox), ips = pod_ips(), paths = volume_paths_,
                      dir = pod_dir(), done] {
    auto allocatable =
        context.allocatable ? context.allocatable() : std::map<std::string, api::Quantity>{};
    const auto node_ips = context.node_ips();
    auto make = [&]() -> Result<ContainerSpec, Error> {
      EnvironmentInput input{
          .pod = *pod,
          .container = start->spec,
          .addresses = {pod->spec.hostNetwork ? node_ips : ips, node_ips},
          .allocatable = allocatable,
          .services = context.services ? context.services() : decltype(context.services()){}};
      ORCH_TRY(auto environment, make_environment(input, context.objects.fresh()));
      if (auto self = weak.lock(); self && !environment.warnings.empty()) {
        self->post([self = self.get(), name = start->name, warnings = environment.warnings] {
          for (const auto& text : warnings) {
            self->container_event(name, "Warning", "InvalidEnvironmentVariableNames", text);
          }
        });
      }
      MountsInput mounts{.pod = *pod,
                         .container = start->spec,
                         .restart_count = start->attempt,
                         .pod_dir = dir,
                         .volume_paths = paths,
                         .environment = environment.variables,
                         .pod_ips = ips,
                         .cluster_domain = context.config.cluster_domain};
      ORCH_TRY(auto mounted, make_mounts(mounts));
      ContainerInput container{.pod = *pod,
                               .container = start->spec,
                               .kind = start->kind,
                               .restart_count = start->attempt,
                               .sandbox = sandbox,
                               .sandbox_id = start->sandbox_id,
                               .image_reference = start->image.id,
                               .image = start->image,
                               .environment = std::move(environment.variables),
                               .mounts = std::move(mounted),
                               .target_container_id = start->target_container_id,
                               .seccomp_default = context.config.seccomp_default,
                               .node_memory_bytes = context.node_memory_bytes,
                               .cgroup_v2 = cgroup_is_v2(),
                               .instance = context.instance};
      ORCH_TRY(auto spec, make_container_spec(container));
      if (auto logs = make_directories(sandbox.log_directory + "/" + start->name, 0755); !logs) {
        return Err(Error{Error::Code::kInternal, logs.error()});
      }
      return spec;
    };
    done(make());
  });
}

void PodWorker::built(const std::shared_ptr<Start>& start, Result<ContainerSpec, Error> spec) {
  if (!spec) return start_failed(start, "CreateContainerConfigError", spec.error(), kConfigRetry);
  context_.runtime.create_container(*spec, back(start, &PodWorker::created));
}

void PodWorker::created(const std::shared_ptr<Start>& start, Result<std::string, Error> id) {
  touched();
  if (!id) {
    const std::string leftover = reserved_by(id.error().message);
    if (leftover.empty()) {
      return start_failed(start, "CreateContainerError", id.error(), kCreateRetry);
    }
    // A leftover of an earlier life holds the name: away with it, then again.
    context_.runtime.remove_container(leftover, [weak = weak_from_this(), start](auto) {
      auto self = weak.lock();
      if (!self) return;
      self->post([self = self.get(), start] {
        if (!self->is_current(start)) return;
        self->memory(start->name).busy = false;
        self->memory(start->name).retry_at = self->now() + Millis{200};
        self->starting_.erase(start->name);
        self->sync();
      });
    });
    return;
  }
  start->container_id = *id;
  applied_[*id] = start->spec.resources;
  container_event(start->name, "Normal", "Created",
                  fmt::format("Created container: {}", start->name));
  context_.runtime.start_container(*id, back(start, &PodWorker::container_started));
}

void PodWorker::container_started(const std::shared_ptr<Start>& start, Result<Unit, Error> result) {
  touched();
  if (!result) {
    fetch_details(start->container_id);
    return start_failed(start, "RunContainerError", result.error(), Micros{0});
  }
  container_event(start->name, "Normal", "Started",
                  fmt::format("Started container {}", start->name));
  ContainerMemory& m = memory(start->name);
  m.waiting_reason.clear();
  m.waiting_message.clear();
  m.started = false;
  m.ready = false;
  context_.runtime.container_status(start->container_id, back(start, &PodWorker::running));
}

void PodWorker::running(const std::shared_ptr<Start>& start, Result<ContainerView, Error> view) {
  if (view) {
    if (view->sandbox_id.empty()) view->sandbox_id = start->sandbox_id;
    merge_container(std::move(*view));
  }
  const auto& lifecycle = start->spec.lifecycle;
  if (!view || view->state != ContainerState::kRunning || !lifecycle || !lifecycle->postStart) {
    return finish_start(start);
  }
  auto ips = pod_ips();
  ProbeTarget target{pod_.get(), &start->spec, start->container_id, ips.empty() ? "" : ips[0]};
  publish({});
  run_hook(context_.runtime, context_.pool, *lifecycle->postStart, target, Seconds{3600}, *strand_,
           [weak = weak_from_this(), start](ProbeOutcome outcome) {
             auto self = weak.lock();
             if (!self) return;
             self->post([self = self.get(), start, outcome] {
               if (!self->is_current(start)) return;
               if (outcome.result != ProbeOutcome::Result::kSuccess) {
                 self->container_event(start->name, "Warning", "FailedPostStartHook",
                                       "PostStartHook failed");
                 ContainerMemory& m = self->memory(start->name);
                 m.kill_id = start->container_id;
                 m.kill_message = "FailedPostStartHook";
               }
               self->finish_start(start);
             });
           });
}

// Containers that are meant to end often do so at once; the next list is up to a second away.
void PodWorker::watch_for_exit(const std::string& id, Micros delay) {
  strand_->post_after(delay, [weak = weak_from_this(), id, delay] {
    auto self = weak.lock();
    if (!self || self->stopped_) return;
    for (const auto& c : self->observed_.containers) {
      if (c.id != id || c.state != ContainerState::kRunning) continue;
      self->fetch_details(id);
      if (delay < Seconds{1}) self->watch_for_exit(id, delay * 2);
      return;
    }
  });
}

void PodWorker::finish_start(const std::shared_ptr<Start>& start) {
  if (start->kind == ContainerKind::kInit || !restarts_always(*pod_)) {
    watch_for_exit(start->container_id, Millis{20});
  }
  memory(start->name).busy = false;
  starting_.erase(start->name);
  sync();
}

void PodWorker::start_failed(const std::shared_ptr<Start>& start, std::string reason,
                             const Error& error, Micros retry_after) {
  ContainerMemory& m = memory(start->name);
  m.busy = false;
  m.waiting_reason = std::move(reason);
  m.waiting_message = error.message;
  m.retry_at = now() + retry_after;
  starting_.erase(start->name);
  if (m.waiting_reason == "ErrImagePull" || m.waiting_reason == "ErrImageNeverPull" ||
      m.waiting_reason == "InvalidImageName") {
    container_event(start->name, "Warning", "Failed", "Error: " + m.waiting_reason);
  } else {
    container_event(start->name, "Warning", "Failed", "Error: " + error.message);
  }
  sync();
}

int64_t PodWorker::stop_grace() const {
  int64_t grace = grace_seconds_of(*pod_);
  if (deleted_) grace = pod_->metadata.deletionGracePeriodSeconds.value_or(grace);
  if (eviction_) grace = std::min(grace, eviction_->grace_seconds);
  return std::max<int64_t>(grace, 1);
}

void PodWorker::stop_container(const Action& action) {
  const corev1::Container* spec = find_container(*pod_, action.name);
  const int64_t grace = action.grace_seconds.value_or(stop_grace());
  memory(action.name).busy = true;
  stopping_[action.name] = {action.id, grace};
  stop_probes(action.name);
  container_event(action.name, "Normal", "Killing", action.message);
  if (spec == nullptr || !spec->lifecycle || !spec->lifecycle->preStop || grace <= 0) {
    return do_stop(action.name, action.id, grace);
  }
  auto ips = pod_ips();
  ProbeTarget target{pod_.get(), spec, action.id, ips.empty() ? "" : ips[0]};
  auto finished = std::make_shared<bool>(false);
  const MonoTime began = context_.env.clock.mono();
  auto go_on = [this, finished, began, grace, name = action.name, id = action.id](bool ok) {
    if (std::exchange(*finished, true)) return;
    if (!ok) container_event(name, "Warning", "FailedPreStopHook", "PreStopHook failed");
    auto it = stopping_.find(name);
    if (it == stopping_.end() || it->second.id != id) return;
    auto used = std::chrono::duration_cast<Seconds>(context_.env.clock.mono() - began).count();
    do_stop(name, id, std::max(std::min(grace, it->second.grace_seconds) - used, kMinimumGrace));
  };
  run_hook(
      context_.runtime, context_.pool, *spec->lifecycle->preStop, target, Seconds{grace}, *strand_,
      [weak = weak_from_this(), go_on](ProbeOutcome outcome) {
        auto self = weak.lock();
        if (!self) return;
        self->post([go_on, ok = outcome.result == ProbeOutcome::Result::kSuccess] { go_on(ok); });
      });
  // The grace period goes on while the hook runs.
  strand_->post_after(Seconds{grace}, [weak = weak_from_this(), go_on] {
    auto self = weak.lock();
    if (self && !self->stopped_) go_on(false);
  });
}

void PodWorker::do_stop(const std::string& name, const std::string& id, int64_t grace) {
  context_.runtime.stop_container(
      id, Seconds{grace}, [weak = weak_from_this(), name, id](Result<Unit, Error> result) {
        auto self = weak.lock();
        if (!self) return;
        self->context_.runtime.container_status(id, [weak, name, id,
                                                     result](Result<ContainerView, Error> view) {
          auto self = weak.lock();
          if (!self) return;
          self->post([self = self.get(), name, id, result, view] {
            auto it = self->stopping_.find(name);
            const bool current = it != self->stopping_.end() && it->second.id == id;
            if (view) {
              self->merge_container(*view);
            } else if (view.error().code == Error::Code::kNotFound) {
              std::erase_if(self->observed_.containers, [&](const auto& c) { return c.id == id; });
            }
            if (!current) return self->sync();
            if (result) {
              self->stopping_.erase(it);
              self->memory(name).busy = false;
              return self->sync();
            }
            log::warn("agent", "stop container {} of pod {}: {}", name, format_pod(*self->pod_),
                      result.error().message);
            self->strand_->post_after(Seconds{1}, [weak = self->weak_from_this(), name] {
              auto self = weak.lock();
              if (!self || self->stopped_) return;
              self->stopping_.erase(name);
              self->memory(name).busy = false;
              self->sync();
            });
          });
        });
      });
}

// A deletion or an eviction with a shorter grace period hurries stops that are under way.
void PodWorker::shorten_stops() {
  const int64_t grace = stop_grace();
  for (auto& [name, stopping] : stopping_) {
    if ((!deleted_ && !eviction_) || stopping.grace_seconds <= grace) continue;
    stopping.grace_seconds = grace;
    context_.runtime.stop_container(stopping.id, Seconds{grace}, [](Result<Unit, Error>) {});
  }
}

}  // namespace orch::agent
