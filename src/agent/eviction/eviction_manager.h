// Keeps the node from running out of disk, memory or processes, as the kubelet does: collects
// unused images, evicts pods that are over their limits of local storage, and under pressure
// removes what is not needed, then evicts pods, one at a time, until the thresholds are left
// behind. Looks every 10 s on a thread of its own. start() and stop() from one thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/blocking_pool.h"
#include "agent/eviction/eviction_plan.h"
#include "agent/eviction/measure.h"
#include "agent/images/image_collector.h"
#include "agent/pod_manager.h"
#include "orch/client/events.h"

namespace orch::agent {

struct EvictionDeps {
  PodManager& pods;
  ContainerRuntime& runtime;
  client::EventRecorder& events;
  std::function<client::EventSubject()> node;  // whose events they are
  EvictionConfig config;
  ImagePolicy images;
  std::function<std::set<std::string>()> kept_images;
  std::shared_ptr<PressureBoard> board;
  std::function<void()> pressure_changed;
};

class EvictionManager : public std::enable_shared_from_this<EvictionManager> {
 public:
  static std::shared_ptr<EvictionManager> create(Env& env, EvictionDeps deps);
  void start();
  void stop();

 private:
  EvictionManager(Env& env, EvictionDeps deps);
  void schedule(Micros delay);
  void run();     // on the pool
  Micros look();  // when to look again
  bool still_cleaning();
  void set_pressure(const Pressure& pressure);
  Observations observe();
  std::vector<PodUsage> active_pods(bool with_usage);
  bool evict_over_limit();
  bool reclaim(Signal signal);  // true: that was enough
  bool evict_one(const std::vector<size_t>& thresholds, const Observations& seen);
  bool evict(const api::corev1::Pod& pod, const Eviction& eviction, std::string_view signal);
  void warn(const char* reason, const std::string& message);

  Env& env_;
  EvictionDeps deps_;
  const std::string data_dir_, agent_dir_, cgroup_root_;
  BlockingPool pool_;
  std::shared_ptr<Strand> strand_;
  std::atomic<bool> stopped_{false};

  // The pool's one thread only.
  ImageCollector images_;
  MonoTime images_at_{};
  PressureState state_;
  bool own_image_fs_ = false;
  std::set<std::string> cleaning_;  // pods evicted whose remains are waited for
  MonoTime cleaning_until_{};
  std::map<std::string, MonoTime> measure_at_;  // by pod: not before
};

}  // namespace orch::agent
