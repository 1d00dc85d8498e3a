#include "server/scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/scheduler/cluster_view.h"
#include "server/scheduler/scheduler_impl.h"

namespace orch::server::scheduler {
namespace {

constexpr unsigned kWriters = 4;  // bindings and status writes in flight
constexpr std::string_view kDefaultName = "default-scheduler";

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

// While its victims are there it may not choose others.
bool can_preempt(const QueuedPod& pod) {
  return pod.awaited.empty() && pod.pod->pod->spec.preemptionPolicy != "Never";
}

Framework make_framework(const ProfileConfig& config, const client::Client& client) {
  auto plugins = default_plugins(client, config.args);
  return config.default_points ? Framework(std::move(plugins))
                               : Framework(std::move(plugins), config.points);
}

}  // namespace

Profile::Profile(const ProfileConfig& config, const client::Client& client)
    : name(config.scheduler_name),
      percentage_of_nodes(config.percentage_of_nodes),
      bind_timeout(config.args.bind_timeout),
      framework(make_framework(config, client)),
      metrics(config.scheduler_name) {}

Scheduler::Impl::Impl(Env& env, const client::Client& client, client::InformerSet& informers,
                      client::EventRecorder& events, SchedulerConfig config,
                      std::unique_ptr<Extenders> extenders)
    : env_(env),
      client_(client),
      informers_(informers),
      events_(events),
      extenders_(std::move(extenders)),
      queue_(queue_rules(config)),
      cycle_(env.executor.make_strand("scheduler")),
      random_(seeded_random(env.random.next())) {
  for (const auto& profile : config.profiles) {
    profiles_.push_back(std::make_unique<Profile>(profile, client_));
  }
  for (unsigned i = 0; i < kWriters; ++i) {
    writers_.push_back(env.executor.make_strand("scheduler/bind"));
    idle_writers_.push_back(i);
  }
}

Queue::Rules Scheduler::Impl::queue_rules(const SchedulerConfig& config) {
  Queue::Rules rules;
  rules.hint = [this](const ClusterEvent& event, const QueuedPod& pod) {
    return may_help(event, pod);
  };
  rules.alike = [this](const QueuedPod& pod) { return alike(pod); };
  rules.apart = [this](const ClusterEvent& event) {
    std::vector<std::string> out;
    const NodeInfo* node = event.node_name.empty() ? nullptr : cache_.info(event.node_name);
    if (!node) return out;
    for (const auto& pod : node->nominated) out.push_back(pod->uid());
    return out;
  };
  rules.interests = [this](const QueuedPod& pod) {
    const Profile* profile = profile_of(*pod.pod->pod);
    return profile ? profile->framework.interests(pod.rejected_by) : ClusterEvent::Mask{0};
  };
  rules.held_back = [this](const PodInfo& pod) {
    const Profile* profile = profile_of(*pod.pod);
    return profile && !profile->framework.run_pre_enqueue(*pod.pod).ok();
  };
  rules.incoming = count_incoming;
  rules.backoff_first = config.pod_initial_backoff;
  rules.backoff_max = config.pod_max_backoff;
  return rules;
}

// mutex_ held.
bool Scheduler::Impl::may_help(const ClusterEvent& event, const QueuedPod& pod) {
  const Profile* profile = profile_of(*pod.pod->pod);
  if (!profile) return false;
  if (event.node_name.empty()) {
    return profile->framework.may_help(event, *pod.pod, pod.rejected_by);
  }
  ClusterEvent seen = event;
  seen.at = cache_.info(event.node_name);
  seen.can_preempt = can_preempt(pod);
  return profile->framework.may_help(seen, *pod.pod, pod.rejected_by);
}

std::string Scheduler::Impl::alike(const QueuedPod& pod) {
  const Profile* profile = profile_of(*pod.pod->pod);
  if (!profile || !profile->framework.helps_by_class(pod.rejected_by)) return "";
  std::string out = fmt::format("{}/{}/{}/", profile->name, pod.pod->priority, can_preempt(pod));
  for (const auto& plugin : pod.rejected_by) out += plugin + '/';
  return out + class_of(*pod.pod);
}

Profile* Scheduler::Impl::profile_of(const corev1::Pod& pod) {
  const std::string_view wanted =
      pod.spec.schedulerName.empty() ? kDefaultName : std::string_view(pod.spec.schedulerName);
  for (const auto& profile : profiles_) {
    if (profile->name == wanted) return profile.get();
  }
  return nullptr;
}

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
  // What this very thread is in the middle of ends after us.
  const auto me = std::this_thread::get_id();
  idle_.wait(lock, [&] {
    return std::all_of(running_.begin(), running_.end(), [&](auto id) { return id == me; });
  });
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
  auto object = std::static_pointer_cast<const corev1::Pod>(now ? now : old);
  const bool assigned = !object->spec.nodeName.empty();
  const bool here = now && !is_terminal(*object);
  if (!assigned && !profile_of(*object)) return;
  const PodInfoPtr pod = make_pod_info(std::move(object));
  std::lock_guard lock(mutex_);
  if (!here) {
    on_gone(pod);
  } else if (assigned) {
    on_assigned(pod);
  } else {
    on_waiting(pod);
  }
  kick();
}

