#include "agent/pod/worker.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/pod/sandbox_config.h"
#include "agent/pod/status.h"
#include "agent/pod/termination_message.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr Micros kResizeAgain = Seconds{10};

}  // namespace

PodWorker::PodWorker(std::shared_ptr<WorkerContext> context, std::shared_ptr<const corev1::Pod> pod)
    : context_owner_(std::move(context)),
      context_(*context_owner_),
      strand_(context_.env.executor.make_strand("pod")),
      uid_(pod->metadata.uid),
      pod_(std::move(pod)),
      shown_pod_(pod_) {
  deleted_ = pod_->metadata.deletionTimestamp.has_value();
  // Of an earlier life it may have other resources than it is to have.
  auto given = std::make_shared<corev1::Pod>(*pod_);
  take_allocated(pod_->status, given->spec);
  if (resources_differ(given->spec, pod_->spec)) {
    wanted_ = pod_->spec;
    pod_ = std::move(given);
    shown_pod_ = pod_;
  }
}

void PodWorker::post(std::function<void()> task) {
  strand_->post([weak = weak_from_this(), task = std::move(task)] {
    auto self = weak.lock();
    if (self && !self->stopped_) task();
  });
}

void PodWorker::reject(Rejection rejection) {
  post([this, rejection = std::move(rejection)] {
    rejected_ = true;
    end_reason_ = rejection.reason;
    end_message_ = "Pod was rejected: " + rejection.message;
    event("Warning", rejection.reason, rejection.message);
  });
}

bool PodWorker::evict(const Eviction& eviction) {
  {
    std::lock_guard lock(shown_mutex_);
    if (shown_evicted_ || shown_terminated_ || is_terminal_phase(*shown_pod_)) return false;
    shown_evicted_ = true;
  }
  post([this, eviction] {
    if (!end_reason_.empty() || terminated_) return;
    end_reason_ = "Evicted";
    end_message_ = eviction.message;
    eviction_ = eviction;
    event("Warning", end_reason_, end_message_);
    shorten_stops();
    if (started_) sync();
  });
  return true;
}

void PodWorker::start(PodObserved observed) {
  auto shared = std::make_shared<PodObserved>(std::move(observed));
  post([this, shared] {
    observed_ = std::move(*shared);
    started_ = true;
    for (const auto& c : observed_.containers) {
      if (c.state == ContainerState::kExited) on_exited(c);
    }
    // The readiness that the API last showed holds until a probe says otherwise.
    for (const auto& s : pod_->status.containerStatuses) {
      const ContainerView* run = observed_.newest(s.name);
      if (run != nullptr && s.ready && s.containerID.ends_with("://" + run->id)) {
        memory(s.name).ready = true;
        memory(s.name).started = true;
      }
    }
    recall_resources();
    sync();
  });
}

void PodWorker::update(std::shared_ptr<const corev1::Pod> pod) {
  post([this, pod = std::move(pod)] {
    // Our own status is ahead of the server's.
    auto merged = std::make_shared<corev1::Pod>(*pod);
    corev1::PodStatus theirs = std::move(merged->status);
    merged->status = pod_->status;
    // Someone else (the node controller, when we were out of sight) wrote what is ours to say.
    resubmit_ |= !api::equal(theirs, pod_->status);
    merged->status.nominatedNodeName = theirs.nominatedNodeName;
    take_resources(pod_->spec, merged->spec);
    if (resources_differ(pod->spec, merged->spec)) {
      wanted_ = pod->spec;
    } else {
      wanted_.reset();
      resize_refused_.clear();
      // Other resources than cpu and memory follow.
      take_resources(pod->spec, merged->spec);
    }
    merged->status.resourceClaimStatuses = theirs.resourceClaimStatuses;
    for (const auto& gate : pod->spec.readinessGates) {
      std::erase_if(merged->status.conditions,
                    [&](const auto& c) { return c.type == gate.conditionType; });
      for (auto& c : theirs.conditions) {
        if (c.type == gate.conditionType) merged->status.conditions.push_back(c);
      }
    }
    pod_ = std::move(merged);
    if (pod_->metadata.deletionTimestamp.has_value()) deleted_ = true;
    shorten_stops();
    if (started_) sync();
  });
}

void PodWorker::removed() {
  post([this] {
    removed_ = true;
    context_.status_writer.forget(uid_);
    shorten_stops();
    if (started_) sync();
  });
}

void PodWorker::refresh() {
  post([this] { sync(); });
}

void PodWorker::stop() {
  strand_->post([self = shared_from_this()] {
    self->stopped_ = true;
    self->probes_.clear();
    self->strand_->cancel_timer(self->timer_);
    self->strand_->cancel_timer(self->refresh_timer_);
  });
}

