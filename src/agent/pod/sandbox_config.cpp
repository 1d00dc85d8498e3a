#include "agent/pod/sandbox_config.h"

#include <fmt/format.h>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr const char* kSeccompFolder = "/var/lib/kubelet/seccomp/";

PortMapping::Protocol protocol_of(const std::string& name) {
  if (name == "UDP") return PortMapping::Protocol::kUdp;
  if (name == "SCTP") return PortMapping::Protocol::kSctp;
  return PortMapping::Protocol::kTcp;
}

bool any_privileged(const corev1::Pod& pod) {
  auto privileged = [](const corev1::Container& c) {
    return c.securityContext && c.securityContext->privileged.value_or(false);
  };
  for (const auto& c : pod.spec.initContainers) {
    if (privileged(c)) return true;
  }
  for (const auto& c : pod.spec.containers) {
    if (privileged(c)) return true;
  }
  return false;
}

}  // namespace

NamespaceOptions pod_namespaces(const corev1::Pod& pod) {
  NamespaceOptions out;
  out.network = pod.spec.hostNetwork ? NamespaceMode::kNode : NamespaceMode::kPod;
  out.ipc = pod.spec.hostIPC ? NamespaceMode::kNode : NamespaceMode::kPod;
  out.pid = NamespaceMode::kContainer;
  if (pod.spec.hostPID) {
    out.pid = NamespaceMode::kNode;
  } else if (pod.spec.shareProcessNamespace.value_or(false)) {
    out.pid = NamespaceMode::kPod;
  }
  return out;
}

Result<SeccompProfile, Error> seccomp_profile(const corev1::SeccompProfile* profile,
                                              const SeccompProfile& fallback) {
  if (profile == nullptr) return fallback;
  if (profile->type == "Unconfined") return SeccompProfile{SeccompProfile::Type::kUnconfined, ""};
  if (profile->type == "RuntimeDefault") {
    return SeccompProfile{SeccompProfile::Type::kRuntimeDefault, ""};
  }
  if (profile->type != "Localhost") {
    return Err(Error{Error::Code::kConfig,
                     fmt::format("unknown seccomp profile type \"{}\"", profile->type)});
  }
  const std::string name = profile->localhostProfile.value_or("");
  bool bad = name.empty() || name.front() == '/';
  for (const auto& part : split(name, '/')) bad |= part == "..";
  if (bad) {
    return Err(Error{Error::Code::kConfig,
                     fmt::format("localhostProfile \"{}\" must be a path below the seccomp folder, "
                                 "without \"..\"",
                                 name)});
  }
  return SeccompProfile{SeccompProfile::Type::kLocalhost, kSeccompFolder + name};
}

Result<SandboxSpec, Error> make_sandbox_spec(const SandboxInput& input) {
  const corev1::Pod& pod = input.pod;
  SandboxSpec out;
  out.name = pod.metadata.name;
  out.namespace_ = pod.metadata.namespace_;
  out.uid = pod.metadata.uid;
  out.attempt = input.attempt;
  // Empty on the host network: the host's name stays.
  if (!pod.spec.hostNetwork) {
    out.hostname = pod_hostname(pod);
    const std::string domain = pod_host_domain(pod, input.cluster_domain);
    if (pod.spec.setHostnameAsFQDN.value_or(false) && !domain.empty()) {
      out.hostname += "." + domain;
      if (out.hostname.size() > 64) {
        return Err(Error{Error::Code::kConfig,
                         fmt::format("failed to construct FQDN from pod hostname and cluster "
                                     "domain, FQDN {} is too long (64 characters is the max, {} "
                                     "characters requested)",
                                     out.hostname, out.hostname.size())});
      }
    }
  }
  out.log_directory = input.log_directory;
  out.dns = input.dns;
  for (const auto& c : pod.spec.containers) {
    for (const auto& port : c.ports) {
      if (pod.spec.hostNetwork) continue;
      out.port_mappings.push_back(
          {protocol_of(port.protocol), port.containerPort, port.hostPort, port.hostIP});
    }
  }
  out.labels = pod.metadata.labels;
  out.labels[kPodNameLabel] = pod.metadata.name;
  out.labels[kPodNamespaceLabel] = pod.metadata.namespace_;
  out.labels[kPodUidLabel] = pod.metadata.uid;
  out.labels[kCreatedByLabel] = input.instance;
  out.annotations = pod.metadata.annotations;
  out.cgroup_parent = input.cgroup_parent;
  out.namespaces = pod_namespaces(pod);
  if (pod.spec.securityContext) {
    const auto& sc = *pod.spec.securityContext;
    for (const auto& sysctl : sc.sysctls) out.sysctls[sysctl.name] = sysctl.value;
    out.run_as_user = sc.runAsUser;
    out.run_as_group = sc.runAsGroup;
    if (!out.run_as_user) out.run_as_group.reset();  // CRI: a group needs a user
    out.supplemental_groups = sc.supplementalGroups;
    if (sc.fsGroup) out.supplemental_groups.push_back(*sc.fsGroup);
  }
  out.privileged = any_privileged(pod);
  out.runtime_handler = "";
  return out;
}

}  // namespace orch::agent
