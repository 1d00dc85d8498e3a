// SchedulingGates (KEP-3521): a pod with gates is not even tried.
#include <fmt/format.h>

#include "orch/base/strings.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class SchedulingGates final : public PreEnqueue {
 public:
  std::string_view name() const override { return "SchedulingGates"; }
  Status pre_enqueue(const corev1::Pod& pod) const override {
    if (pod.spec.schedulingGates.empty()) return Status::success();
    std::vector<std::string> gates;
    for (const auto& gate : pod.spec.schedulingGates) gates.push_back(gate.name);
    return Status::unresolvable(
        fmt::format("waiting for scheduling gates: [{}]", join(gates, " ")));
  }
  // Only an update of the pod itself takes its gates off.
  ClusterEvent::Mask interests() const override { return 0; }
};

}  // namespace

std::unique_ptr<Plugin> make_scheduling_gates(const PluginContext&) {
  return std::make_unique<SchedulingGates>();
}

}  // namespace orch::server::scheduler::plugins