void PodWorker::observe(PodObserved listed, MonoTime listed_at) {
  auto shared = std::make_shared<PodObserved>(std::move(listed));
  post([this, shared, listed_at] {
    if (!started_ || listed_at <= last_change_) return;  // older than what we know
    bool changed = false;
    auto gone = [&](const auto& known, const auto& list) {
      return std::none_of(list.begin(), list.end(),
                          [&](const auto& item) { return item.id == known.id; });
    };
    changed |= std::erase_if(observed_.containers,
                             [&](const auto& c) { return gone(c, shared->containers); }) > 0;
    changed |= std::erase_if(observed_.sandboxes,
                             [&](const auto& s) { return gone(s, shared->sandboxes); }) > 0;
    for (auto& sandbox : shared->sandboxes) {
      auto known = std::find_if(observed_.sandboxes.begin(), observed_.sandboxes.end(),
                                [&](const auto& s) { return s.id == sandbox.id; });
      if (known == observed_.sandboxes.end()) {
        observed_.sandboxes.push_back(std::move(sandbox));
        changed = true;
      } else if (known->ready != sandbox.ready) {
        known->ready = sandbox.ready;
        changed = true;
      }
    }
    std::sort(observed_.sandboxes.begin(), observed_.sandboxes.end(),
              [](const auto& a, const auto& b) { return a.created_at_ns > b.created_at_ns; });
    for (auto& container : shared->containers) {
      auto known = std::find_if(observed_.containers.begin(), observed_.containers.end(),
                                [&](const auto& c) { return c.id == container.id; });
      if (known == observed_.containers.end() || known->state != container.state) {
        fetch_details(container.id);
      }
    }
    if (changed) sync();
  });
}

void PodWorker::fetch_details(const std::string& id) {
  if (!fetching_.insert(id).second) return;
  context_.runtime.container_status(id, [weak = weak_from_this(), id](auto result) {
    auto self = weak.lock();
    if (!self) return;
    auto shared = std::make_shared<Result<ContainerView, Error>>(std::move(result));
    self->post([self = self.get(), id, shared] {
      self->fetching_.erase(id);
      if (!*shared) return;  // gone meanwhile, or asked again with the next list
      self->merge_container(std::move(**shared));
      self->sync();
    });
  });
}

// Puts a detailed view in its place: newest first.
void PodWorker::merge_container(ContainerView view) {
  touched();
  if (auto name = view.labels.find(kContainerNameLabel); name != view.labels.end()) {
    view.name = name->second;
  }
  auto& list = observed_.containers;
  auto known =
      std::find_if(list.begin(), list.end(), [&](const auto& c) { return c.id == view.id; });
  const bool exited =
      view.state == ContainerState::kExited &&
      (known == list.end() || known->state != ContainerState::kExited || !known->detailed);
  if (known == list.end()) {
    list.push_back(std::move(view));
    known = std::prev(list.end());
  } else {
    if (view.sandbox_id.empty()) view.sandbox_id = known->sandbox_id;
    *known = std::move(view);
  }
  if (known->sandbox_id.empty() && !observed_.sandboxes.empty()) {
    // ContainerStatus does not name the sandbox: the newest one older than the container.
    for (const auto& sandbox : observed_.sandboxes) {
      if (sandbox.created_at_ns <= known->created_at_ns) {
        known->sandbox_id = sandbox.id;
        break;
      }
    }
  }
  const ContainerView copy = *known;
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.created_at_ns > b.created_at_ns; });
  if (exited) on_exited(copy);
}

void PodWorker::on_exited(const ContainerView& view) {
  std::string message = read_termination_message(view, pod_dir());
  if (!message.empty()) termination_messages_[view.id] = std::move(message);
  auto it = memory_.find(view.name);
  if (it == memory_.end()) return;
  const ContainerView* newest = observed_.newest(view.name);
  if (newest != nullptr && newest->id != view.id) return;
  it->second.started = false;
  it->second.ready = false;
  if (it->second.kill_id == view.id) it->second.kill_id.clear();
  stop_probes(view.name);
}

std::vector<std::string> PodWorker::pod_ips() const {
  for (const auto& sandbox : observed_.sandboxes) {
    if (sandbox.ready) return sandbox.ips;
  }
  return {};
}

void PodWorker::event(std::string_view type, std::string_view reason, std::string_view message,
                      std::string_view field_path) {
  client::EventSubject subject = client::subject_of(*pod_);
  subject.field_path = std::string(field_path);
  context_.events.record(subject, type, reason, message);
}

void PodWorker::container_event(const std::string& name, std::string_view type,
                                std::string_view reason, std::string_view message) {
  ContainerKind kind = ContainerKind::kMain;
  for (const auto& c : all_containers(*pod_)) {
    if (c.spec.name == name) kind = c.kind;
  }
  event(type, reason, message, container_field_path(kind, name));
}

void PodWorker::check_deadline() {
  if (terminating() || !pod_->spec.activeDeadlineSeconds || is_terminal_phase(*pod_)) return;
  const auto& start = pod_->status.startTime;
  if (!start || !start->is_set) return;
  if (now() < start->wall() + Seconds{*pod_->spec.activeDeadlineSeconds}) return;
  end_reason_ = "DeadlineExceeded";
  end_message_ = "Pod was active on the node longer than the specified deadline";
  event("Normal", end_reason_, end_message_);
}

