// The scheduling cycle: from the queue to "assumed", or back to the queue with a reason.
#include <fmt/format.h>

#include "orch/base/log.h"
#include "server/scheduler/scheduler_impl.h"

namespace orch::server::scheduler {
namespace {

// Cycles in one task of the strand, so that a full queue does not cost a hand-over a pod.
constexpr int kCyclesMax = 16;

}  // namespace

class Scheduler::Impl::Running {
 public:
  explicit Running(Impl& impl) : impl_(impl) { impl_.running_.push_back(me_); }
  ~Running() {
    auto& all = impl_.running_;
    all.erase(std::find(all.begin(), all.end(), me_));
    if (impl_.stopped_) impl_.idle_.notify_all();
  }
  Running(const Running&) = delete;

 private:
  Impl& impl_;
  const decltype(std::this_thread::get_id()) me_ = std::this_thread::get_id();
};

// mutex_ held: sees to it that a cycle runs when there is something to do, now or later.
void Scheduler::Impl::kick() {
  show_pending(queue_);
  show_cache(cache_);
  if (stopped_ || unsynced_ > 0) return;
  if (queue_.active() == 0) {
    arm_timer();
    return;
  }
  if (cycle_posted_) return;
  cycle_posted_ = true;
  cycle_->post([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->run_cycles();
  });
}

// mutex_ held.
void Scheduler::Impl::arm_timer() {
  const auto due = queue_.next_due();
  if (due == timer_due_) return;
  if (timer_ != 0) cycle_->cancel_timer(timer_);
  timer_ = 0;
  timer_due_ = due;
  if (!due) return;
  const Micros delay = std::max(Micros{0}, *due - env_.clock.mono());
  timer_ = cycle_->post_after(delay, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    std::lock_guard lock(self->mutex_);
    self->timer_ = 0;
    self->timer_due_.reset();
    self->queue_.flush(self->env_.clock.mono());
    self->kick();
  });
}

void Scheduler::Impl::run_cycles() {
  for (int i = 0; i < kCyclesMax && cycle(); ++i) {
  }
  std::lock_guard lock(mutex_);
  cycle_posted_ = false;
  kick();
}

bool Scheduler::Impl::cycle() {
  std::unique_lock lock(mutex_);
  if (stopped_) return false;
  const MonoTime began = env_.clock.mono();
  queue_.flush(began);
  auto queued = queue_.pop();
  cache_.update(snapshot_);
  if (!queued) return false;
  if (auto node = cache_.nomination(queued->pod->uid()); node != queued->pod->nominated_node) {
    queued->pod = with_nomination(*queued->pod, std::move(node));
  }
  const Running running(*this);
  lock.unlock();
  decide(std::move(*queued), began);
  lock.lock();
  return true;
}

void Scheduler::Impl::decide(QueuedPod queued, MonoTime began) {
  Profile& profile = *profile_of(*queued.pod->pod);
  ScheduleOptions options;
  options.start = start_;
  options.percentage_of_nodes = profile.percentage_of_nodes;
  options.classes = &profile.classes;
  options.extenders = extenders_.get();
  Decision decision = schedule(profile.framework, snapshot_, *queued.pod, *random_, options);
  if (!snapshot_.nodes.empty()) start_ = (start_ + decision.evaluated) % snapshot_.nodes.size();
  algorithm_seconds().observe(std::chrono::duration<double>(env_.clock.mono() - began).count());
  place(profile, std::move(queued), std::move(decision), began);
}

