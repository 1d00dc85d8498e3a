// Drives one pod: plan() decides, this carries out through the runtime and writes what came of it.
// Everything runs on the worker's strand; the public methods may be called from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/blocking_pool.h"
#include "agent/pod/admission.h"
#include "agent/pod/object_cache.h"
#include "agent/pod/plan.h"
#include "agent/pod/resize.h"
#include "agent/pod/status_writer.h"
#include "agent/pod_manager.h"
#include "agent/probes/probe.h"
#include "orch/base/env.h"

namespace orch::agent {

// What all workers of a manager share.
struct WorkerContext {
  Env& env;
  ContainerRuntime& runtime;
  client::EventRecorder& events;
  const PodManagerConfig& config;
  BlockingPool& pool;  // short blocking work
  ObjectCache& objects;
  StatusWriter& status_writer;
  std::function<std::vector<std::shared_ptr<const corev1::Service>>()> services;
  std::function<std::vector<std::string>()> node_ips;  // now
  std::function<std::map<std::string, api::Quantity>()> allocatable;
  std::string instance;   // label value: whose containers
  std::string agent_dir;  // <data_dir>/agent
  std::string cgroup_root;
  int64_t node_memory_bytes = 0;
  std::function<std::string()> runtime_name;
  std::function<bool()> network_ready;               // the runtime has a pod network
  std::function<void(const std::string& uid)> gone;  // nothing of the pod is left
  std::function<void()> changed;                     // what the checkpoint holds changed
  // Whether the node has room for the pod as it would be.
  std::function<ResizeVerdict(const corev1::Pod& wanted)> may_resize;
};

class PodWorker : public std::enable_shared_from_this<PodWorker> {
 public:
  // The context is kept alive by its workers.
  PodWorker(std::shared_ptr<WorkerContext> context, std::shared_ptr<const corev1::Pod> pod);

  // Before start(): the node does not take the pod. It fails, and nothing of it is started.
  void reject(Rejection rejection);
  // It fails with reason Evicted; false: it ended already, or is being evicted.
  bool evict(const Eviction& eviction);
  // If nothing of it runs any more: the runtime's records go.
  void remove_ended();
  // The runtime's view so far; then work begins.
  void start(PodObserved observed);
  void update(std::shared_ptr<const corev1::Pod> pod);
  void removed();  // the API object is gone
  // The runtime's list as of `listed_at`, without details.
  void observe(PodObserved listed, MonoTime listed_at);
  void refresh();  // something that its status depends on changed
  void stop();     // no more work; what runs goes on

  // Newest state, for readers.
  std::shared_ptr<const corev1::Pod> pod() const;
  PodObserved observed() const;
  std::vector<ProbeCount> probe_counts() const;
  bool is_terminated() const;

 private:
  struct Probing;
  struct Start;  // a container on its way (worker_container.cpp)
  struct Stopping {
    std::string id;
    int64_t grace_seconds = 0;
  };

  // worker.cpp: the loop
  void sync();
  void perform(const Action& action);
  void publish(const Plan& plan);
  void set_timer(std::optional<WallTime> at);
  void post(std::function<void()> task);
  WallTime now() const { return context_.env.clock.now(); }
  bool terminating() const { return deleted_ || removed_ || !end_reason_.empty(); }
  void check_deadline();
  void event(std::string_view type, std::string_view reason, std::string_view message,
             std::string_view field_path = "");
  void container_event(const std::string& name, std::string_view type, std::string_view reason,
                       std::string_view message);
  ContainerMemory& memory(const std::string& name) { return memory_[name]; }
  void touched() { last_change_ = context_.env.clock.mono(); }
  void merge_container(ContainerView view);
  void fetch_details(const std::string& id);
  void on_exited(const ContainerView& view);
  std::vector<std::string> pod_ips() const;

  // worker_sandbox.cpp: volumes, sandbox, clean-up
  void prepare_volumes();
  void refresh_volumes();
  void create_sandbox(uint32_t attempt);
  void sandbox_made(Result<std::string, Error> result, SandboxSpec spec);
  void stop_sandbox(const std::string& id);
  void remove_sandbox(const std::string& id);
  void remove_container(const std::string& id);
  void terminated();
  void clean_up_rest();
  void remove_next_record();
  void volumes_paths_set(const std::map<std::string, std::string>& paths);
  SandboxSpec sandbox_spec(uint32_t attempt, Result<Unit, Error>& error) const;
  std::string pod_dir() const;
  std::string log_dir() const;

