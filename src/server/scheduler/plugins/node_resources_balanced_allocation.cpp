// NodeResourcesBalancedAllocation: prefers nodes whose resources (cpu and memory unless configured
// otherwise) would be used to the same degree.
#include <algorithm>
#include <cmath>

#include "server/scheduler/plugins/plugins.h"
#include "server/scheduler/plugins/resource_amounts.h"

namespace orch::server::scheduler::plugins {
namespace {

class NodeResourcesBalancedAllocation final : public Score {
 public:
  explicit NodeResourcesBalancedAllocation(std::vector<ResourceWeight> resources)
      : resources_(std::move(resources)) {}
  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }
  bool score_is_local() const override { return true; }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    double sum = 0, sum_of_squares = 0, first = 0, second = 0;
    int count = 0;
    for (const auto& resource : resources_) {
      const int64_t asked = amount_of(pod.requests, resource.name);
      const int64_t capacity = amount_of(node.allocatable, resource.name);
      if (capacity <= 0 || (asked == 0 && is_extended(resource.name))) continue;
      const double used = static_cast<double>(amount_of(node.requested, resource.name)) +
                          static_cast<double>(asked);
      const double fraction = std::min(1.0, used / static_cast<double>(capacity));
      (count == 0 ? first : second) = fraction;
      sum += fraction;
      sum_of_squares += fraction * fraction;
      ++count;
    }
    // With less than two resources there is nothing to balance.
    if (count < 2) return kScoreMax;
    const double mean = sum / count;
    const double deviation = count == 2
                                 ? std::abs(first - second) / 2
                                 : std::sqrt(std::max(0.0, sum_of_squares / count - mean * mean));
    return static_cast<int64_t>((1 - deviation) * static_cast<double>(kScoreMax));
  }

 private:
  const std::vector<ResourceWeight> resources_;
};

}  // namespace

std::unique_ptr<Plugin> make_node_resources_balanced_allocation(const PluginContext& context) {
  return std::make_unique<NodeResourcesBalancedAllocation>(context.args.balanced_resources);
}

}  // namespace orch::server::scheduler::plugins