void Scheduler::Impl::place(Profile& profile, QueuedPod queued, Decision decision, MonoTime began) {
  if (decision.status.ok()) {
    decision.status = profile.framework.run_reserve(decision.state, *queued.pod, decision.node);
    if (!decision.status.ok()) decision.rejected_by = {std::string(decision.status.plugin)};
  }
  if (!decision.status.ok()) {
    const bool rejected = decision.status.rejected();
    const auto& result = rejected ? profile.metrics.unschedulable : profile.metrics.error;
    result.count(env_.clock.mono() - began);
    refused(profile, std::move(queued), rejected ? "Unschedulable" : "SchedulerError", decision);
    return;
  }
  std::lock_guard lock(mutex_);
  std::string nominated = cache_.nomination(queued.pod->uid());
  cache_.assume(queued.pod, decision.node);
  if (!nominated.empty() && nominated != decision.node) on_freed(queued.pod, std::move(nominated));
  // From here on only errors can bring it back, and these do not wait for events.
  queue_.done(queued.pod->uid());
  auto placement =
      std::make_shared<Placement>(Placement{profile, std::move(queued), std::move(decision.state),
                                            std::move(decision.node), began, env_.clock.mono()});
  submit([placement](Impl& self) { self.bind(placement); });
}

void Scheduler::Impl::refused(Profile& profile, QueuedPod queued, std::string reason,
                              const Decision& decision) {
  const PodInfoPtr pod = queued.pod;
  const std::string message = decision.status.message();
  record(*pod->pod, profile, "Warning", "FailedScheduling", message);
  log::debug("scheduler", "{}/{}: {}", pod->namespace_(), pod->name(), message);

  std::lock_guard lock(mutex_);
  queued.rejected_by = decision.rejected_by;
  if (decision.nominated_node != pod->nominated_node) nominate(pod, decision.nominated_node);
  if (decision.nominated_node.empty()) queued.awaited.clear();
  submit([pod, verdict = Verdict{std::move(reason), message, decision.nominated_node}](Impl& self) {
    self.write_verdict(*pod->pod, verdict);
  });
  if (decision.victims.empty()) {
    queue_.put_back(std::move(queued), env_.clock.mono());
  } else {
    preempt(std::move(queued), decision);
  }
}

// mutex_ held.
void Scheduler::Impl::preempt(QueuedPod queued, const Decision& decision) {
  preemption_attempts().add();
  preemption_victims().observe(static_cast<double>(decision.victims.size()));
  const PodInfoPtr pod = queued.pod;
  queued.awaited.clear();
  for (const auto& victim : decision.victims) queued.awaited.insert(victim->uid());
  // In flight until its victims are on their way out: tried earlier it would choose further ones.
  submit([queued = std::move(queued), victims = decision.victims,
          node = decision.nominated_node](Impl& self) {
    bool all = true;
    for (const auto& victim : victims) all = self.evict(*queued.pod, node, victim) && all;
    QueuedPod back = queued;
    if (!all) {
      // What failed may be whole again after a back-off.
      back.awaited.clear();
      back.rejected_by.clear();
    }
    std::lock_guard lock(self.mutex_);
    self.queue_.put_back(std::move(back), self.env_.clock.mono());
    self.kick();
  });
  // Who waits for this node with less priority must look elsewhere.
  for (const auto& other : cache_.nominated_below(decision.nominated_node, pod->priority)) {
    nominate(other, "");
    submit([other](Impl& self) {
      self.patch_status(*other->pod, clear_nomination_patch(*other->pod));
    });
  }
}

// ---- the writers' strands ----

// mutex_ held. Jobs begin in order, one a writer at a time.
void Scheduler::Impl::submit(Job job) {
  if (stopped_) return;
  jobs_.push_back(std::move(job));
  if (idle_writers_.empty()) return;
  const size_t writer = idle_writers_.back();
  idle_writers_.pop_back();
  writers_[writer]->post([weak = weak_from_this(), writer] {
    if (auto self = weak.lock()) self->run_jobs(writer);
  });
}

void Scheduler::Impl::run_jobs(size_t writer) {
  std::unique_lock lock(mutex_);
  while (!stopped_ && !jobs_.empty()) {
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const Running running(*this);
    lock.unlock();
    job(*this);
    lock.lock();
  }
  if (!stopped_) idle_writers_.push_back(writer);
}

}  // namespace orch::server::scheduler
