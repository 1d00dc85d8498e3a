// What a simulation tells: placements, pods that found no node and why, latencies, cost.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::sim {

// Latencies; quantiles by sorting, once.
class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  size_t size() const { return values_.size(); }
  double quantile(double q);

 private:
  std::vector<double> values_;
  bool sorted_ = false;
};

struct Report {
  size_t nodes = 0;
  std::map<std::string, size_t> pods_of_node;
  std::map<std::string, api::Quantity> requested, allocatable;  // cpu, memory; of the cluster
  size_t bound = 0, running = 0, finished = 0, waiting = 0;
  std::map<std::string, size_t> reasons;  // of those waiting: the scheduler's message -> pods
  Samples call_virtual_ms, call_real_ms, startup_virtual_ms;
  uint64_t calls = 0;
  double virtual_seconds = 0, real_seconds = 0, cpu_seconds = 0;
  std::string text();
};

}  // namespace orch::sim
