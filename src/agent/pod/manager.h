// PodManager's body, shared by manager*.cpp.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/blocking_pool.h"
#include "agent/pod/admission.h"
#include "agent/pod/object_cache.h"
#include "agent/pod/status_writer.h"
#include "agent/pod/worker.h"
#include "agent/pod_manager.h"

namespace orch::agent {

struct PodManagerBody : std::enable_shared_from_this<PodManagerBody> {
  struct Entry {
    std::shared_ptr<PodWorker> worker;
    std::shared_ptr<const corev1::Pod> pod;  // as given
    bool from_server = false;
    bool started = false;
    bool rejected = false;
    uint64_t digest = 0;  // of the runtime's last list
    int same = 0;         // lists since it changed
  };

  PodManagerBody(Env& env, PodManagerDeps deps);

  // manager.cpp
  void start();
  void stop();
  void add(std::shared_ptr<const corev1::Pod> pod, bool from_server);  // under the lock
  // Of a pod that is new here: why this node does not take it. Under the lock.
  std::optional<Rejection> refuse(const corev1::Pod& pod) const;
  // The others that take resources of the node. Under the lock.
  std::vector<std::shared_ptr<const corev1::Pod>> admitted_but(const std::string& uid) const;
  ResizeVerdict may_resize(const corev1::Pod& wanted) const;
  void start_worker(const std::string& uid, Entry& entry);  // under the lock
  void on_pod_change(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void on_pods_synced();
  void relist();
  void listed(RuntimeView view, MonoTime listed_at);
  void poll_runtime();
  void rotate_logs();
  void mark_changed();
  void save();
  void adopt_orphans();  // under the lock: workers for pods that only the runtime knows
  void clean_folders();
  void worker_gone(const std::string& uid);
  uint64_t schedule(Micros delay, void (PodManagerBody::*task)());  // timer id

  // manager_access.cpp
  std::shared_ptr<PodWorker> find(const std::string& ns, const std::string& name,
                                  const std::string& uid) const;
  Result<std::pair<std::shared_ptr<PodWorker>, ContainerView>, Error> running_container(
      const ContainerTarget& target, corev1::Container* spec) const;
  Result<std::string, Error> log_path(const ContainerTarget& target, bool previous) const;
  Result<std::vector<PodUsage>, Error> usage();

  Env& env;
  PodManagerDeps deps;
  const std::string agent_dir, checkpoint_file, instance, cgroup_root;
  BlockingPool pool{16};
  ObjectCache objects;
  StatusWriter writer;
  std::shared_ptr<WorkerContext> context;  // shares this body's ownership
  std::shared_ptr<Strand> strand;

  mutable std::mutex mutex;
  std::map<std::string, Entry> entries;  // by uid
  bool running = false, synced = false, have_list = false, save_pending = false;
  RuntimeView last_list;
  uint64_t idle_relist = 0;  // the timer while there is nothing to look at
  RuntimeInfo info;
  std::vector<std::string> node_ips;
  std::function<void()> runtime_changed;
};

}  // namespace orch::agent
