// The scheduler's metrics, under kube-scheduler's names. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "orch/base/clock.h"
#include "orch/base/metrics.h"

namespace orch::server::scheduler {

class Cache;
class Queue;

// Of one profile; the references inside live as long as the process.
class ProfileMetrics {
 public:
  explicit ProfileMetrics(std::string_view profile);
  struct Result {
    metrics::Counter* attempts;
    metrics::Histogram* seconds;  // of an attempt, algorithm and binding
    void count(Micros took) const;
  };
  Result scheduled, unschedulable, error;
};

metrics::Histogram& algorithm_seconds();
metrics::Histogram& pod_attempts();  // that a scheduled pod needed
metrics::Histogram& preemption_victims();
metrics::Counter& preemption_attempts();
// From the queue's first sight of a pod to its binding.
void observe_sli(Micros took, int attempts);

void count_incoming(std::string_view queue, std::string_view event);
void show_pending(const Queue& queue);
void show_cache(const Cache& cache);

}  // namespace orch::server::scheduler
