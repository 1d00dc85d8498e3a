// NodeResourcesFit: requests fit into what is allocatable and not yet requested; scores the least
// allocated nodes highest.
#include <fmt/format.h>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

int64_t amount_of(const Resources& resources, const std::string& name) {
  auto at = resources.scalar.find(name);
  return at == resources.scalar.end() ? 0 : at->second;
}

// Appends why `wanted` does not fit beside `used`; `beyond`: not even on the empty node.
void check(std::string_view resource, int64_t wanted, int64_t used, int64_t allocatable,
           std::vector<std::string>& reasons, bool& beyond) {
  if (wanted <= 0 || wanted <= allocatable - used) return;
  reasons.push_back(fmt::format("Insufficient {}", resource));
  if (wanted > allocatable) beyond = true;
}

std::vector<std::string> misfits(const PodInfo& pod, const Resources& allocatable,
                                 const Resources& used, size_t pods, bool& beyond) {
  std::vector<std::string> reasons;
  if (static_cast<int64_t>(pods) + 1 > allocatable.pods) reasons.push_back("Too many pods");
  const Resources& want = pod.requests;
  check("cpu", want.milli_cpu, used.milli_cpu, allocatable.milli_cpu, reasons, beyond);
  check("memory", want.memory_bytes, used.memory_bytes, allocatable.memory_bytes, reasons, beyond);
  check("ephemeral-storage", want.ephemeral_storage_bytes, used.ephemeral_storage_bytes,
        allocatable.ephemeral_storage_bytes, reasons, beyond);
  for (const auto& [name, amount] : want.scalar) {
    check(name, amount, amount_of(used, name), amount_of(allocatable, name), reasons, beyond);
  }
  return reasons;
}

int64_t least_allocated(int64_t requested, int64_t capacity) {
  if (requested > capacity) return 0;
  return (capacity - requested) * kScoreMax / capacity;
}

class NodeResourcesFit final : public Filter, public Score {
 public:
  std::string_view name() const override { return "NodeResourcesFit"; }

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
    auto add = [&](int64_t requested, int64_t capacity) {
      if (capacity == 0) return;
      sum += least_allocated(requested, capacity);
      ++weights;
    };
    add(node.nonzero_milli_cpu + pod.nonzero_milli_cpu, node.allocatable.milli_cpu);
    add(node.nonzero_memory_bytes + pod.nonzero_memory_bytes, node.allocatable.memory_bytes);
    return weights == 0 ? 0 : sum / weights;
  }

  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind == ClusterEvent::Kind::kAssignedPod) {
      return event.has(ClusterEvent::kDelete | ClusterEvent::kScaleDown);
    }
    if (!event.has(ClusterEvent::kAdd | ClusterEvent::kAllocatable)) return false;
    bool beyond = false;
    return misfits(pod, resources_of(event.node->status.allocatable), {}, 0, beyond).empty();
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_resources_fit(const client::Client&) {
  return std::make_unique<NodeResourcesFit>();
}

}  // namespace orch::server::scheduler::plugins
