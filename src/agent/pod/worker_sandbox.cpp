#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "agent/pod/cgroups.h"
#include "agent/pod/dns.h"
#include "agent/pod/leftovers.h"
#include "agent/pod/resources.h"
#include "agent/pod/sandbox_config.h"
#include "agent/pod/termination_message.h"
#include "agent/pod/worker.h"
#include "agent/volumes/sub_path.h"
#include "agent/volumes/volume.h"
#include "orch/base/file.h"
#include "orch/base/log.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

constexpr Millis kVolumeDelayMin{500}, kVolumeDelayMax{122'000}, kClaimDelayMax{2000};
constexpr Millis kSandboxDelayMin{500}, kSandboxDelayMax{10'000};
constexpr Seconds kRefreshPeriod{60};
constexpr Millis kNetworkWait{100};
constexpr Seconds kRecordRetry{10};

struct VolumesMade {
  std::map<std::string, std::string> paths;
  std::vector<std::pair<std::string, Error>> failures;  // by volume
};

// Blocks. only_refreshing: those whose source may have changed.
VolumesMade make_volumes(const corev1::Pod& pod, const std::string& pod_dir, ObjectSource& objects,
                         const WorkerContext& context, const PodAddresses& addresses,
                         bool only_refreshing) {
  VolumesMade out;
  for (const auto& volume : pod.spec.volumes) {
    const VolumeDriver* driver = find_volume_driver(volume);
    if (driver == nullptr) {
      out.failures.emplace_back(
          volume.name, Error{Error::Code::kConfig, "this kind of volume is not supported here"});
      continue;
    }
    if (only_refreshing && !driver->refreshes()) continue;
    VolumeContext volume_context{
        .pod = pod,
        .directory =
            fmt::format("{}/volumes/kubernetes.io~{}/{}", pod_dir, driver->kind(), volume.name),
        .objects = objects,
        .addresses = addresses,
        .allocatable =
            context.allocatable ? context.allocatable() : std::map<std::string, api::Quantity>{},
        .now = context.env.clock.now(),
        .storage_dir = context.config.data_dir + "/storage"};
    auto path = driver->set_up(volume_context, volume);
    if (path) {
      out.paths[volume.name] = std::move(*path);
    } else {
      out.failures.emplace_back(volume.name, std::move(path).error());
    }
  }
  return out;
}

// Removes a folder of ours; never while something is mounted below it.
Result<Unit, Error> remove_folder(const std::string& path) {
  ORCH_CHECK(unmount_below(path));
  std::error_code ec;
  fs::remove_all(path, ec);
  if (ec) return Err(Error{Error::Code::kInternal, fmt::format("{}: {}", path, ec.message())});
  return Unit{};
}

}  // namespace

std::string PodWorker::pod_dir() const { return pod_dir_of(context_.agent_dir, *pod_); }
std::string PodWorker::log_dir() const { return pod_log_dir_of(context_.agent_dir, *pod_); }

void PodWorker::prepare_volumes() {
  volumes_busy_ = true;
  auto pod = pod_;
  context_.pool.post([weak = weak_from_this(), pod, dir = pod_dir(), &context = context_] {
    VolumesMade made;
    if (auto result = make_directories(dir, 0750); !result) {
      made.failures.emplace_back("", Error{Error::Code::kInternal, result.error()});
    } else {
      PodAddresses addresses{{}, context.node_ips()};
      made = make_volumes(*pod, dir, context.objects.fresh(), context, addresses, false);
    }
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), made = std::move(made)] {
      self->volumes_busy_ = false;
      self->volumes_paths_set(made.paths);
      self->volumes_ready_ = made.failures.empty();
      if (self->volumes_ready_) {
        self->volumes_retry_at_.reset();
        self->volumes_error_.clear();
        self->refresh_volumes();
        return self->sync();
      }
      // A claim is asked for again soon, but not complained about each time.
      bool claims_only = true;
      std::string told;
      for (const auto& [name, error] : made.failures) {
        claims_only &= error.message.starts_with("error processing PVC");
        told += failed_mount_text(name, error) + "\n";
      }
      self->volumes_delay_ = std::clamp(self->volumes_delay_ * 2, kVolumeDelayMin,
                                        claims_only ? kClaimDelayMax : kVolumeDelayMax);
      self->volumes_retry_at_ = self->now() + self->volumes_delay_;
      if (!claims_only || told != self->volumes_error_) {
        for (const auto& [name, error] : made.failures) {
          self->event("Warning", "FailedMount", failed_mount_text(name, error));
        }
      }
      self->volumes_error_ = std::move(told);
      self->sync();
    });
  });
}

