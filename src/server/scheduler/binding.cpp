// The binding cycle and what else is written: evictions, conditions, nominations. On the writers'
// strands; blocks in the client.
#include <fmt/format.h>

#include "orch/base/log.h"
#include "server/scheduler/scheduler_impl.h"

namespace orch::server::scheduler {
namespace {

constexpr Millis kBindPoll{20};

Status failed(std::string_view point, const Status& status) {
  return Status::error(
      fmt::format("running {} plugin \"{}\": {}", point, status.plugin, status.message()));
}

}  // namespace

// kWait: PreBind is not done yet.
Status Scheduler::Impl::run_bind(Placement& placement) {
  Framework& framework = placement.profile.framework;
  const PodInfo& pod = *placement.queued.pod;
  Status status = framework.run_pre_bind(placement.state, pod, placement.node);
  if (status.code == Code::kWait &&
      env_.clock.mono() - placement.since >= placement.profile.bind_timeout) {
    status.code = Code::kError;
    status.reasons = {"binding volumes: context deadline exceeded"};
  }
  if (status.code == Code::kWait) return status;
  if (!status.ok()) return failed("PreBind", status);
  if (extenders_) {
    if (auto answer = extenders_->bind(pod, placement.node)) return *answer;
  }
  status = framework.run_bind(placement.state, pod, placement.node);
  return status.ok() ? status : failed("Bind", status);
}

void Scheduler::Impl::bind(const std::shared_ptr<Placement>& placement) {
  Status status = run_bind(*placement);
  if (status.code == Code::kWait) {
    cycle_->post_after(kBindPoll, [weak = weak_from_this(), placement] {
      auto self = weak.lock();
      if (!self) return;
      std::lock_guard lock(self->mutex_);
      self->submit([placement](Impl& impl) { impl.bind(placement); });
    });
  } else if (status.ok()) {
    bound(*placement);
    placement->profile.framework.run_post_bind(placement->state, *placement->queued.pod,
                                               placement->node);
  } else {
    not_bound(*placement, std::move(status));
  }
}

void Scheduler::Impl::bound(const Placement& placement) {
  const QueuedPod& queued = placement.queued;
  const PodInfo& pod = *queued.pod;
  const MonoTime now = env_.clock.mono();
  placement.profile.metrics.scheduled.count(now - placement.began);
  pod_attempts().observe(queued.attempts);
  observe_sli(now - queued.first_seen, queued.attempts);
  record(*pod.pod, placement.profile, "Normal", "Scheduled",
         fmt::format("Successfully assigned {}/{} to {}", pod.namespace_(), pod.name(),
                     placement.node));
}

void Scheduler::Impl::not_bound(Placement& placement, Status status) {
  QueuedPod& queued = placement.queued;
  const PodInfoPtr pod = queued.pod;
  placement.profile.framework.run_unreserve(placement.state, *pod, placement.node);
  auto there = client_.get<corev1::Pod>(pod->namespace_(), pod->name());
  const bool gone = there ? there->metadata.uid != pod->uid() : there.error().code == 404;
  std::unique_lock lock(mutex_);
  const bool confirmed = cache_.pod(pod->uid()) && !cache_.is_assumed(pod->uid());
  cache_.forget(pod->uid());
  on_freed(pod, placement.node);
  // Deleted meanwhile, or bound by someone else.
  if (gone || confirmed || (there && !there->spec.nodeName.empty())) {
    kick();
    return;
  }
  lock.unlock();
  // Changes that came while it was being bound were passed over.
  if (there) queued.pod = make_pod_info(std::make_shared<corev1::Pod>(std::move(*there)));
  placement.profile.metrics.error.count(env_.clock.mono() - placement.began);
  Decision failure;
  failure.status = std::move(status);
  refused(placement.profile, queued, "SchedulerError", failure);
  lock.lock();
  kick();
}

// False = the victim stays, for now.
bool Scheduler::Impl::evict(const PodInfo& preemptor, const std::string& node,
                            const PodInfoPtr& victim) {
  patch_status(*victim->pod, disruption_target_patch(*victim->pod, env_.clock.now()));
  client::DeleteOptions options;
  options.uid = victim->uid();
  auto deleted = client_.remove<corev1::Pod>(victim->namespace_(), victim->name(), options);
  if (!deleted) {
    // 409: a pod of that name made anew.
    if (deleted.error().code == 404 || deleted.error().code == 409) return true;
    log::warn("scheduler", "preempt {}/{}: {}", victim->namespace_(), victim->name(),
              deleted.error().message);
    return false;
  }
  if (const Profile* profile = profile_of(*preemptor.pod)) {
    record(*victim->pod, *profile, "Normal", "Preempted",
           fmt::format("Preempted by pod {} on node {}", preemptor.uid(), node));
  }
  return true;
}

void Scheduler::Impl::write_verdict(const corev1::Pod& pod, const Verdict& verdict) {
  if (auto patch = pod_scheduled_patch(pod, verdict, env_.clock.now())) {
    patch_status(pod, std::move(*patch));
  }
}

void Scheduler::Impl::patch_status(const corev1::Pod& pod, std::string patch) {
  auto answer = client_.patch<corev1::Pod>(pod.metadata.namespace_, pod.metadata.name,
                                           api::PatchType::kStrategic, std::move(patch), "status");
  if (!answer && answer.error().code != 404) {
    log::warn("scheduler", "status of {}/{}: {}", pod.metadata.namespace_, pod.metadata.name,
              answer.error().message);
  }
}

void Scheduler::Impl::record(const corev1::Pod& pod, const Profile& profile, std::string_view type,
                             std::string_view reason, std::string_view message) {
  client::EventSubject subject = client::subject_of(pod);
  subject.component = profile.name;
  events_.record(subject, type, reason, message);
}

}  // namespace orch::server::scheduler
