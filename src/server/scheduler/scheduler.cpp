#include "server/scheduler/scheduler.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "server/scheduler/cache.h"
#include "server/scheduler/cluster_view.h"
#include "server/scheduler/pod_status.h"
#include "server/scheduler/queue.h"
#include "server/scheduler/schedule.h"

namespace orch::server::scheduler {
namespace {

constexpr std::string_view kSchedulerName = "default-scheduler";
constexpr unsigned kWriters = 4;  // bindings and status writes in flight
constexpr Millis kBindPoll{20};
constexpr Seconds kBindTimeout{600};  // for volumes to be bound

bool is_ours(const corev1::Pod& pod) {
  return pod.spec.schedulerName.empty() || pod.spec.schedulerName == kSchedulerName;
}

// What of a node changed that plugins look at.
unsigned node_changes(const corev1::Node& old, const corev1::Node& now) {
  unsigned out = 0;
  if (old.status.allocatable != now.status.allocatable) out |= ClusterEvent::kAllocatable;
  if (old.metadata.labels != now.metadata.labels) out |= ClusterEvent::kLabel;
  const bool same_taints =
      std::equal(old.spec.taints.begin(), old.spec.taints.end(), now.spec.taints.begin(),
                 now.spec.taints.end(), [](const auto& a, const auto& b) {
                   return a.key == b.key && a.value == b.value && a.effect == b.effect;
                 });
  if (!same_taints || old.spec.unschedulable != now.spec.unschedulable) {
    out |= ClusterEvent::kTaint;
  }
  return out;
}

unsigned pod_changes(const PodInfo& old, const PodInfo& now) {
  unsigned out = 0;
  if (old.labels() != now.labels()) out |= ClusterEvent::kLabel;
  const Resources &a = old.requests, &b = now.requests;
  if (b.milli_cpu < a.milli_cpu || b.memory_bytes < a.memory_bytes ||
      b.ephemeral_storage_bytes < a.ephemeral_storage_bytes) {
    out |= ClusterEvent::kScaleDown;
  }
  return out;
}

metrics::Counter& attempts(std::string_view result) {
  return metrics::counter("scheduler_schedule_attempts_total",
                          "Number of attempts to schedule pods, by the result",
                          fmt::format("profile=\"{}\",result=\"{}\"", kSchedulerName, result));
}

void show_pending(const Queue& queue) {
  auto make = [](std::string_view name) -> metrics::Gauge& {
    return metrics::gauge("scheduler_pending_pods", "Number of pending pods, by the queue type",
                          fmt::format("queue=\"{}\"", name));
  };
  static auto &active = make("active"), &backoff = make("backoff"),
              &unschedulable = make("unschedulable"), &gated = make("gated");
  active.set(static_cast<double>(queue.active()));
  backoff.set(static_cast<double>(queue.backing_off()));
  unschedulable.set(static_cast<double>(queue.unschedulable()));
  gated.set(static_cast<double>(queue.gated()));
}

}  // namespace

// Threads: informer handlers, the cycle and the writers take mutex_ for cache_ and queue_; the
// snapshot belongs to the cycle's strand. Nothing is called out of the component under mutex_.
struct Scheduler::Impl : std::enable_shared_from_this<Impl> {
  Impl(Env& env, const client::Client& client, client::InformerSet& informers,
       client::EventRecorder& events)
      : env_(env),
        client_(client),
        informers_(informers),
        events_(events),
        framework_(default_plugins(client_)),
        queue_([this](const ClusterEvent& event, const QueuedPod& pod) {
          return framework_.may_help(event, *pod.pod, pod.rejected_by);
        }),
        cycle_(env.executor.make_strand("scheduler")) {
    for (unsigned i = 0; i < kWriters; ++i) {
      writers_.push_back(env.executor.make_strand("scheduler/bind"));
      idle_writers_.push_back(i);
    }
  }

  using Job = std::function<void(Impl&)>;
  struct Placement {
    QueuedPod queued;
    Decision decision;
    MonoTime since;  // when binding began
  };

  void start();
  void stop();