void Scheduler::Impl::on_storage(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  std::lock_guard lock(mutex_);
  ClusterEvent event;
  event.kind = ClusterEvent::Kind::kStorage;
  event.object = now ? now : old;
  event.actions = !now ? ClusterEvent::kDelete : !old ? ClusterEvent::kAdd : ClusterEvent::kLabel;
  queue_.on_event(event, env_.clock.mono());
  kick();
}

void Scheduler::Impl::on_gone(const PodInfoPtr& pod) {
  const PodInfoPtr known = cache_.pod(pod->uid());
  queue_.remove(pod->uid());
  nominate(pod, "");
  if (!known) return;
  std::string node = cache_.node_of(pod->uid());
  cache_.remove_pod(pod->uid());
  on_freed(known, std::move(node));
}

// `pod` leaves `node`, or does not wait for it any more.
void Scheduler::Impl::on_freed(const PodInfoPtr& pod, std::string node) {
  ClusterEvent event;
  event.kind = ClusterEvent::Kind::kAssignedPod;
  event.actions = ClusterEvent::kDelete;
  event.pod = pod;
  event.node_name = std::move(node);
  queue_.on_event(event, env_.clock.mono());
}

// Who was nominated was counted by others as if it ran there.
void Scheduler::Impl::nominate(const PodInfoPtr& pod, const std::string& node) {
  std::string before = cache_.nomination(pod->uid());
  cache_.nominate(pod, node);
  if (!before.empty() && before != node) on_freed(pod, std::move(before));
}

void Scheduler::Impl::on_assigned(const PodInfoPtr& pod) {
  const PodInfoPtr known = cache_.pod(pod->uid());
  const bool fresh = !known || cache_.is_assumed(pod->uid());
  queue_.remove(pod->uid());
  std::string nominated = cache_.nomination(pod->uid());
  cache_.put_pod(pod);
  if (!nominated.empty() && nominated != pod->pod->spec.nodeName) {
    on_freed(pod, std::move(nominated));
  }
  ClusterEvent event;
  event.kind = ClusterEvent::Kind::kAssignedPod;
  event.actions = fresh ? ClusterEvent::kAdd : pod_changes(*known, *pod);
  if (!fresh) event.old_pod = known;
  event.pod = pod;
  event.node_name = pod->pod->spec.nodeName;
  if (event.actions != 0) queue_.on_event(event, env_.clock.mono());
}

void Scheduler::Impl::on_waiting(const PodInfoPtr& pod) {
  // Bound, and the news of it is under way: this is an older version.
  if (cache_.is_assumed(pod->uid())) return;
  if (pod->pod->metadata.deletionTimestamp) {
    queue_.remove(pod->uid());
    return;
  }
  // After a restart; what is decided here is nominated by refused().
  const bool fresh = !queue_.contains(pod->uid()) && !queue_.in_flight(pod->uid());
  if (fresh && !pod->pod->status.nominatedNodeName.empty()) {
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

Scheduler::Scheduler(Env& env, const client::Client& client, client::InformerSet& informers,
                     client::EventRecorder& events, SchedulerConfig config,
                     std::unique_ptr<Extenders> extenders)
    : impl_(std::make_shared<Impl>(env, client, informers, events, std::move(config),
                                   std::move(extenders))) {}
Scheduler::~Scheduler() { stop(); }
void Scheduler::start() { impl_->start(); }
void Scheduler::stop() { impl_->stop(); }

}  // namespace orch::server::scheduler
