#include <fmt/format.h>

#include <algorithm>

#include "agent/pod/cgroups.h"
#include "agent/pod/resources.h"
#include "agent/pod/worker.h"
#include "orch/base/log.h"

namespace orch::agent {
namespace {

constexpr Micros kResizeRetry = Seconds{10};

// The looser of two limits; none is the loosest.
std::optional<int64_t> looser(std::optional<int64_t> a, std::optional<int64_t> b) {
  if (!a || !b || *a <= 0 || *b <= 0) return -1;
  return std::max(*a, *b);
}

// While containers go from one to the other, the pod must hold both.
CgroupLimits looser(const CgroupLimits& a, const CgroupLimits& b) {
  CgroupLimits out;
  out.cpu_shares = std::max(a.cpu_shares.value_or(0), b.cpu_shares.value_or(0));
  out.cpu_quota_us = looser(a.cpu_quota_us, b.cpu_quota_us);
  out.memory_max_bytes = looser(a.memory_max_bytes, b.memory_max_bytes);
  return out;
}

}  // namespace

// The spec asks for other resources than the pod has: they are given, or the status says why not.
void PodWorker::consider_resize() {
  if (!wanted_ || terminating() || is_terminal_phase(*pod_)) return;
  // One after the other; but what cannot be done does not stand in the way.
  if (resize_busy_ || (resized_from_ && !resize_retry_at_)) return;
  if (!resources_differ(*wanted_, pod_->spec)) {
    wanted_.reset();
    resize_refused_.clear();
    return;
  }
  corev1::Pod asked = *pod_;
  take_resources(*wanted_, asked.spec);
  switch (context_.may_resize(asked)) {
    case ResizeVerdict::kInfeasible:
      resize_refused_ = "Infeasible";
      return;
    case ResizeVerdict::kDeferred:
      resize_refused_ = "Deferred";  // asked again when something changes, and now and then
      return;
    case ResizeVerdict::kFits:
      break;
  }
  resize_refused_.clear();
  wanted_.reset();
  if (!resized_from_) resized_from_ = pod_;
  resize_retry_at_.reset();
  pod_ = std::make_shared<const corev1::Pod>(std::move(asked));
  context_.changed();
}

// Runs that an earlier agent started have what the status says, or what the pod has.
void PodWorker::recall_resources() {
  for (const auto& c : pod_->spec.containers) {
    const ContainerView* run = observed_.newest(c.name);
    if (run == nullptr || applied_.contains(run->id)) continue;
    applied_[run->id] = c.resources;
    for (const auto& s : pod_->status.containerStatuses) {
      if (s.resources && s.containerID.ends_with("://" + run->id)) applied_[run->id] = *s.resources;
    }
  }
}

// Brings the containers to what the pod was given.
void PodWorker::resize() {
  if (resize_busy_ || terminating()) return;
  if (resize_retry_at_ && *resize_retry_at_ > now()) return;
  const auto todo = plan_resize(*pod_, applied_, observed_);
  std::vector<ContainerResize> updates;
  for (const auto& step : todo) {
    ContainerMemory& m = memory(step.name);
    if (m.busy) return;  // it starts or stops; then again
    if (!step.restart) {
      updates.push_back(step);
    } else if (m.kill_id != step.id) {
      m.kill_id = step.id;
      m.kill_message = fmt::format("Container {} resize requires restart", step.name);
    }
  }
  if (updates.empty() && !resized_from_) return;
  if (updates.empty() && !todo.empty() && loosened_) return;  // restarts are under way
  resize_busy_ = true;
  resize_retry_at_.reset();
  const CgroupLimits after = pod_cgroup_limits(*pod_);
  const CgroupLimits before = resized_from_ ? pod_cgroup_limits(*resized_from_) : after;
  const std::string cgroup = pod_cgroup_path(context_.cgroup_root, *pod_);
  context_.pool.post([weak = weak_from_this(), cgroup, limits = looser(before, after), updates] {
    const auto made = make_cgroup(cgroup, limits);
    auto self = weak.lock();
    if (!self) return;
    self->post([self = self.get(), made, updates] {
      if (!made) return self->resized(Err(Error{Error::Code::kInternal, made.error()}));
      self->loosened_ = true;
      self->resize_next(updates);
    });
  });
}

void PodWorker::resize_next(std::vector<ContainerResize> updates) {
  const corev1::Container* spec = nullptr;
  while (!updates.empty() && (spec = find_container(*pod_, updates.back().name)) == nullptr) {
    updates.pop_back();
  }
  if (updates.empty()) return finish_resize();
  const ContainerResize step = updates.back();
  updates.pop_back();
  const auto resources =
      container_resources(*pod_, *spec, context_.node_memory_bytes, cgroup_is_v2());
  context_.runtime.update_resources(
      step.id, resources,
      [weak = weak_from_this(), step, updates, given = spec->resources](Result<Unit, Error> done) {
        auto self = weak.lock();
        if (!self) return;
        self->post([self = self.get(), step, updates, given, done] {
          // A run that ended meanwhile needs nothing.
          if (!done && done.error().code != Error::Code::kNotFound) return self->resized(done);
          self->applied_[step.id] = given;
          self->resize_next(updates);
        });
      });
}

// The pod's own cgroup last, for what became smaller.
void PodWorker::finish_resize() {
  if (!plan_resize(*pod_, applied_, observed_).empty()) return resized(Unit{});
  CgroupLimits limits = pod_cgroup_limits(*pod_);
  limits.cpu_quota_us = limits.cpu_quota_us.value_or(-1);
  limits.memory_max_bytes = limits.memory_max_bytes.value_or(-1);
  context_.pool.post(
      [weak = weak_from_this(), limits, cgroup = pod_cgroup_path(context_.cgroup_root, *pod_)] {
        const auto made = make_cgroup(cgroup, limits);
        auto self = weak.lock();
        if (!self) return;
        self->post([self = self.get(), made] {
          if (!made) return self->resized(Err(Error{Error::Code::kInternal, made.error()}));
          self->resized_from_.reset();
          self->loosened_ = false;
          self->resized(Unit{});
        });
      });
}

void PodWorker::resized(const Result<Unit, Error>& result) {
  resize_busy_ = false;
  if (!result) {
    log::warn("agent", "resizing pod {}: {}", format_pod(*pod_), result.error().message);
    resize_retry_at_ = now() + kResizeRetry;
  }
  sync();
}

std::string PodWorker::resize_state() const {
  if (is_terminal_phase(*pod_)) return "";
  if (!resize_refused_.empty()) return resize_refused_;
  const bool under_way =
      resize_busy_ || resized_from_ || !plan_resize(*pod_, applied_, observed_).empty();
  return under_way ? "InProgress" : "";
}

}  // namespace orch::agent
