// NodeResourcesBalancedAllocation: prefers nodes whose cpu and memory would be used to the same
// degree.
#include <algorithm>
#include <cmath>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class NodeResourcesBalancedAllocation final : public Score {
 public:
  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    auto fraction = [](int64_t requested, int64_t capacity) {
      return std::min(1.0, static_cast<double>(requested) / static_cast<double>(capacity));
    };
    const Resources& have = node.allocatable;
    // With less than two resources there is nothing to balance.
    if (have.milli_cpu == 0 || have.memory_bytes == 0) return kScoreMax;
    const double cpu = fraction(node.requested.milli_cpu + pod.requests.milli_cpu, have.milli_cpu);
    const double memory =
        fraction(node.requested.memory_bytes + pod.requests.memory_bytes, have.memory_bytes);
    const double deviation = std::abs(cpu - memory) / 2;
    return static_cast<int64_t>((1 - deviation) * static_cast<double>(kScoreMax));
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_resources_balanced_allocation(const client::Client&) {
  return std::make_unique<NodeResourcesBalancedAllocation>();
}

}  // namespace orch::server::scheduler::plugins