void PodWorker::sync() {
  if (!started_ || stopped_) return;
  check_deadline();
  consider_resize();
  resize();
  if (terminating()) abandon_pulls();
  PlanInput input{.pod = *pod_,
                  .observed = observed_,
                  .memory = memory_,
                  .terminate = terminating(),
                  .volumes_ready = volumes_ready_,
                  .volumes_busy = volumes_busy_,
                  .volumes_retry_at = volumes_retry_at_,
                  .sandbox_busy = sandbox_busy_,
                  .sandbox_retry_at = sandbox_retry_at_,
                  .now = now()};
  Plan next = plan(input);
  for (const auto& [name, waiting] : next.waiting) {
    const ContainerView* run = observed_.newest(name);
    if (run == nullptr || back_off_told_[name] == run->id) continue;
    back_off_told_[name] = run->id;
    container_event(
        name, "Warning", "BackOff",
        fmt::format("Back-off restarting failed container {} in pod {}", name, format_pod(*pod_)));
  }
  if (!terminating()) follow_running();
  for (const auto& action : next.actions) perform(action);
  publish(next);
  auto wake = next.wake_at;
  if (resize_refused_ == "Deferred" && (!wake || now() + kResizeAgain < *wake)) {
    wake = now() + kResizeAgain;
  }
  if (resize_retry_at_ && (!wake || *resize_retry_at_ < *wake)) wake = resize_retry_at_;
  if (pod_->spec.activeDeadlineSeconds && !terminating() && pod_->status.startTime) {
    WallTime deadline = pod_->status.startTime->wall() + Seconds{*pod_->spec.activeDeadlineSeconds};
    if (!wake || deadline < *wake) wake = deadline;
  }
  set_timer(wake);
}

void PodWorker::set_timer(std::optional<WallTime> at) {
  strand_->cancel_timer(timer_);
  timer_ = 0;
  if (!at) return;
  Micros delay = std::max<Micros>(*at - now(), Micros{0}) + Millis{1};
  timer_ = strand_->post_after(delay, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->sync();
  });
}

void PodWorker::perform(const Action& action) {
  switch (action.type) {
    case Action::Type::kPrepareVolumes:
      return prepare_volumes();
    case Action::Type::kCreateSandbox:
      return create_sandbox(action.attempt);
    case Action::Type::kStopSandbox:
      return stop_sandbox(action.id);
    case Action::Type::kRemoveSandbox:
      return remove_sandbox(action.id);
    case Action::Type::kStartContainer:
      return start_container(action);
    case Action::Type::kStopContainer:
      return stop_container(action);
    case Action::Type::kRemoveContainer:
      return remove_container(action.id);
    case Action::Type::kTerminated:
      return terminated();
  }
}

// Shows the state to readers, and sends the status when it changed.
void PodWorker::publish(const Plan& next) {
  const bool over = terminated_ && (terminating() || next.finished);
  StatusInput input{.pod = *pod_,
                    .observed = observed_,
                    .memory = memory_,
                    .waiting = next.waiting,
                    .pod_ips = pod_ips(),
                    .host_ips = context_.node_ips(),
                    .now = now(),
                    .terminal = over,
                    .rejected = rejected_,
                    .reason = end_reason_,
                    .message = end_message_,
                    .applied = applied_,
                    .resize = resize_state(),
                    .disrupted = eviction_ && eviction_->disruption,
                    .runtime_name = context_.runtime_name(),
                    .termination_messages = termination_messages_};
  corev1::PodStatus status = make_status(input);
  const bool changed = !api::equal(status, pod_->status);
  const bool was_terminal = is_terminal_phase(*pod_);
  if (changed) {
    auto fresh = std::make_shared<corev1::Pod>(*pod_);
    fresh->status = std::move(status);
    pod_ = std::move(fresh);
  }
  {
    std::lock_guard lock(shown_mutex_);
    shown_pod_ = pod_;
    shown_observed_ = observed_;
    shown_terminated_ = terminated_;
  }
  if (!was_terminal && is_terminal_phase(*pod_)) context_.changed();
  if (removed_) return;
  const bool remove = over && deleted_ && !delete_sent_;
  if (changed || remove || std::exchange(resubmit_, false)) {
    delete_sent_ |= remove;
    context_.status_writer.submit(pod_, remove);
  }
}

std::shared_ptr<const corev1::Pod> PodWorker::pod() const {
  std::lock_guard lock(shown_mutex_);
  return shown_pod_;
}
PodObserved PodWorker::observed() const {
  std::lock_guard lock(shown_mutex_);
  return shown_observed_;
}
bool PodWorker::is_terminated() const {
  std::lock_guard lock(shown_mutex_);
  return shown_terminated_;
}

}  // namespace orch::agent
