// What several controllers ask of Pods and their owners. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"
#include "orch/client/events.h"

namespace orch::server {

// Neither finished nor being deleted.
bool is_active(const api::corev1::Pod& pod);
bool is_terminal(const api::corev1::Pod& pod);  // Succeeded or Failed
const api::corev1::PodCondition* find_condition(const api::corev1::Pod& pod, std::string_view type);
bool is_ready(const api::corev1::Pod& pod);
// Ready for at least this long.
bool is_available(const api::corev1::Pod& pod, Seconds min_ready, WallTime now);
// When the pod will become available if nothing changes; nullopt: it is, or not before it is Ready.
std::optional<Micros> available_in(const api::corev1::Pod& pod, Seconds min_ready, WallTime now);

const api::metav1::OwnerReference* controller_of(const api::Object& object);
bool is_controlled_by(const api::Object& object, const api::Object& owner);
api::metav1::OwnerReference make_controller_ref(const api::Object& owner);

// A pod of the template, owned by `owner`, named by generateName "<owner>-".
api::corev1::Pod pod_from_template(const api::corev1::PodTemplateSpec& pod_template,
                                   const api::Object& owner);
// The merge patch that makes (or, with release, no longer makes) `owner` the pod's controller.
std::string adopt_patch(const api::Object& object, const api::Object& owner);
std::string release_patch(const api::Object& object, const api::Object& owner);

// Kubernetes' alphabet for hashes in names (rand.SafeEncodeString).
std::string safe_encode(std::string_view digits);

}  // namespace orch::server
