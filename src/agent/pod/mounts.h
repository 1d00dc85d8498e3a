// What is mounted into a container: its volumes with subPath, the hosts file, the termination
// message file. Makes binds and files below the pod's directory; blocks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/pod/environment.h"
#include "agent/pod/pod_access.h"
#include "agent/runtime.h"

namespace orch::agent {

struct MountsInput {
  const corev1::Pod& pod;
  const corev1::Container& container;
  uint32_t restart_count = 0;
  std::string pod_dir;
  std::map<std::string, std::string> volume_paths;  // by volume name
  Variables environment;                            // for subPathExpr
  std::vector<std::string> pod_ips;
  std::string cluster_domain;
};
Result<std::vector<MountSpec>, Error> make_mounts(const MountsInput& input);

}  // namespace orch::agent
