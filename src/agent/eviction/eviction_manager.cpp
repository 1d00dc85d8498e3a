#include "agent/eviction/eviction_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "agent/pod/pod_access.h"
#include "orch/base/log.h"
#include "orch/base/metrics.h"

namespace orch::agent {
namespace {

constexpr Micros kPeriod = Seconds{10}, kImagePeriod = Seconds{300};
constexpr Micros kCleaningPeriod = Seconds{1}, kCleaningMax = Seconds{30};
// A walk over a pod's files takes at most this part of the time.
constexpr int kWalkShare = 100;
constexpr int64_t kImmediateGrace = 1;
constexpr int kReclaimRounds = 100;
constexpr Millis kReclaimRound{100};

}  // namespace

std::shared_ptr<EvictionManager> EvictionManager::create(Env& env, EvictionDeps deps) {
  return std::shared_ptr<EvictionManager>(new EvictionManager(env, std::move(deps)));
}

EvictionManager::EvictionManager(Env& env, EvictionDeps deps)
    : env_(env),
      deps_(std::move(deps)),
      data_dir_(deps_.pods.config().data_dir),
      agent_dir_(data_dir_ + "/agent"),
      cgroup_root_(deps_.pods.config().cgroup_root.empty() ? cgroup_root_of(data_dir_)
                                                           : deps_.pods.config().cgroup_root),
      pool_(1, Seconds{15}),
      strand_(env.executor.make_strand("eviction")),
      images_({.clock = env.clock,
               .runtime = deps_.runtime,
               .policy = deps_.images,
               .kept = deps_.kept_images,
               .warn = [this](const char* reason, const std::string& m) { warn(reason, m); }}) {}

void EvictionManager::start() { schedule(Micros{0}); }

void EvictionManager::stop() {
  if (stopped_.exchange(true)) return;
  // A runtime that hangs may outlast us: then this object stays for good.
  if (!pool_.stop(Millis{2000})) new std::shared_ptr<EvictionManager>(shared_from_this());
}

void EvictionManager::schedule(Micros delay) {
  strand_->post_after(delay, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self || self->stopped_) return;
    // stop() waits for it, or keeps this object.
    self->pool_.post([raw = self.get()] { raw->run(); });
  });
}

void EvictionManager::run() {
  const RuntimeInfo runtime = deps_.pods.runtime_info();
  if (!runtime.runtime_ready) return schedule(kCleaningPeriod);
  const MonoTime now = env_.clock.mono();
  if (now >= images_at_) images_at_ = now + (images_.collect() ? kImagePeriod : kPeriod);
  if (stopped_) return;
  schedule(look());
}

void EvictionManager::warn(const char* reason, const std::string& message) {
  deps_.events.record(deps_.node(), "Warning", reason, message);
}

bool EvictionManager::still_cleaning() {
  std::erase_if(cleaning_, [this](const auto& uid) { return deps_.pods.is_cleaned(uid); });
  if (!cleaning_.empty() && env_.clock.mono() < cleaning_until_) return true;
  cleaning_.clear();
  return false;
}

Observations EvictionManager::observe() {
  const auto nodefs = fs_space(data_dir_);
  const auto imagefs = images_.space();
  own_image_fs_ = nodefs && imagefs && nodefs->device != imagefs->device;
  return observe_node(nodefs, imagefs);
}

void EvictionManager::set_pressure(const Pressure& pressure) {
  if (deps_.board->get() == pressure) return;
  deps_.board->set(pressure);
  log::info("eviction", "pressure: memory {}, disk {}, pids {}", pressure.memory, pressure.disk,
            pressure.pid);
  deps_.pressure_changed();
}

Micros EvictionManager::look() {
  if (still_cleaning()) return kCleaningPeriod;
  const Observations seen = observe();
  const Judgement judgement = judge(deps_.config, seen, env_.clock.mono(), state_);
  set_pressure(judgement.pressure);
  if (evict_over_limit()) return kCleaningPeriod;
  if (judgement.act_on.empty() || stopped_) return kPeriod;
  const Signal signal = deps_.config.thresholds[judgement.act_on.front()].signal;
  warn("EvictionThresholdMet", fmt::format("Attempting to reclaim {}", resource_of_signal(signal)));
  if (reclaim(signal) || stopped_) return kPeriod;
  return evict_one(judgement.act_on, seen) ? kCleaningPeriod : kPeriod;
}