  void on_node(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_storage(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_assigned(const PodInfoPtr& pod);
  void on_waiting(const PodInfoPtr& pod);

  void kick();
  void arm_timer();
  void cycle();
  void place(QueuedPod queued, Decision decision);
  void bind(const std::shared_ptr<Placement>& placement);
  void refused(QueuedPod queued, std::string reason, const Decision& decision);
  void evict(const PodInfo& preemptor, const std::string& node, const PodInfoPtr& victim);
  void write_verdict(const corev1::Pod& pod, const Verdict& verdict);
  void patch_status(const corev1::Pod& pod, std::string patch);

  void submit(Job job);  // mutex_ held
  void run_jobs(size_t writer);

  Env& env_;
  const client::Client client_;
  client::InformerSet& informers_;
  client::EventRecorder& events_;
  Framework framework_;

  std::mutex mutex_;  // all below but snapshot_ and start_
  std::condition_variable idle_;
  std::atomic<bool> stopped_{false};
  bool started_ = false, cycle_posted_ = false;
  size_t unsynced_ = 0;
  unsigned running_ = 0;  // cycles and jobs under way
  Cache cache_;
  Queue queue_;
  std::shared_ptr<Strand> cycle_;
  uint64_t timer_ = 0;
  std::optional<MonoTime> timer_due_;
  std::vector<std::shared_ptr<Strand>> writers_;
  std::vector<size_t> idle_writers_;  // positions in writers_
  std::deque<Job> jobs_;

  Snapshot snapshot_;  // cycle strand only
  size_t start_ = 0;
};

// ---- life ----

void Scheduler::Impl::start() {
  std::vector<const api::ResourceInfo*> watched = cluster_view_resources();
  watched.push_back(&api::resource_of<corev1::Node>());
  watched.push_back(&api::resource_of<corev1::Pod>());
  {
    std::lock_guard lock(mutex_);
    if (started_ || stopped_) return;
    started_ = true;
    unsynced_ = watched.size();
  }
  snapshot_.view = make_cluster_view(informers_);
  auto handle = [weak = weak_from_this()](auto method) {
    return [weak, method](const api::ObjectPtr& old, const api::ObjectPtr& now) {
      if (auto self = weak.lock(); self && !self->stopped_) ((*self).*method)(old, now);
    };
  };
  informers_.get<corev1::Node>().add_handler(handle(&Impl::on_node));
  informers_.get<corev1::Pod>().add_handler(handle(&Impl::on_pod));
  for (const auto* resource : volume_view_resources()) {
    informers_.get(*resource).add_handler(handle(&Impl::on_storage));
  }
  for (const auto* resource : watched) {
    informers_.get(*resource).on_synced([weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self) return;
      std::lock_guard lock(self->mutex_);
      --self->unsynced_;
      self->kick();
    });
  }
}

void Scheduler::Impl::stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  jobs_.clear();
  if (timer_ != 0) cycle_->cancel_timer(timer_);
  timer_ = 0;
  idle_.wait(lock, [&] { return running_ == 0; });
}

// ---- changes of the cluster ----

void Scheduler::Impl::on_node(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  std::lock_guard lock(mutex_);
  ClusterEvent event;
  event.kind = ClusterEvent::Kind::kNode;
  event.node = std::static_pointer_cast<const corev1::Node>(now ? now : old);
  if (!now) {
    event.actions = ClusterEvent::kDelete;
    cache_.remove_node(event.node->metadata.name);
  } else {
    const auto known = cache_.node(event.node->metadata.name);
    event.actions = known ? node_changes(*known, *event.node) : ClusterEvent::kAdd;
    cache_.put_node(event.node);
  }
  if (event.actions != 0) queue_.on_event(event, env_.clock.mono());
  kick();
}

void Scheduler::Impl::on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  auto pod = std::static_pointer_cast<const corev1::Pod>(now ? now : old);
  std::lock_guard lock(mutex_);
  if (now && !is_terminal(*pod)) {
    if (!pod->spec.nodeName.empty()) {
      on_assigned(make_pod_info(std::move(pod)));
    } else if (is_ours(*pod)) {
      on_waiting(make_pod_info(std::move(pod)));
    }
  } else {
    const std::string uid = pod->metadata.uid;
    const PodInfoPtr known = cache_.pod(uid);
    queue_.remove(uid);
    cache_.nominate(known ? known : make_pod_info(std::move(pod)), "");
    if (known) {
      cache_.remove_pod(uid);
      ClusterEvent event;
      event.kind = ClusterEvent::Kind::kAssignedPod;
      event.actions = ClusterEvent::kDelete;
      event.pod = known;
      queue_.on_event(event, env_.clock.mono());
    }
  }
  kick();
}

void Scheduler::Impl::on_storage(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  std::lock_guard lock(mutex_);
  ClusterEvent event;
  event.kind = ClusterEvent::Kind::kStorage;
  event.object = now ? now : old;
  event.actions = !now   ? ClusterEvent::kDelete
                  : !old ? ClusterEvent::kAdd
                         : ClusterEvent::kLabel;
  queue_.on_event(event, env_.clock.mono());
  kick();
}

