#include "agent/pod/pod_access.h"

#include <fmt/format.h>

#include "orch/base/strings.h"

namespace orch::agent {

bool is_sidecar(const corev1::Container& c) { return c.restartPolicy == "Always"; }

corev1::Container to_container(const corev1::EphemeralContainer& e) {
  corev1::Container c;
  c.name = e.name;
  c.image = e.image;
  c.command = e.command;
  c.args = e.args;
  c.workingDir = e.workingDir;
  c.envFrom = e.envFrom;
  c.env = e.env;
  c.resources = e.resources;
  c.volumeMounts = e.volumeMounts;
  c.terminationMessagePath = e.terminationMessagePath;
  c.terminationMessagePolicy = e.terminationMessagePolicy;
  c.imagePullPolicy = e.imagePullPolicy;
  c.securityContext = e.securityContext;
  c.stdin = e.stdin;
  c.stdinOnce = e.stdinOnce;
  c.tty = e.tty;
  return c;
}

std::vector<PodContainer> all_containers(const corev1::Pod& pod) {
  std::vector<PodContainer> out;
  for (const auto& c : pod.spec.initContainers) {
    out.push_back({is_sidecar(c) ? ContainerKind::kSidecar : ContainerKind::kInit, c});
  }
  for (const auto& c : pod.spec.containers) out.push_back({ContainerKind::kMain, c});
  for (const auto& e : pod.spec.ephemeralContainers) {
    out.push_back({ContainerKind::kEphemeral, to_container(e)});
  }
  return out;
}

const corev1::Container* find_container(const corev1::Pod& pod, std::string_view name) {
  for (const auto& c : pod.spec.containers) {
    if (c.name == name) return &c;
  }
  for (const auto& c : pod.spec.initContainers) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

bool has_container(const corev1::Pod& pod, std::string_view name) {
  if (find_container(pod, name) != nullptr) return true;
  for (const auto& e : pod.spec.ephemeralContainers) {
    if (e.name == name) return true;
  }
  return false;
}

bool restarts_always(const corev1::Pod& pod) {
  return pod.spec.restartPolicy.empty() || pod.spec.restartPolicy == "Always";
}
bool restarts_never(const corev1::Pod& pod) { return pod.spec.restartPolicy == "Never"; }

bool is_terminal_phase(const corev1::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

std::string pod_dir_of(const std::string& agent_dir, const corev1::Pod& pod) {
  return agent_dir + "/pods/" + pod.metadata.uid;
}

std::string pod_log_dir_of(const std::string& agent_dir, const corev1::Pod& pod) {
  return fmt::format("{}/logs/pods/{}_{}_{}", agent_dir, pod.metadata.namespace_, pod.metadata.name,
                     pod.metadata.uid);
}

std::string format_pod(const corev1::Pod& pod) {
  return fmt::format("{}_{}({})", pod.metadata.name, pod.metadata.namespace_, pod.metadata.uid);
}

std::string container_field_path(ContainerKind kind, std::string_view name) {
  switch (kind) {
    case ContainerKind::kInit:
    case ContainerKind::kSidecar:
      return fmt::format("spec.initContainers{{{}}}", name);
    case ContainerKind::kEphemeral:
      return fmt::format("spec.ephemeralContainers{{{}}}", name);
    case ContainerKind::kMain:
      break;
  }
  return fmt::format("spec.containers{{{}}}", name);
}

std::string container_hash(const corev1::Container& c) {
  return fmt::format("{:x}", fnv1a32(c.name + "\n" + c.image));
}

int64_t grace_seconds_of(const corev1::Pod& pod) {
  return pod.spec.terminationGracePeriodSeconds.value_or(30);
}

}  // namespace orch::agent