void PodWorker::volumes_paths_set(const std::map<std::string, std::string>& paths) {
  for (const auto& [name, path] : paths) volume_paths_[name] = path;
}

// Brings volumes that follow API objects up to date, about once a minute.
void PodWorker::refresh_volumes() {
  bool any = false;
  for (const auto& volume : pod_->spec.volumes) {
    const VolumeDriver* driver = find_volume_driver(volume);
    any |= driver != nullptr && driver->refreshes();
  }
  if (!any || refresh_timer_ != 0) return;
  Micros jitter{static_cast<int64_t>(random_below(context_.env.random, 10'000'000))};
  refresh_timer_ =
      strand_->post_after(kRefreshPeriod - Seconds{5} + jitter, [weak = weak_from_this()] {
        auto self = weak.lock();
        if (!self || self->stopped_) return;
        self->refresh_timer_ = 0;
        if (self->terminating() || self->terminated_ || !self->volumes_ready_) return;
        auto pod = self->pod_;
        PodAddresses addresses{self->pod_ips(), self->context_.node_ips()};
        self->volumes_busy_ = true;
        self->context_.pool.post([weak, pod, addresses, dir = self->pod_dir(),
                                  &context = self->context_] {
          auto made = make_volumes(*pod, dir, context.objects.relaxed(), context, addresses, true);
          auto self = weak.lock();
          if (!self) return;
          self->post([self = self.get(), made = std::move(made)] {
            self->volumes_busy_ = false;
            for (const auto& [name, error] : made.failures) {
              log::warn("agent", "volume {} of pod {}: {}", name, format_pod(*self->pod_),
                        error.message);
            }
            self->refresh_volumes();
            self->sync();
          });
        });
      });
}

SandboxSpec PodWorker::sandbox_spec(uint32_t attempt, Result<Unit, Error>& error) const {
  auto resolv = read_file(context_.config.resolv_conf);
  DnsInput dns{.pod = *pod_,
               .cluster_dns = context_.config.cluster_dns,
               .cluster_domain = context_.config.cluster_domain,
               .host_resolv_conf = resolv.value_or("")};
  SandboxInput input{.pod = *pod_,
                     .attempt = attempt,
                     .log_directory = log_dir(),
                     .cgroup_parent = pod_cgroup_path(context_.cgroup_root, *pod_),
                     .dns = pod_dns(dns),
                     .instance = context_.instance,
                     .cluster_domain = context_.config.cluster_domain};
  auto spec = make_sandbox_spec(input);
  if (spec) return std::move(*spec);
  error = Err(std::move(spec).error());
  return {};
}

