#include "server/scheduler/scheduler_metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/scheduler/cache.h"
#include "server/scheduler/queue.h"

namespace orch::server::scheduler {
namespace {

// Prometheus' ExponentialBuckets.
std::vector<double> exponential(double first, double factor, int count) {
  std::vector<double> out;
  for (; count > 0; --count, first *= factor) out.push_back(first);
  return out;
}

double seconds_of(Micros time) { return std::chrono::duration<double>(time).count(); }

ProfileMetrics::Result result_of(std::string_view profile, std::string_view result) {
  const std::string labels = fmt::format("profile=\"{}\",result=\"{}\"", profile, result);
  return {&metrics::counter("scheduler_schedule_attempts_total",
                            "Number of attempts to schedule pods, by the result", labels),
          &metrics::histogram("scheduler_scheduling_attempt_duration_seconds",
                              "Scheduling attempt latency in seconds (algorithm and binding)",
                              labels, exponential(0.001, 2, 15))};
}

}  // namespace

ProfileMetrics::ProfileMetrics(std::string_view profile)
    : scheduled(result_of(profile, "scheduled")),
      unschedulable(result_of(profile, "unschedulable")),
      error(result_of(profile, "error")) {}

void ProfileMetrics::Result::count(Micros took) const {
  attempts->add();
  seconds->observe(seconds_of(took));
}

metrics::Histogram& algorithm_seconds() {
  static auto& out =
      metrics::histogram("scheduler_scheduling_algorithm_duration_seconds",
                         "Scheduling algorithm latency in seconds", "", exponential(0.001, 2, 15));
  return out;
}

metrics::Histogram& pod_attempts() {
  static auto& out = metrics::histogram("scheduler_pod_scheduling_attempts",
                                        "Number of attempts to successfully schedule a pod", "",
                                        exponential(1, 2, 5));
  return out;
}

metrics::Histogram& preemption_victims() {
  static auto& out =
      metrics::histogram("scheduler_preemption_victims", "Number of selected preemption victims",
                         "", exponential(1, 2, 7));
  return out;
}

metrics::Counter& preemption_attempts() {
  static auto& out = metrics::counter("scheduler_preemption_attempts_total",
                                      "Total preemption attempts in the cluster till now");
  return out;
}

void observe_sli(Micros took, int attempts) {
  // Many attempts share a label.
  constexpr int kLabelMax = 16;
  metrics::histogram("scheduler_pod_scheduling_sli_duration_seconds",
                     "E2e latency for a pod being scheduled, from the time it enters the queue",
                     fmt::format("attempts=\"{}{}\"", std::min(attempts, kLabelMax),
                                 attempts > kLabelMax ? "+" : ""),
                     exponential(0.01, 2, 20))
      .observe(seconds_of(took));
}

void count_incoming(std::string_view queue, std::string_view event) {
  metrics::counter("scheduler_queue_incoming_pods_total",
                   "Number of pods added to scheduling queues by event and queue type",
                   fmt::format("event=\"{}\",queue=\"{}\"", event, queue))
      .add();
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

void show_cache(const Cache& cache) {
  auto make = [](std::string_view name) -> metrics::Gauge& {
    return metrics::gauge("scheduler_scheduler_cache_size",
                          "Number of nodes, pods, and assumed (bound) pods in the scheduler cache",
                          fmt::format("type=\"{}\"", name));
  };
  static auto &nodes = make("nodes"), &pods = make("pods"), &assumed = make("assumed_pods");
  nodes.set(static_cast<double>(cache.node_count()));
  pods.set(static_cast<double>(cache.pod_count()));
  assumed.set(static_cast<double>(cache.assumed_count()));
}

}  // namespace orch::server::scheduler
