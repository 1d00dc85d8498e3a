// The pieces of a PodSpec's validation. Field paths and texts as upstream. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/kinds/checks.h"
#include "api/validation/formats.h"
#include "api/validation/go_value.h"

namespace orch::api {

// Volumes that are right, by name: what may be mounted.
using KnownVolumes = std::map<std::string, const corev1::Volume*>;
KnownVolumes validate_volumes(const std::vector<corev1::Volume>& volumes, const std::string& path,
                              FieldErrors& errors);

// spec.containers, spec.initContainers and spec.ephemeralContainers.
void validate_all_containers(const corev1::PodSpec& spec, const KnownVolumes& volumes,
                             const std::string& path, FieldErrors& errors);

// Pieces of containers.
void validate_container_ports(const std::vector<corev1::ContainerPort>& ports,
                              const std::string& path, FieldErrors& errors);
void validate_environment(const corev1::Container& container, const std::string& path,
                          FieldErrors& errors);
void validate_mounts(const corev1::Container& container, const KnownVolumes& volumes,
                     const std::string& path, FieldErrors& errors);
void validate_container_resources(const corev1::ResourceRequirements& resources,
                                  const std::set<std::string>& claims, const std::string& path,
                                  FieldErrors& errors);
void validate_probes(const corev1::Container& container, int64_t grace_seconds,
                     const std::string& path, FieldErrors& errors);
void validate_lifecycle(const corev1::Container& container, int64_t grace_seconds,
                        const std::string& path, FieldErrors& errors);

// The field of a Pod that an environment variable or a file shows.
enum class DownwardUse : uint8_t { kEnvironment, kVolume };
void validate_field_reference(const corev1::ObjectFieldSelector& field, DownwardUse use,
                              const std::string& path, FieldErrors& errors);
void validate_resource_reference(const corev1::ResourceFieldSelector& field, DownwardUse use,
                                 const std::string& path, FieldErrors& errors);

void validate_security_context(const corev1::SecurityContext& context, const std::string& path,
                               FieldErrors& errors);
void validate_pod_security_context(const corev1::PodSpec& spec, const std::string& path,
                                   FieldErrors& errors);

void validate_affinity(const corev1::Affinity& affinity, const std::string& path,
                       FieldErrors& errors);
void validate_spreading(const std::vector<corev1::TopologySpreadConstraint>& constraints,
                        const std::string& path, FieldErrors& errors);

// An ephemeral container as the container it runs as.
corev1::Container common_container(const corev1::EphemeralContainerCommon& ephemeral);

// Given and not among the supported; empty is a missing value.
void validate_choice(const std::string& value, const std::string& path,
                     std::initializer_list<std::string_view> supported, FieldErrors& errors);
// Of users and groups.
void validate_id(int64_t id, const std::string& path, FieldErrors& errors);
// What a Pod asks beyond its templates: neither created nor updated otherwise.
void validate_images(const corev1::PodSpec& spec, FieldErrors& errors);
void validate_pod_update(const corev1::Pod& now, const corev1::Pod& old, FieldErrors& errors);
void validate_pod_status(const corev1::Pod& now, const corev1::Pod& old, FieldErrors& errors);

}  // namespace orch::api
