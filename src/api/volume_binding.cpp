#include "orch/api/volume_binding.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/selector.h"

namespace orch::api {

using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;

bool has_finalizer(const metav1::ObjectMeta& meta, std::string_view finalizer) {
  return std::find(meta.finalizers.begin(), meta.finalizers.end(), finalizer) !=
         meta.finalizers.end();
}

std::string annotation(const metav1::ObjectMeta& meta, const std::string& key) {
  auto at = meta.annotations.find(key);
  return at == meta.annotations.end() ? "" : at->second;
}

std::string class_of(const PersistentVolumeClaim& claim) {
  auto beta = claim.metadata.annotations.find(kBetaStorageClass);
  if (beta != claim.metadata.annotations.end()) return beta->second;
  return claim.spec.storageClassName.value_or("");
}

std::string class_of(const PersistentVolume& volume) {
  auto beta = volume.metadata.annotations.find(kBetaStorageClass);
  if (beta != volume.metadata.annotations.end()) return beta->second;
  return volume.spec.storageClassName;
}

bool has_class(const PersistentVolumeClaim& claim) {
  return claim.spec.storageClassName.has_value() ||
         claim.metadata.annotations.count(kBetaStorageClass) != 0;
}

bool is_fully_bound(const PersistentVolumeClaim& claim) {
  return !claim.spec.volumeName.empty() && claim.metadata.annotations.count(kBindCompleted) != 0;
}

bool same_volume_mode(const PersistentVolumeClaim& claim, const PersistentVolume& volume) {
  return claim.spec.volumeMode.value_or("Filesystem") ==
         volume.spec.volumeMode.value_or("Filesystem");
}

bool has_access_modes(const PersistentVolumeClaim& claim, const PersistentVolume& volume) {
  const auto& offered = volume.spec.accessModes;
  return std::all_of(claim.spec.accessModes.begin(), claim.spec.accessModes.end(),
                     [&](const auto& mode) {
                       return std::find(offered.begin(), offered.end(), mode) != offered.end();
                     });
}

Quantity storage_of(const std::map<std::string, Quantity>& resources) {
  auto at = resources.find("storage");
  return at == resources.end() ? Quantity() : at->second;
}

bool is_bound_to(const PersistentVolume& volume, const PersistentVolumeClaim& claim) {
  const auto& ref = volume.spec.claimRef;
  return ref && ref->name == claim.metadata.name && ref->namespace_ == claim.metadata.namespace_ &&
         (ref->uid.empty() || ref->uid == claim.metadata.uid);
}

void bind_volume(PersistentVolume& volume, const PersistentVolumeClaim& claim) {
  if (!is_bound_to(volume, claim)) volume.metadata.annotations[kBoundByController] = "yes";
  if (volume.spec.claimRef && volume.spec.claimRef->uid == claim.metadata.uid &&
      is_bound_to(volume, claim)) {
    return;
  }
  auto& ref = volume.spec.claimRef.emplace();
  ref.kind = "PersistentVolumeClaim";
  ref.apiVersion = "v1";
  ref.namespace_ = claim.metadata.namespace_;
  ref.name = claim.metadata.name;
  ref.uid = claim.metadata.uid;
  ref.resourceVersion = claim.metadata.resourceVersion;
}

bool matches_unbound(const PersistentVolume& volume, const PersistentVolumeClaim& claim) {
  if (volume.spec.claimRef || volume.metadata.deletionTimestamp ||
      volume.status.phase != "Available" || class_of(volume) != class_of(claim) ||
      !same_volume_mode(claim, volume) ||
      claim.spec.volumeAttributesClassName.value_or("") !=
          volume.spec.volumeAttributesClassName.value_or("") ||
      storage_of(volume.spec.capacity) < storage_of(claim.spec.resources.requests)) {
    return false;
  }
  if (!claim.spec.selector) return true;
  auto selector = LabelSelector::from(*claim.spec.selector);
  return selector && selector->matches(volume.metadata.labels);
}

std::shared_ptr<const storagev1::StorageClass> default_class_of(
    const std::vector<std::shared_ptr<const storagev1::StorageClass>>& classes) {
  std::shared_ptr<const storagev1::StorageClass> best;
  for (const auto& candidate : classes) {
    if (annotation(candidate->metadata, kDefaultClass) != "true" &&
        annotation(candidate->metadata, "storageclass.beta.kubernetes.io/is-default-class") !=
            "true") {
      continue;
    }
    const auto age = [](const auto& c) { return c->metadata.creationTimestamp.unix_seconds; };
    if (!best || age(candidate) > age(best) ||
        (age(candidate) == age(best) && candidate->metadata.name < best->metadata.name)) {
      best = candidate;
    }
  }
  return best;
}

bool waits_for_first_consumer(const storagev1::StorageClass& storage_class) {
  return storage_class.volumeBindingMode.value_or("Immediate") == "WaitForFirstConsumer";
}

std::string claim_name_of(const corev1::Pod& pod, const corev1::Volume& volume) {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim->claimName;
  if (volume.ephemeral) return pod.metadata.name + "-" + volume.name;
  return "";
}

std::string not_created_for(const corev1::Pod& pod, const PersistentVolumeClaim& claim) {
  for (const auto& owner : claim.metadata.ownerReferences) {
    if (owner.controller.value_or(false) && owner.uid == pod.metadata.uid) return "";
  }
  return fmt::format("PVC {}/{} was not created for pod {}/{} (pod is not owner)",
                     claim.metadata.namespace_, claim.metadata.name, pod.metadata.namespace_,
                     pod.metadata.name);
}

}  // namespace orch::api