void PodWorker::create_sandbox(uint32_t attempt) {
  sandbox_busy_ = true;
  if (!pod_->spec.hostNetwork && !context_.network_ready()) {
    // Sure to fail: the node's network comes up a moment after its runtime.
    strand_->post_after(kNetworkWait, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || self->stopped_) return;
      self->sandbox_busy_ = false;
      self->sync();
    });
    return;
  }
  auto pod = pod_;
  CgroupLimits limits = pod_cgroup_limits(*pod_);
  if (context_.config.pod_pids_max > 0) limits.pids_max = context_.config.pod_pids_max;
  context_.pool.post([weak = weak_from_this(), pod, attempt, limits, logs = log_dir(),
                      root = context_.cgroup_root] {
    Result<Unit, Error> ready = Unit{};
    if (auto made = make_directories(logs, 0755); !made) {
      ready = Err(Error{Error::Code::kInternal, made.error()});
    } else if (auto group = make_cgroup(pod_cgroup_path(root, *pod), limits); !group) {
      ready = Err(Error{Error::Code::kInternal, "pod cgroup: " + group.error()});
    }
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), attempt, ready]() mutable {
      SandboxSpec spec = self->sandbox_spec(attempt, ready);
      if (!ready) return self->sandbox_made(Err(ready.error()), std::move(spec));
      self->context_.runtime.run_sandbox(spec, [weak = self->weak_from_this(), spec](auto result) {
        auto self = weak.lock();
        if (!self) return;
        self->post([self = self.get(), spec, result] { self->sandbox_made(result, spec); });
      });
    });
  });
}

void PodWorker::sandbox_made(Result<std::string, Error> result, SandboxSpec spec) {
  touched();
  if (result) {
    context_.runtime.sandbox_status(
        *result, [weak = weak_from_this(), id = *result, spec](Result<SandboxView, Error> status) {
          auto self = weak.lock();
          if (!self) return;
          self->post([self = self.get(), id, status] {
            self->touched();
            self->sandbox_busy_ = false;
            self->sandbox_delay_ = Millis{0};
            self->sandbox_retry_at_.reset();
            if (status) {
              auto& list = self->observed_.sandboxes;
              std::erase_if(list, [&](const auto& s) { return s.id == id; });
              list.insert(list.begin(), *status);
            }
            self->sync();
          });
        });
    return;
  }
  sandbox_delay_ = std::clamp(sandbox_delay_ * 2, kSandboxDelayMin, kSandboxDelayMax);
  if (auto id = reserved_by(result.error().message); !id.empty()) {
    // A leftover of an earlier life holds the name: away with it, then again.
    context_.runtime.stop_sandbox(id, [weak = weak_from_this(), id](auto) {
      auto self = weak.lock();
      if (!self) return;
      self->context_.runtime.remove_sandbox(id, [weak](auto) {
        auto self = weak.lock();
        if (!self) return;
        self->post([self = self.get()] {
          self->sandbox_busy_ = false;
          self->sandbox_retry_at_ = self->now() + self->sandbox_delay_;
          self->sync();
        });
      });
    });
    return;
  }
  sandbox_busy_ = false;
  sandbox_retry_at_ = now() + sandbox_delay_;
  event("Warning", "FailedCreatePodSandBox",
        "Failed to create pod sandbox: " + result.error().message);
  sync();
}

void PodWorker::stop_sandbox(const std::string& id) {
  sandbox_busy_ = true;
  context_.runtime.stop_sandbox(id, [weak = weak_from_this(), id](Result<Unit, Error> result) {
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), id, result] {
      self->touched();
      if (result) {
        for (auto& sandbox : self->observed_.sandboxes) {
          if (sandbox.id == id) sandbox.ready = false;
        }
        self->sandbox_busy_ = false;
        return self->sync();
      }
      log::warn("agent", "stop sandbox of pod {}: {}", format_pod(*self->pod_),
                result.error().message);
      self->strand_->post_after(Seconds{1}, [weak = self->weak_from_this()] {
        auto self = weak.lock();
        if (!self || self->stopped_) return;
        self->sandbox_busy_ = false;
        self->sync();
      });
    });
  });
}

void PodWorker::remove_sandbox(const std::string& id) {
  if (!removing_.insert(id).second) return;
  context_.runtime.remove_sandbox(id, [weak = weak_from_this(), id](Result<Unit, Error> result) {
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), id, result] {
      self->touched();
      self->removing_.erase(id);
      if (!result) return;
      std::erase_if(self->observed_.sandboxes, [&](const auto& s) { return s.id == id; });
      if (self->terminated_) self->sync();
    });
  });
}