void Scheduler::Impl::on_assigned(const PodInfoPtr& pod) {
  const PodInfoPtr known = cache_.pod(pod->uid());
  const bool fresh = !known || cache_.is_assumed(pod->uid());
  queue_.remove(pod->uid());
  cache_.put_pod(pod);
  ClusterEvent event;
  event.kind = ClusterEvent::Kind::kAssignedPod;
  event.actions = fresh ? ClusterEvent::kAdd : pod_changes(*known, *pod);
  if (!fresh) event.old_pod = known;
  event.pod = pod;
  if (event.actions != 0) queue_.on_event(event, env_.clock.mono());
}

void Scheduler::Impl::on_waiting(const PodInfoPtr& pod) {
  // Bound, and the news of it is under way: this is an older version.
  if (cache_.is_assumed(pod->uid()) && !queue_.in_flight(pod->uid())) return;
  if (pod->pod->metadata.deletionTimestamp) {
    queue_.remove(pod->uid());
    return;
  }
  // After a restart; what is decided here is nominated by refused().
  if (!queue_.contains(pod->uid()) && !pod->pod->status.nominatedNodeName.empty()) {
    cache_.nominate(pod, pod->pod->status.nominatedNodeName);
  }
  queue_.put(pod, env_.clock.mono());
  if (!pod->pod->spec.schedulingGates.empty()) {
    submit([pod](Impl& self) {
      self.write_verdict(
          *pod->pod, {"SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates",
                      pod->pod->status.nominatedNodeName});
    });
  }
}

// ---- the scheduling cycle ----

