// metrics.k8s.io/v1beta1 NodeMetrics and PodMetrics: computed, not stored.
#include "api/kinds/common.h"
#include "orch/api/metricsv1beta1.h"

namespace orch::api {
namespace {

using metricsv1beta1::NodeMetrics;
using metricsv1beta1::PodMetrics;

Quantity amount(const std::map<std::string, Quantity>& usage, const char* name) {
  const auto it = usage.find(name);
  return it == usage.end() ? Quantity() : it->second;
}

void describe(ResourceInfo& info) {
  info.verbs = {"get", "list"};
  info.stored = false;
  info.columns = {name_column(), column("cpu", "string", "CPU in use."),
                  column("memory", "string", "Memory in use."),
                  column("window", "string", "Length of the measurement.")};
}

}  // namespace

ResourceInfo node_metrics_resource() {
  auto info = stored_resource<NodeMetrics>("nodes", "", false);
  describe(info);
  info.row = [](const Object& object, WallTime) -> std::vector<Cell> {
    const auto& metrics = static_cast<const NodeMetrics&>(object);
    return {name_cell(object), text(amount(metrics.usage, "cpu").str()),
            text(amount(metrics.usage, "memory").str()), text(metrics.window.str())};
  };
  return info;
}

ResourceInfo pod_metrics_resource() {
  auto info = stored_resource<PodMetrics>("pods", "", true);
  describe(info);
  info.row = [](const Object& object, WallTime) -> std::vector<Cell> {
    const auto& metrics = static_cast<const PodMetrics&>(object);
    Quantity cpu, memory = Quantity::of_bytes(0);
    for (const auto& container : metrics.containers) {
      cpu += amount(container.usage, "cpu");
      memory += amount(container.usage, "memory");
    }
    return {name_cell(object), text(cpu.str()), text(memory.str()), text(metrics.window.str())};
  };
  return info;
}

}  // namespace orch::api