  // worker_container.cpp: start and stop
  void start_container(const Action& action);
  void image_known(const std::shared_ptr<Start>& start, Result<std::optional<ImageView>, Error> r);
  void pull(const std::shared_ptr<Start>& start);
  void pulled(const std::shared_ptr<Start>& start, Result<std::string, Error> result);
  void wait_for_pull(const std::shared_ptr<Start>& start);
  void build(const std::shared_ptr<Start>& start);
  void built(const std::shared_ptr<Start>& start, Result<ContainerSpec, Error> spec);
  void created(const std::shared_ptr<Start>& start, Result<std::string, Error> id);
  void container_started(const std::shared_ptr<Start>& start, Result<Unit, Error> result);
  void running(const std::shared_ptr<Start>& start, Result<ContainerView, Error> view);
  void finish_start(const std::shared_ptr<Start>& start);
  void watch_for_exit(const std::string& id, Micros delay);
  void start_failed(const std::shared_ptr<Start>& start, std::string reason, const Error& error,
                    Micros retry_after);
  void abandon_pulls();
  // A callback for the runtime that comes back to the strand, unless the start was abandoned.
  template <class T>
  Done<T> back(std::shared_ptr<Start> start,
               void (PodWorker::*next)(const std::shared_ptr<Start>&, Result<T, Error>)) {
    return [weak = weak_from_this(), start = std::move(start), next](Result<T, Error> result) {
      auto self = weak.lock();
      if (!self) return;
      self->post([self = self.get(), start, next, result = std::move(result)] {
        if (self->is_current(start)) (self->*next)(start, result);
      });
    };
  }
  bool is_current(const std::shared_ptr<Start>& start) const;
  void stop_container(const Action& action);
  void do_stop(const std::string& name, const std::string& id, int64_t grace);
  void shorten_stops();
  int64_t stop_grace() const;

  // worker_resize.cpp
  void consider_resize();
  void recall_resources();
  void resize();
  void resize_next(std::vector<ContainerResize> updates);
  void finish_resize();
  void resized(const Result<Unit, Error>& result);
  std::string resize_state() const;

  // worker_probes.cpp
  void start_probes(const std::string& name, const std::string& id);
  void stop_probes(const std::string& name);
  void schedule_probe(const std::shared_ptr<Probing>& probing, Micros delay);
  void probed(const std::shared_ptr<Probing>& probing, const ProbeOutcome& outcome);
  void follow_running();

  const std::shared_ptr<WorkerContext> context_owner_;
  WorkerContext& context_;
  const std::shared_ptr<Strand> strand_;
  const std::string uid_;

  // Strand only.
  std::shared_ptr<const corev1::Pod> pod_;  // with the resources it was given
  PodObserved observed_;
  std::map<std::string, ContainerMemory> memory_;
  std::map<std::string, std::string> termination_messages_;  // by container id
  std::map<std::string, std::vector<std::shared_ptr<Probing>>> probes_;
  std::map<std::string, std::string> probed_id_;  // container name -> run followed
  std::map<std::string, Stopping> stopping_;
  std::map<std::string, std::shared_ptr<Start>> starting_;
  std::vector<std::pair<std::string, bool>> records_;  // to remove: id, is a sandbox
  bool record_failed_ = false;
  std::map<std::string, Backoff> pull_backoff_;
  std::map<std::string, std::string> back_off_told_;  // container -> run whose back-off was told
  std::set<std::string> removing_, fetching_;
  std::map<std::string, std::string> volume_paths_;  // volume name -> host path
  bool started_ = false, stopped_ = false;
  bool deleted_ = false, removed_ = false, cleaning_ = false, terminated_ = false;
  bool rejected_ = false;
  std::string end_reason_, end_message_;
  std::optional<Eviction> eviction_;
  bool volumes_ready_ = false, volumes_busy_ = false, refreshing_ = false;
  std::optional<WallTime> volumes_retry_at_;
  Millis volumes_delay_{0};
  std::string volumes_error_;
  bool sandbox_busy_ = false;
  std::optional<WallTime> sandbox_retry_at_;
  Millis sandbox_delay_{0};
  MonoTime last_change_{};
  uint64_t timer_ = 0, refresh_timer_ = 0;
  // Resources asked for and not given yet; the pod before a resize whose cgroup is not done.
  std::optional<corev1::PodSpec> wanted_;
  std::shared_ptr<const corev1::Pod> resized_from_;
  Applied applied_;
  std::string resize_refused_;                   // "Deferred", "Infeasible"
  bool resize_busy_ = false, loosened_ = false;  // loosened: the pod's cgroup holds old and new
  std::optional<WallTime> resize_retry_at_;
  bool delete_sent_ = false;
  bool resubmit_ = false;  // the server shows another status than ours

  mutable std::mutex shown_mutex_;
  std::map<std::pair<std::string, ProbeKind>, ProbeCount> probe_counts_;  // by container
  std::shared_ptr<const corev1::Pod> shown_pod_;
  PodObserved shown_observed_;
  bool shown_terminated_ = false, shown_evicted_ = false;
};

}  // namespace orch::agent
