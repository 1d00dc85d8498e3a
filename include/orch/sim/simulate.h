// `orch simulate`: a whole control plane with hollow nodes in virtual time, for questions of
// capacity: do these workloads fit, where do they go, how long does it take.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orch/base/result.h"

namespace orch::sim {

struct SimulateConfig {
  uint32_t nodes = 0;  // made beside those of the files
  uint32_t pods = 0;   // in Deployments, made beside what the files say
  std::string node_cpu = "4", node_memory = "32Gi", node_pods = "110";
  std::string pod_cpu = "100m", pod_memory = "500Mi";
  uint32_t rate = 1000;            // pods a second (virtual) that the Deployments are made at
  std::vector<std::string> files;  // YAML or JSON
  uint64_t seed = 1;
};

// Runs it on this thread and returns the report. Error: a sentence naming the field, the file or
// the object.
Result<std::string, std::string> simulate(const SimulateConfig& config);

}  // namespace orch::sim
