#include "server/controllers/pods.h"

#include <fmt/format.h>

#include "orch/api/codec.h"

namespace orch::server {

using namespace api;

bool is_terminal(const corev1::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}
bool is_active(const corev1::Pod& pod) {
  return !is_terminal(pod) && !pod.metadata.deletionTimestamp;
}

const corev1::PodCondition* find_condition(const corev1::Pod& pod, std::string_view type) {
  for (const auto& condition : pod.status.conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

bool is_ready(const corev1::Pod& pod) {
  const auto* ready = find_condition(pod, "Ready");
  return ready != nullptr && ready->status == "True";
}

std::optional<Micros> available_in(const corev1::Pod& pod, Seconds min_ready, WallTime now) {
  const auto* ready = find_condition(pod, "Ready");
  if (ready == nullptr || ready->status != "True" || min_ready.count() == 0) return std::nullopt;
  const Micros left = ready->lastTransitionTime.wall() + min_ready - now;
  if (left.count() <= 0) return std::nullopt;
  return left;
}

bool is_available(const corev1::Pod& pod, Seconds min_ready, WallTime now) {
  return is_ready(pod) && !available_in(pod, min_ready, now);
}

const metav1::OwnerReference* controller_of(const Object& object) {
  for (const auto& owner : object.metadata.ownerReferences) {
    if (owner.controller.value_or(false)) return &owner;
  }
  return nullptr;
}

bool is_controlled_by(const Object& object, const Object& owner) {
  const auto* controller = controller_of(object);
  return controller != nullptr && controller->uid == owner.metadata.uid;
}

metav1::OwnerReference make_controller_ref(const Object& owner) {
  metav1::OwnerReference reference;
  const TypeInfo& type = owner.type();
  reference.apiVersion = type.group.empty()
                             ? std::string(type.version)
                             : std::string(type.group) + "/" + std::string(type.version);
  reference.kind = std::string(type.kind);
  reference.name = owner.metadata.name;
  reference.uid = owner.metadata.uid;
  reference.controller = true;
  reference.blockOwnerDeletion = true;
  return reference;
}

corev1::Pod pod_from_template(const corev1::PodTemplateSpec& pod_template, const Object& owner) {
  corev1::Pod pod;
  pod.metadata.namespace_ = owner.metadata.namespace_;
  pod.metadata.generateName = owner.metadata.name + "-";
  pod.metadata.labels = pod_template.metadata.labels;
  pod.metadata.annotations = pod_template.metadata.annotations;
  pod.metadata.finalizers = pod_template.metadata.finalizers;
  pod.metadata.ownerReferences = {make_controller_ref(owner)};
  pod.spec = pod_template.spec;
  return pod;
}

namespace {

// The whole list is replaced under the uid precondition, so that a pod of the same name made
// meanwhile is not touched.
std::string owners_patch(const Object& object, std::vector<metav1::OwnerReference> owners) {
  metav1::ObjectMeta meta;
  meta.ownerReferences = std::move(owners);
  std::string list = "[";
  for (const auto& owner : meta.ownerReferences) {
    if (list.size() > 1) list += ",";
    list += to_json(owner);
  }
  list += "]";
  return fmt::format(R"({{"metadata":{{"uid":"{}","ownerReferences":{}}}}})", object.metadata.uid,
                     list);
}

}  // namespace

std::string adopt_patch(const Object& object, const Object& owner) {
  auto owners = object.metadata.ownerReferences;
  owners.push_back(make_controller_ref(owner));
  return owners_patch(object, std::move(owners));
}

std::string release_patch(const Object& object, const Object& owner) {
  std::vector<metav1::OwnerReference> owners;
  for (const auto& reference : object.metadata.ownerReferences) {
    if (reference.uid != owner.metadata.uid) owners.push_back(reference);
  }
  return owners_patch(object, std::move(owners));
}

std::string safe_encode(std::string_view digits) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (unsigned char c : digits) out.push_back(kAlphabet[c % kAlphabet.size()]);
  return out;
}

}  // namespace orch::server