void PodWorker::remove_container(const std::string& id) {
  if (!removing_.insert(id).second) return;
  context_.runtime.remove_container(id, [weak = weak_from_this(), id](Result<Unit, Error> result) {
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), id, result] {
      self->touched();
      self->removing_.erase(id);
      if (!result) return;
      for (const auto& c : self->observed_.containers) {
        if (c.id != id) continue;
        if (!c.log_path.empty()) ::unlink(c.log_path.c_str());
        ::unlink(termination_file(self->pod_dir(), c.name, restart_count_of(c)).c_str());
      }
      self->termination_messages_.erase(id);
      self->applied_.erase(id);
      std::erase_if(self->observed_.containers, [&](const auto& c) { return c.id == id; });
      if (self->terminated_) self->sync();
    });
  });
}

// Nothing runs any more: volumes and cgroup go; then the status is final.
void PodWorker::terminated() {
  if (cleaning_) return;
  if (terminated_) {
    if (removed_) clean_up_rest();
    return;
  }
  cleaning_ = true;
  for (auto& [name, list] : probes_) list.clear();
  context_.pool.post([weak = weak_from_this(), dir = pod_dir(),
                      cgroup = pod_cgroup_path(context_.cgroup_root, *pod_)] {
    auto removed = remove_folder(dir + "/volume-subpaths");
    if (removed) removed = remove_folder(dir + "/volumes");
    auto errors = remove_cgroups(cgroup);
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), removed, errors] {
      for (const auto& error : errors) log::debug("agent", "{}", error);
      if (!removed) {
        log::warn("agent", "volumes of pod {}: {}", format_pod(*self->pod_),
                  removed.error().message);
        self->strand_->post_after(Seconds{1}, [weak = self->weak_from_this()] {
          auto self = weak.lock();
          if (!self || self->stopped_) return;
          self->cleaning_ = false;
          self->sync();
        });
        return;
      }
      self->cleaning_ = false;
      self->terminated_ = true;
      self->volumes_ready_ = false;
      self->sync();
    });
  });
}

void PodWorker::remove_ended() {
  post([this] {
    if (!terminated_ || removed_ || cleaning_) return;
    for (const auto& c : observed_.containers) remove_container(c.id);
    if (!observed_.containers.empty()) return;  // then what held them
    for (const auto& sandbox : observed_.sandboxes) remove_sandbox(sandbox.id);
  });
}

// The API object is gone too: records, logs and folders of the pod go.
void PodWorker::clean_up_rest() {
  cleaning_ = true;
  record_failed_ = false;
  for (const auto& c : observed_.containers) records_.emplace_back(c.id, false);
  for (const auto& sandbox : observed_.sandboxes) records_.emplace_back(sandbox.id, true);
  std::reverse(records_.begin(), records_.end());
  remove_next_record();
}

void PodWorker::remove_next_record() {
  if (records_.empty() && record_failed_) {
    strand_->post_after(kRecordRetry, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (self && !self->stopped_) self->clean_up_rest();
    });
    return;
  }
  if (records_.empty()) {
    context_.pool.post([weak = weak_from_this(), dir = pod_dir(), logs = log_dir()] {
      auto self = weak.lock();
      if (!self) return;
      if (auto result = remove_folder(dir); !result) {
        log::warn("agent", "{}", result.error().message);
      }
      std::error_code ec;
      fs::remove_all(logs, ec);
      self->context_.gone(self->uid_);
    });
    return;
  }
  auto [id, is_sandbox] = records_.back();
  records_.pop_back();
  auto done = [weak = weak_from_this()](Result<Unit, Error> result) {
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), result] {
      if (!result) {
        log::warn("agent", "remove what is left of pod {}: {}", format_pod(*self->pod_),
                  result.error().message);
        self->record_failed_ = true;
      }
      self->remove_next_record();
    });
  };
  if (is_sandbox) {
    context_.runtime.remove_sandbox(id, done);
  } else {
    context_.runtime.remove_container(id, done);
  }
}

}  // namespace orch::agent