// mutex_ held: sees to it that a cycle runs when there is something to do, now or later.
void Scheduler::Impl::kick() {
  show_pending(queue_);
  if (stopped_ || unsynced_ > 0) return;
  if (queue_.active() == 0) {
    arm_timer();
    return;
  }
  if (cycle_posted_) return;
  cycle_posted_ = true;
  cycle_->post([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->cycle();
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

void Scheduler::Impl::cycle() {
  std::optional<QueuedPod> queued;
  {
    std::lock_guard lock(mutex_);
    cycle_posted_ = false;
    if (stopped_) return;
    queue_.flush(env_.clock.mono());
    queued = queue_.pop();
    cache_.update(snapshot_);
    if (queued) ++running_;
  }
  if (queued) {
    const MonoTime begin = env_.clock.mono();
    Decision decision = schedule(framework_, snapshot_, *queued->pod, env_.random, start_);
    if (!snapshot_.nodes.empty()) {
      start_ = (start_ + decision.evaluated) % snapshot_.nodes.size();
    }
    static auto& seconds = metrics::histogram("scheduler_scheduling_algorithm_duration_seconds",
                                              "Scheduling algorithm latency in seconds");
    seconds.observe(std::chrono::duration<double>(env_.clock.mono() - begin).count());
    place(std::move(*queued), std::move(decision));
  }
  std::lock_guard lock(mutex_);
  if (queued) --running_;
  if (stopped_) {
    idle_.notify_all();
  } else {
    kick();
  }
}

void Scheduler::Impl::place(QueuedPod queued, Decision decision) {
  if (decision.status.ok()) {
    decision.status = framework_.run_reserve(decision.state, *queued.pod, decision.node);
    if (!decision.status.ok()) decision.rejected_by = {std::string(decision.status.plugin)};
  }
  if (!decision.status.ok()) {
    const bool rejected = decision.status.rejected();
    attempts(rejected ? "unschedulable" : "error").add();
    refused(std::move(queued), rejected ? "Unschedulable" : "SchedulerError", decision);
    return;
  }
  std::lock_guard lock(mutex_);
  cache_.assume(queued.pod, decision.node);
  auto placement = std::make_shared<Placement>(
      Placement{std::move(queued), std::move(decision), env_.clock.mono()});
  submit([placement](Impl& self) { self.bind(placement); });
}

void Scheduler::Impl::refused(QueuedPod queued, std::string reason, const Decision& decision) {
  const PodInfoPtr pod = queued.pod;
  const std::string message = decision.status.message();
  events_.record(client::subject_of(*pod->pod), "Warning", "FailedScheduling", message);
  log::debug("scheduler", "{}/{}: {}", pod->namespace_(), pod->name(), message);

  std::lock_guard lock(mutex_);
  queued.rejected_by = decision.rejected_by;
  if (decision.nominated_node != pod->pod->status.nominatedNodeName) {
    cache_.nominate(pod, decision.nominated_node);
  }
  submit([pod, verdict = Verdict{std::move(reason), message, decision.nominated_node}](Impl& self) {
    self.write_verdict(*pod->pod, verdict);
  });
  for (const auto& victim : decision.victims) {
    submit([pod, victim, node = decision.nominated_node](Impl& self) {
      self.evict(*pod, node, victim);
    });
  }
  if (!decision.victims.empty()) {
    // Who waits for this node with less priority must look elsewhere.
    for (const auto& other : cache_.nominated_below(decision.nominated_node, pod->priority)) {
      cache_.nominate(other, "");
      submit([other](Impl& self) {
        self.patch_status(*other->pod, clear_nomination_patch(*other->pod));
      });
    }
  }
  queue_.put_back(std::move(queued), env_.clock.mono());
}

// ---- writers' strands ----

void Scheduler::Impl::bind(const std::shared_ptr<Placement>& placement) {
  const QueuedPod& queued = placement->queued;
  CycleState& state = placement->decision.state;
  const std::string& node = placement->decision.node;
  const PodInfo& pod = *queued.pod;
  Status status = framework_.run_bind(state, pod, node);
  if (status.code == Code::kWait) {
    if (env_.clock.mono() - placement->since < kBindTimeout) {
      cycle_->post_after(kBindPoll, [weak = weak_from_this(), placement] {
        auto self = weak.lock();
        if (!self) return;
        std::lock_guard lock(self->mutex_);
        self->submit([placement](Impl& impl) { impl.bind(placement); });
      });
      return;
    }
    const std::string_view plugin = status.plugin;
    status = Status::error("binding volumes: context deadline exceeded");
    status.plugin = plugin;
  }
  if (status.ok()) {
    attempts("scheduled").add();
    events_.record(
        client::subject_of(*pod.pod), "Normal", "Scheduled",
        fmt::format("Successfully assigned {}/{} to {}", pod.namespace_(), pod.name(), node));
    std::lock_guard lock(mutex_);
    queue_.done(pod.uid());
    return;
  }
  framework_.run_unreserve(state, pod, node);
  const auto there = client_.get<corev1::Pod>(pod.namespace_(), pod.name());
  const bool gone = there ? there->metadata.uid != pod.uid() : there.error().code == 404;
  std::unique_lock lock(mutex_);
  const bool confirmed = cache_.pod(pod.uid()) && !cache_.is_assumed(pod.uid());
  cache_.forget(pod.uid());
  ClusterEvent freed;
  freed.kind = ClusterEvent::Kind::kAssignedPod;
  freed.actions = ClusterEvent::kDelete;
  freed.pod = queued.pod;
  queue_.on_event(freed, env_.clock.mono());
  if (gone || confirmed || (there && !there->spec.nodeName.empty())) {
    queue_.done(pod.uid());  // deleted meanwhile, or bound by someone else
    kick();
    return;
  }
  lock.unlock();
  attempts("error").add();
  Decision failure;
  failure.status = std::move(status);
  failure.status.reasons = {fmt::format("running Bind plugin \"{}\": {}", failure.status.plugin,
                                        failure.status.message())};
  refused(queued, "SchedulerError", failure);
  lock.lock();
  kick();
}

void Scheduler::Impl::evict(const PodInfo& preemptor, const std::string& node,
                            const PodInfoPtr& victim) {
  patch_status(*victim->pod, disruption_target_patch(*victim->pod, env_.clock.now()));
  client::DeleteOptions options;
  options.uid = victim->uid();
  auto deleted = client_.remove<corev1::Pod>(victim->namespace_(), victim->name(), options);
  if (!deleted) {
    if (deleted.error().code != 404) {
      log::warn("scheduler", "preempt {}/{}: {}", victim->namespace_(), victim->name(),
                deleted.error().message);
    }
    return;
  }
  events_.record(client::subject_of(*victim->pod), "Normal", "Preempted",
                 fmt::format("Preempted by pod {} on node {}", preemptor.uid(), node));
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

// mutex_ held. Jobs begin in order, kWriters of them at a time.
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
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    ++running_;
    lock.unlock();
    job(*this);
    lock.lock();
    --running_;
  }
  if (stopped_) {
    idle_.notify_all();
  } else {
    idle_writers_.push_back(writer);
  }
}

Scheduler::Scheduler(Env& env, const client::Client& client, client::InformerSet& informers,
                     client::EventRecorder& events)
    : impl_(std::make_shared<Impl>(env, client, informers, events)) {}
Scheduler::~Scheduler() { stop(); }
void Scheduler::start() { impl_->start(); }
void Scheduler::stop() { impl_->stop(); }

}  // namespace orch::server::scheduler
