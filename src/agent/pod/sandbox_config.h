// A pod as a sandbox for the runtime. Pure.
#pragma once

#include <string>

#include "agent/pod/dns.h"
#include "agent/pod/pod_access.h"
#include "agent/runtime.h"

namespace orch::agent {

// Labels and annotations by which state is found again in the runtime.
inline constexpr const char* kPodNameLabel = "io.kubernetes.pod.name";
inline constexpr const char* kPodNamespaceLabel = "io.kubernetes.pod.namespace";
inline constexpr const char* kPodUidLabel = "io.kubernetes.pod.uid";
inline constexpr const char* kContainerNameLabel = "io.kubernetes.container.name";
inline constexpr const char* kHashAnnotation = "io.kubernetes.container.hash";
inline constexpr const char* kRestartCountAnnotation = "io.kubernetes.container.restartCount";
inline constexpr const char* kTerminationPathAnnotation =
    "io.kubernetes.container.terminationMessagePath";
inline constexpr const char* kTerminationPolicyAnnotation =
    "io.kubernetes.container.terminationMessagePolicy";
inline constexpr const char* kGraceAnnotation = "io.kubernetes.pod.terminationGracePeriod";
inline constexpr const char* kCreatedByLabel = "orch.local/instance";

struct SandboxInput {
  const corev1::Pod& pod;
  uint32_t attempt = 0;
  std::string log_directory;
  std::string cgroup_parent;
  DnsConfig dns;
  std::string instance;  // whose sandbox this is, when several agents share a runtime
  std::string cluster_domain;
};
Result<SandboxSpec, Error> make_sandbox_spec(const SandboxInput& input);

NamespaceOptions pod_namespaces(const corev1::Pod& pod);
// Pod-level and container-level seccomp to a runtime profile. Error: a Localhost profile whose path
// is empty, absolute or leaves the profile folder.
Result<SeccompProfile, Error> seccomp_profile(const corev1::SeccompProfile* profile,
                                              const SeccompProfile& fallback);

}  // namespace orch::agent
