// A container of a pod as the runtime is told to make it. Pure: what blocks (environment, volumes,
// the image's user) was found out before.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod/environment.h"
#include "agent/pod/pod_access.h"
#include "agent/pod/sandbox_config.h"
#include "agent/runtime.h"

namespace orch::agent {

struct ContainerInput {
  const corev1::Pod& pod;
  const corev1::Container& container;
  ContainerKind kind = ContainerKind::kMain;
  uint32_t restart_count = 0;
  SandboxSpec sandbox;
  std::string sandbox_id;
  std::string image_reference;  // what create_container names: id of the present image
  ImageView image;              // for runAsNonRoot
  Variables environment;
  std::vector<MountSpec> mounts;    // volumes, hosts file, termination log
  std::string target_container_id;  // ephemeral containers' targetContainerName
  bool seccomp_default = true;      // RuntimeDefault where no profile is named
  int64_t node_memory_bytes = 0;
  bool cgroup_v2 = false;
  std::string instance;
};
// Errors kConfig: `container has runAsNonRoot and image will run as root (pod: ..., container: x)`.
Result<ContainerSpec, Error> make_container_spec(const ContainerInput& input);

// "web/0.log" below the pod's log directory.
std::string container_log_path(const std::string& container, uint32_t restart_count);

}  // namespace orch::agent
