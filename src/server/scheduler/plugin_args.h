// The arguments of the default plugins, as KubeSchedulerConfiguration's pluginConfig gives them
// (kubescheduler.config.k8s.io/v1: NodeResourcesFitArgs and its like), with upstream's defaults.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server::scheduler {

struct ResourceWeight {
  std::string name;
  int64_t weight = 1;
};

// A point of RequestedToCapacityRatio's line.
struct ShapePoint {
  int64_t utilization = 0;  // percent
  int64_t score = 0;        // 0 to 10
};

struct PluginArgs {
  enum class Strategy { kLeastAllocated, kMostAllocated, kRequestedToCapacityRatio };
  // NodeResourcesFit
  std::set<std::string> ignored_resources;        // extended ones the filter leaves to extenders
  std::set<std::string> ignored_resource_groups;  // the same by the part before the slash
  Strategy strategy = Strategy::kLeastAllocated;
  std::vector<ResourceWeight> fit_resources{{"cpu", 1}, {"memory", 1}};
  std::vector<ShapePoint> shape;
  // NodeResourcesBalancedAllocation
  std::vector<ResourceWeight> balanced_resources{{"cpu", 1}, {"memory", 1}};
  // NodeAffinity
  std::optional<api::corev1::NodeAffinity> added_affinity;
  // InterPodAffinity
  int64_t hard_pod_affinity_weight = 1;
  bool ignore_preferred_terms_of_existing_pods = false;
  // PodTopologySpread: the system's defaults, or the list
  bool default_spread_of_system = true;
  std::vector<api::corev1::TopologySpreadConstraint> default_constraints;
  // DefaultPreemption
  int64_t min_candidate_nodes_percentage = 10;
  int64_t min_candidate_nodes_absolute = 100;
  // VolumeBinding
  Seconds bind_timeout{600};
};

}  // namespace orch::server::scheduler
