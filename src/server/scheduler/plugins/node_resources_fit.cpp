// NodeResourcesFit: requests fit into what is allocatable and not yet requested; scores nodes by
// how much of them would be used: least, most, or along a line (RequestedToCapacityRatio).
#include <fmt/format.h>

#include <algorithm>

#include "server/scheduler/plugins/plugins.h"
#include "server/scheduler/plugins/resource_amounts.h"

namespace orch::server::scheduler::plugins {
namespace {

using Strategy = PluginArgs::Strategy;
// Of a shape's scores; scaled to kScoreMax.
constexpr int64_t kShapeScoreMax = 10;

// Appends why `wanted` does not fit beside `used`; `beyond`: not even on the empty node.
void check(std::string_view resource, int64_t wanted, int64_t used, int64_t allocatable,
           std::vector<std::string>& reasons, bool& beyond) {
  if (wanted <= 0 || wanted <= allocatable - used) return;
  reasons.push_back(fmt::format("Insufficient {}", resource));
  if (wanted > allocatable) beyond = true;
}

// Both may be as large as numbers go.
int64_t percent_of(int64_t part, int64_t whole) {
  constexpr int64_t kExact = int64_t{1} << 56;
  if (whole < kExact) return part * 100 / whole;
  return (part >> 8) * 100 / (whole >> 8);
}

// The line through `shape`, level before its first and after its last point.
int64_t on_line(const std::vector<ShapePoint>& shape, int64_t utilization) {
  for (size_t i = 0; i < shape.size(); ++i) {
    if (utilization > shape[i].utilization) continue;
    if (i == 0) return shape[0].score;
    const auto &from = shape[i - 1], &to = shape[i];
    return from.score + (to.score - from.score) * (utilization - from.utilization) /
                            (to.utilization - from.utilization);
  }
  return shape.empty() ? 0 : shape.back().score;
}

class NodeResourcesFit final : public Filter, public Score {
 public:
  explicit NodeResourcesFit(const PluginArgs& args)
      : ignored_(args.ignored_resources),
        ignored_groups_(args.ignored_resource_groups),
        strategy_(args.strategy),
        resources_(args.fit_resources),
        shape_(args.shape) {
    for (auto& point : shape_) point.score = point.score * kScoreMax / kShapeScoreMax;
  }
  std::string_view name() const override { return "NodeResourcesFit"; }
  bool filter_is_local() const override { return true; }
  bool score_is_local() const override { return true; }

  Status filter(const CycleState&, const PodInfo& pod, const NodeInfo& node) const override {
    bool beyond = false;
    auto reasons = misfits(pod, node.allocatable, node.requested, node.pods.size(), beyond);
    if (reasons.empty()) return Status::success();
    return {beyond ? Code::kUnschedulableAndUnresolvable : Code::kUnschedulable,
            std::move(reasons),
            {}};
  }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    int64_t sum = 0, weights = 0;
    for (const auto& resource : resources_) {
      int64_t asked = 0, used = 0;
      if (resource.name == "cpu") {
        asked = pod.nonzero_milli_cpu;
        used = node.nonzero_milli_cpu;
      } else if (resource.name == "memory") {
        asked = pod.nonzero_memory_bytes;
        used = node.nonzero_memory_bytes;
      } else {
        asked = amount_of(pod.requests, resource.name);
        used = amount_of(node.requested, resource.name);
        if (asked == 0 && is_extended(resource.name)) continue;
      }
      const int64_t capacity = amount_of(node.allocatable, resource.name);
      if (capacity <= 0) continue;
      const int64_t one = score_of(used, asked, capacity);
      // Of a line, resources that score nothing do not count, as upstream has it.
      if (strategy_ == Strategy::kRequestedToCapacityRatio && one <= 0) continue;
      sum += resource.weight * one;
      weights += resource.weight;
    }
    if (weights == 0) return 0;
    return strategy_ == Strategy::kRequestedToCapacityRatio ? (2 * sum + weights) / (2 * weights)
                                                            : sum / weights;
  }

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode,
                              ClusterEvent::kAdd | ClusterEvent::kAllocatable) |
           ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod,
                              ClusterEvent::kDelete | ClusterEvent::kScaleDown);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    bool beyond = false;
    if (event.kind == ClusterEvent::Kind::kAssignedPod) {
      return !event.at || !event.at->node || room_on(*event.at, pod, event.can_preempt);
    }
    return misfits(pod, resources_of(event.node->status.allocatable), {}, 0, beyond).empty();
  }

 private:
  // Would it fit beside those it cannot preempt, and those nominated there?
  bool room_on(const NodeInfo& node, const PodInfo& pod, bool can_preempt) const {
    Resources used;
    size_t pods = 0;
    for (const auto& other : node.pods) {
      if (can_preempt && other->priority < pod.priority) continue;
      used.add(other->requests);
      ++pods;
    }
    for (const auto& other : node.nominated) {
      if (other->priority < pod.priority || other->uid() == pod.uid()) continue;
      used.add(other->requests);
      ++pods;
    }
    bool beyond = false;
    return misfits(pod, node.allocatable, used, pods, beyond).empty();
  }

  bool ignores(const std::string& name) const {
    if (ignored_.empty() && ignored_groups_.empty()) return false;
    return is_extended(name) &&
           (ignored_.contains(name) || ignored_groups_.contains(name.substr(0, name.find('/'))));
  }

  std::vector<std::string> misfits(const PodInfo& pod, const Resources& allocatable,
                                   const Resources& used, size_t pods, bool& beyond) const {
    std::vector<std::string> reasons;
    if (static_cast<int64_t>(pods) + 1 > allocatable.pods) reasons.emplace_back("Too many pods");
    const Resources& want = pod.requests;
    check("cpu", want.milli_cpu, used.milli_cpu, allocatable.milli_cpu, reasons, beyond);
    check("memory", want.memory_bytes, used.memory_bytes, allocatable.memory_bytes, reasons,
          beyond);
    check("ephemeral-storage", want.ephemeral_storage_bytes, used.ephemeral_storage_bytes,
          allocatable.ephemeral_storage_bytes, reasons, beyond);
    for (const auto& [name, amount] : want.scalar) {
      if (ignores(name)) continue;
      check(name, amount, amount_of(used, name), amount_of(allocatable, name), reasons, beyond);
    }
    return reasons;
  }

  int64_t score_of(int64_t used, int64_t asked, int64_t capacity) const {
    const bool beyond = asked > capacity || used > capacity - asked;
    const int64_t requested = beyond ? capacity : used + asked;
    switch (strategy_) {
      case Strategy::kLeastAllocated:
        return beyond ? 0 : percent_of(capacity - requested, capacity);
      case Strategy::kMostAllocated:
        return percent_of(requested, capacity);
      case Strategy::kRequestedToCapacityRatio:
        break;
    }
    return on_line(shape_, percent_of(requested, capacity));
  }

  const std::set<std::string> ignored_, ignored_groups_;
  const Strategy strategy_;
  const std::vector<ResourceWeight> resources_;
  std::vector<ShapePoint> shape_;
};

}  // namespace

std::unique_ptr<Plugin> make_node_resources_fit(const PluginContext& context) {
  return std::make_unique<NodeResourcesFit>(context.args);
}

}  // namespace orch::server::scheduler::plugins
