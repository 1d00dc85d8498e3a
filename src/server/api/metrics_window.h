// Use of CPU and memory over the last seconds, from the agents' /metrics/resource. Measured when
// someone asks: nothing runs in between. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "orch/base/env.h"

namespace orch::server {

// Counters at one moment.
struct UsageSample {
  double cpu_seconds = 0;
  uint64_t memory_bytes = 0;  // working set
  int64_t time_ms = 0;        // since 1970; 0 = not measured
};
using PodName = std::pair<std::string, std::string>;  // namespace, name
struct NodeSample {
  UsageSample node;
  std::map<PodName, std::map<std::string, UsageSample>> pods;  // by container
};
// The text form of Prometheus, with the series of the kubelet's endpoint; others are skipped.
NodeSample parse_resource_metrics(std::string_view text);

struct Usage {
  int64_t cpu_nanocores = 0, memory_bytes = 0;
  WallTime end{};
  Micros window{0};
};
// nullopt: not measured twice, or the counter began anew.
std::optional<Usage> usage_between(const UsageSample& before, const UsageSample& now);

struct UsageWindow {
  std::map<std::string, Usage> nodes;
  // Pods of which every container was measured twice.
  std::map<PodName, std::map<std::string, Usage>> pods;
};
using ClusterSample = std::map<std::string, NodeSample>;  // by node
UsageWindow window_between(const ClusterSample& before, const ClusterSample& now);

class MetricsWindow {
 public:
  static constexpr Seconds kFresh{15};   // a window is shown for so long
  static constexpr Seconds kUsable{60};  // an older sample is no beginning for a window
  static constexpr Millis kFirst{1000};  // length of a window that begins when asked
  using Fetch = std::function<ClusterSample()>;
  MetricsWindow(Clock& clock, Fetch fetch, Millis first = kFirst)
      : clock_(clock), fetch_(std::move(fetch)), first_(first) {}
  // Blocks for the agents' answers, and for `first` when there is no earlier sample.
  std::shared_ptr<const UsageWindow> get();

 private:
  Clock& clock_;
  const Fetch fetch_;
  const Millis first_;
  std::mutex mutex_;
  MonoTime taken_at_{};
  std::shared_ptr<const ClusterSample> last_;
  std::shared_ptr<const UsageWindow> window_;
};

}  // namespace orch::server
