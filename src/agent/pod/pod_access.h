// Small views on a Pod that many files here need. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"  // generated

namespace orch::agent {

namespace corev1 = api::corev1;

enum class ContainerKind : uint8_t { kInit, kSidecar, kMain, kEphemeral };

// A container of the pod with its kind. Ephemeral ones are copied into Container form.
struct PodContainer {
  ContainerKind kind;
  corev1::Container spec;
};

bool is_sidecar(const corev1::Container& init_container);  // restartPolicy: Always
// All containers in start order: init and sidecars, main, ephemeral.
std::vector<PodContainer> all_containers(const corev1::Pod& pod);
// nullptr when there is none of that name among init and main containers.
const corev1::Container* find_container(const corev1::Pod& pod, std::string_view name);
// Ephemeral containers too.
bool has_container(const corev1::Pod& pod, std::string_view name);
corev1::Container to_container(const corev1::EphemeralContainer& ephemeral);

bool restarts_always(const corev1::Pod& pod);
bool restarts_never(const corev1::Pod& pod);
bool is_terminal_phase(const corev1::Pod& pod);  // status.phase Succeeded or Failed
// Below <data dir>/agent: what belongs to the pod, and its containers' logs.
std::string pod_dir_of(const std::string& agent_dir, const corev1::Pod& pod);
std::string pod_log_dir_of(const std::string& agent_dir, const corev1::Pod& pod);
// "name_namespace(uid)", as messages of the kubelet name pods.
std::string format_pod(const corev1::Pod& pod);
// "spec.containers{web}": the fieldPath of a container's events.
std::string container_field_path(ContainerKind kind, std::string_view name);
// What a restart of the agent compares: changes when the container must be replaced.
std::string container_hash(const corev1::Container& container);
// spec.terminationGracePeriodSeconds or 30.
int64_t grace_seconds_of(const corev1::Pod& pod);

}  // namespace orch::agent