// Pods that take something of the node.
std::vector<PodUsage> EvictionManager::active_pods(bool with_usage) {
  std::vector<PodUsage> out;
  if (with_usage) {
    auto all = deps_.pods.usage();
    if (all) {
      out = std::move(*all);
    } else {
      log::warn("eviction", "usage of containers: {}", all.error().message);
    }
  }
  if (out.empty()) {
    for (auto& pod : deps_.pods.pods()) out.push_back({std::move(pod), "", {}});
  }
  std::erase_if(out, [this](const PodUsage& usage) {
    return is_terminal_phase(*usage.pod) || deps_.pods.is_cleaned(usage.pod->metadata.uid);
  });
  return out;
}

bool EvictionManager::evict_over_limit() {
  std::vector<std::shared_ptr<const corev1::Pod>> limited;
  bool layers = false;
  for (auto& pod : deps_.pods.pods()) {
    if (!has_storage_limit(*pod)) continue;
    layers |= has_container_storage_limit(*pod);
    limited.push_back(std::move(pod));
  }
  std::erase_if(measure_at_, [&](const auto& entry) {
    return std::none_of(limited.begin(), limited.end(),
                        [&](const auto& pod) { return pod->metadata.uid == entry.first; });
  });
  if (limited.empty()) return false;
  bool any = false;
  for (const auto& usage : active_pods(layers)) {
    const corev1::Pod& pod = *usage.pod;
    if (stopped_) return false;
    const MonoTime began = env_.clock.mono();
    MonoTime& next = measure_at_[pod.metadata.uid];
    if (!has_storage_limit(pod) || began < next) continue;
    const auto what = has_container_storage_limit(pod) ? Measured::kDisk : Measured::kVolumeLimits;
    const PodUse use = measure_pod(usage, agent_dir_, cgroup_root_, what, stopped_);
    next = began + (env_.clock.mono() - began) * kWalkShare;
    const auto over = over_storage_limit(use, own_image_fs_);
    if (over) any |= evict(pod, {over->message, kImmediateGrace, false}, over->signal);
  }
  return any;
}

bool EvictionManager::reclaim(Signal signal) {
  if (signal == Signal::kMemoryAvailable || signal == Signal::kPidAvailable) return false;
  const bool nodefs = signal == Signal::kNodefsAvailable || signal == Signal::kNodefsInodesFree;
  if (nodefs && own_image_fs_) return false;  // layers and images are elsewhere
  for (int i = 0; i < kReclaimRounds && deps_.pods.remove_ended() > 0; ++i) {
    if (stopped_) return false;
    std::this_thread::sleep_for(kReclaimRound);
  }
  if (auto removed = images_.remove_unused(); !removed) {
    log::warn("eviction", "removing unused images: {}", removed.error());
  }
  return !still_met(deps_.config, state_.met, observe());
}

bool EvictionManager::evict_one(const std::vector<size_t>& thresholds, const Observations& seen) {
  const Threshold& threshold = deps_.config.thresholds[thresholds.front()];
  const Signal signal = threshold.signal;
  const Measured what = signal == Signal::kMemoryAvailable ? Measured::kMemory
                        : signal == Signal::kPidAvailable  ? Measured::kProcesses
                                                           : Measured::kDisk;
  std::vector<PodUse> uses;
  for (const auto& usage : active_pods(true)) {
    if (stopped_) return false;
    uses.push_back(measure_pod(usage, agent_dir_, cgroup_root_, what, stopped_));
  }
  std::vector<const PodUse*> ranked;
  for (const auto& use : uses) ranked.push_back(&use);
  rank_for(signal, own_image_fs_, ranked);
  for (const PodUse* use : ranked) {
    int64_t grace = kImmediateGrace;
    if (!threshold.hard()) {
      grace = std::min(deps_.config.max_pod_grace_seconds, grace_seconds_of(*use->pod));
    }
    Eviction eviction{eviction_message(signal, *use, deps_.config, thresholds, seen), grace, true};
    if (evict(*use->pod, eviction, signal_name(signal))) return true;
  }
  log::warn("eviction", "no pod is left to evict for {}", resource_of_signal(signal));
  return false;
}

bool EvictionManager::evict(const corev1::Pod& pod, const Eviction& eviction,
                            std::string_view signal) {
  if (is_critical(pod)) {
    log::error("eviction", "cannot evict the critical pod {}: {}", format_pod(pod),
               eviction.message);
    return false;
  }
  if (!deps_.pods.evict(pod.metadata.uid, eviction)) return false;
  log::warn("eviction", "evicting pod {}: {}", format_pod(pod), eviction.message);
  metrics::counter("kubelet_evictions", "Cumulative number of pod evictions by eviction signal",
                   fmt::format("eviction_signal=\"{}\"", signal))
      .add();
  cleaning_.insert(pod.metadata.uid);
  cleaning_until_ = env_.clock.mono() + kCleaningMax;
  return true;
}

}  // namespace orch::agent
