#include <fmt/format.h>

#include <algorithm>

#include "agent/pod/worker.h"

namespace orch::agent {

// One probe of one run of a container.
struct PodWorker::Probing {
  ProbeKind kind;
  std::string name, id;
  corev1::Container container;
  corev1::Probe probe;
  ProbeCounter counter;
  bool ended = false;

  Micros period() const {
    return Seconds{std::max(1, probe.periodSeconds == 0 ? 10 : probe.periodSeconds)};
  }
};

namespace {
constexpr Micros kFirstProbe = Millis{100};
}  // namespace

// Sees to it that every running container has its probes, and counts as started and ready when it
// has none.
void PodWorker::follow_running() {
  for (const auto& c : observed_.containers) {
    if (c.state != ContainerState::kRunning || memory(c.name).busy) continue;
    if (probed_id_[c.name] == c.id) continue;
    const corev1::Container* spec = find_container(*pod_, c.name);
    probed_id_[c.name] = c.id;
    if (spec == nullptr || !spec->startupProbe) memory(c.name).started = true;
    if (spec == nullptr || !spec->readinessProbe) memory(c.name).ready = true;
    if (spec != nullptr) start_probes(c.name, c.id);
  }
}

void PodWorker::start_probes(const std::string& name, const std::string& id) {
  stop_probes(name);
  const corev1::Container* spec = find_container(*pod_, name);
  const ContainerView* run = observed_.newest(name);
  if (spec == nullptr || run == nullptr) return;
  auto add = [&](ProbeKind kind, const api::Ptr<corev1::Probe>& probe) {
    if (!probe) return;
    auto probing = std::make_shared<Probing>(
        Probing{.kind = kind,
                .name = name,
                .id = id,
                .container = *spec,
                .probe = *probe,
                .counter = ProbeCounter(probe->successThreshold, probe->failureThreshold)});
    probes_[name].push_back(probing);
    // The others wait for the startup probe.
    if (kind != ProbeKind::kStartup && !memory(name).started) return;
    const WallTime first =
        wall_of_ns(run->started_at_ns) + Seconds{probe->initialDelaySeconds} + kFirstProbe;
    schedule_probe(probing, std::max<Micros>(first - now(), Micros{0}));
  };
  if (!memory(name).started) add(ProbeKind::kStartup, spec->startupProbe);
  add(ProbeKind::kLiveness, spec->livenessProbe);
  add(ProbeKind::kReadiness, spec->readinessProbe);
}

void PodWorker::stop_probes(const std::string& name) {
  for (auto& probing : probes_[name]) probing->ended = true;
  probes_[name].clear();
}

void PodWorker::schedule_probe(const std::shared_ptr<Probing>& probing, Micros delay) {
  strand_->post_after(delay, [weak = weak_from_this(), weak_probing = std::weak_ptr(probing)] {
    auto self = weak.lock();
    auto probing = weak_probing.lock();
    if (!self || !probing || probing->ended || self->stopped_) return;
    auto ips = self->pod_->spec.hostNetwork ? self->context_.node_ips() : self->pod_ips();
    ProbeTarget target{self->pod_.get(), &probing->container, probing->id,
                       ips.empty() ? "" : ips[0]};
    const MonoTime began = self->context_.env.clock.mono();
    run_probe(self->context_.runtime, self->context_.pool, probing->probe, target,
              Seconds{probing->probe.timeoutSeconds},
              [weak, weak_probing, began](ProbeOutcome outcome) {
                auto self = weak.lock();
                if (!self) return;
                self->post([self = self.get(), weak_probing, outcome, began] {
                  auto probing = weak_probing.lock();
                  if (!probing || probing->ended) return;
                  self->probed(probing, outcome);
                  if (probing->ended) return;
                  const Micros used = self->context_.env.clock.mono() - began;
                  self->schedule_probe(probing, std::max(probing->period() - used, Micros{0}));
                });
              });
  });
}

void PodWorker::probed(const std::shared_ptr<Probing>& probing, const ProbeOutcome& outcome) {
  const std::string_view what = probe_name(probing->kind);
  {
    std::lock_guard lock(shown_mutex_);
    ProbeCount& count = probe_counts_[{probing->name, probing->kind}];
    if (outcome.result == ProbeOutcome::Result::kSuccess) ++count.successful;
    if (outcome.result == ProbeOutcome::Result::kFailure) ++count.failed;
    if (outcome.result == ProbeOutcome::Result::kError) ++count.unknown;
  }
  if (outcome.result == ProbeOutcome::Result::kError) {
    // The probe itself broke: says nothing about the container.
    container_event(probing->name, "Warning", "Unhealthy",
                    fmt::format("{} probe errored: {}", what, outcome.output));
    return;
  }
  if (outcome.result == ProbeOutcome::Result::kFailure) {
    container_event(probing->name, "Warning", "Unhealthy",
                    fmt::format("{} probe failed: {}", what, outcome.output));
  }
  auto verdict = probing->counter.observe(outcome.result);
  if (!verdict) return;
  ContainerMemory& m = memory(probing->name);
  switch (probing->kind) {
    case ProbeKind::kReadiness:
      if (m.ready == *verdict) return;
      m.ready = *verdict;
      return sync();
    case ProbeKind::kStartup:
      if (*verdict) {
        m.started = true;
        start_probes(probing->name, probing->id);
        return sync();
      }
      break;
    case ProbeKind::kLiveness:
      if (*verdict) return;
      break;
  }
  std::string lower = probing->kind == ProbeKind::kStartup ? "startup" : "liveness";
  m.kill_id = probing->id;
  m.kill_message =
      fmt::format("Container {} failed {} probe, will be restarted", probing->name, lower);
  m.kill_grace_seconds = probing->probe.terminationGracePeriodSeconds;
  stop_probes(probing->name);
  sync();
}

std::vector<ProbeCount> PodWorker::probe_counts() const {
  const auto shown = pod();
  std::lock_guard lock(shown_mutex_);
  std::vector<ProbeCount> out;
  for (const auto& [key, count] : probe_counts_) {
    out.push_back(count);
    out.back().namespace_ = shown->metadata.namespace_;
    out.back().pod = shown->metadata.name;
    out.back().pod_uid = shown->metadata.uid;
    out.back().container = key.first;
    out.back().type = probe_name(key.second);
  }
  return out;
}

}  // namespace orch::agent
