// The scheduler's inside, shared by scheduler.cpp (life, changes of the cluster), cycle.cpp and
// binding.cpp.
//
// Threads: informer handlers, the cycle and the writers take mutex_ for cache_ and queue_; the
// snapshot and what profiles remember belong to the cycle's strand. Nothing is called out of the
// component under mutex_.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "server/scheduler/cache.h"
#include "server/scheduler/pod_status.h"
#include "server/scheduler/queue.h"
#include "server/scheduler/schedule.h"
#include "server/scheduler/scheduler.h"
#include "server/scheduler/scheduler_metrics.h"

namespace orch::server::scheduler {

// A profile at work.
struct Profile {
  Profile(const ProfileConfig& config, const client::Client& client);
  const std::string name;
  const int64_t percentage_of_nodes;
  const Micros bind_timeout;
  Framework framework;
  ProfileMetrics metrics;
  ClassCache classes;  // the cycle's strand only
};

struct Scheduler::Impl : std::enable_shared_from_this<Impl> {
  Impl(Env& env, const client::Client& client, client::InformerSet& informers,
       client::EventRecorder& events, SchedulerConfig config, std::unique_ptr<Extenders> extenders);

  using Job = std::function<void(Impl&)>;
  struct Placement {
    Profile& profile;
    QueuedPod queued;
    CycleState state;
    std::string node;
    MonoTime began;  // the attempt
    MonoTime since;  // binding
  };
  // Counts a cycle or job as under way, while mutex_ is free.
  class Running;

  void start();
  void stop();

  void on_node(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_storage(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_assigned(const PodInfoPtr& pod);
  void on_waiting(const PodInfoPtr& pod);
  void on_gone(const PodInfoPtr& pod);
  void on_freed(const PodInfoPtr& pod, std::string node);
  void nominate(const PodInfoPtr& pod, const std::string& node);

  Profile* profile_of(const corev1::Pod& pod);  // null = another scheduler's
  Queue::Rules queue_rules(const SchedulerConfig& config);
  bool may_help(const ClusterEvent& event, const QueuedPod& pod);
  std::string alike(const QueuedPod& pod);

  void kick();
  void arm_timer();
  void run_cycles();
  bool cycle();  // false = nothing to do now
  void decide(QueuedPod queued, MonoTime began);
  void place(Profile& profile, QueuedPod queued, Decision decision, MonoTime began);
  void refused(Profile& profile, QueuedPod queued, std::string reason, const Decision& decision);
  void preempt(QueuedPod queued, const Decision& decision);

  void bind(const std::shared_ptr<Placement>& placement);
  Status run_bind(Placement& placement);
  void bound(const Placement& placement);
  void not_bound(Placement& placement, Status status);
  bool evict(const PodInfo& preemptor, const std::string& node, const PodInfoPtr& victim);
  void write_verdict(const corev1::Pod& pod, const Verdict& verdict);
  void patch_status(const corev1::Pod& pod, std::string patch);
  void record(const corev1::Pod& pod, const Profile& profile, std::string_view type,
              std::string_view reason, std::string_view message);

  void submit(Job job);  // mutex_ held
  void run_jobs(size_t writer);

  Env& env_;
  const client::Client client_;
  client::InformerSet& informers_;
  client::EventRecorder& events_;
  std::unique_ptr<Extenders> extenders_;
  std::vector<std::unique_ptr<Profile>> profiles_;

  std::mutex mutex_;  // all below but the cycle's own
  std::condition_variable idle_;
  std::atomic<bool> stopped_{false};
  bool started_ = false, cycle_posted_ = false;
  size_t unsynced_ = 0;
  std::vector<decltype(std::this_thread::get_id())> running_;  // a cycle or job each
  Cache cache_;
  Queue queue_;
  std::shared_ptr<Strand> cycle_;
  uint64_t timer_ = 0;
  std::optional<MonoTime> timer_due_;
  std::vector<std::shared_ptr<Strand>> writers_;
  std::vector<size_t> idle_writers_;  // positions in writers_
  std::deque<Job> jobs_;

  // The cycle's strand only.
  Snapshot snapshot_;
  size_t start_ = 0;
  std::unique_ptr<Random> random_;  // seeded by the Env's: ties need numbers by the thousand
};

}  // namespace orch::server::scheduler
