// What a PersistentVolumeClaim and a PersistentVolume say about each other, shared by admission,
// controllers, scheduler and agent. Rules as upstream's component-helpers/storage. Pure.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"     // generated
#include "orch/api/storagev1.h"  // generated

namespace orch::api {

// Annotations of claims and volumes.
inline constexpr const char* kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr const char* kBoundByController = "pv.kubernetes.io/bound-by-controller";
inline constexpr const char* kProvisionedBy = "pv.kubernetes.io/provisioned-by";
inline constexpr const char* kStorageProvisioner = "volume.kubernetes.io/storage-provisioner";
inline constexpr const char* kBetaStorageProvisioner =
    "volume.beta.kubernetes.io/storage-provisioner";
inline constexpr const char* kSelectedNode = "volume.kubernetes.io/selected-node";
inline constexpr const char* kBetaStorageClass = "volume.beta.kubernetes.io/storage-class";
inline constexpr const char* kDefaultClass = "storageclass.kubernetes.io/is-default-class";
// Finalizers.
inline constexpr const char* kClaimProtection = "kubernetes.io/pvc-protection";
inline constexpr const char* kVolumeProtection = "kubernetes.io/pv-protection";
// The built-in provisioner: volumes are directories on the selected node. Its name, the finalizer
// by which a volume waits for its node to delete the data, the annotation of volumes that names
// this node, and the annotation of nodes that names the directory they keep volumes in.
inline constexpr const char* kLocalPathProvisioner = "orch.local/local-path";
inline constexpr const char* kLocalPathFinalizer = "orch.local/local-path";
inline constexpr const char* kLocalPathNode = "orch.local/local-path-node";
inline constexpr const char* kLocalPathDirectory = "orch.local/local-path-directory";
inline constexpr const char* kNoProvisioner = "kubernetes.io/no-provisioner";

bool has_finalizer(const metav1::ObjectMeta& meta, std::string_view finalizer);
// "" = the annotation is not there.
std::string annotation(const metav1::ObjectMeta& meta, const std::string& key);

std::string class_of(const corev1::PersistentVolumeClaim& claim);
std::string class_of(const corev1::PersistentVolume& volume);
// Whether the claim says anything about its class, if only "".
bool has_class(const corev1::PersistentVolumeClaim& claim);
bool is_fully_bound(const corev1::PersistentVolumeClaim& claim);
// "Filesystem" where nothing is said.
bool same_volume_mode(const corev1::PersistentVolumeClaim& claim,
                      const corev1::PersistentVolume& volume);
bool has_access_modes(const corev1::PersistentVolumeClaim& claim,
                      const corev1::PersistentVolume& volume);
Quantity storage_of(const std::map<std::string, Quantity>& resources);
// The volume's claimRef means this claim, by name and (if it has one) uid.
bool is_bound_to(const corev1::PersistentVolume& volume,
                 const corev1::PersistentVolumeClaim& claim);
// The claimRef, uid and annotation that bind the volume to the claim.
void bind_volume(corev1::PersistentVolume& volume, const corev1::PersistentVolumeClaim& claim);

// Whether a volume that is not bound to anyone could serve the claim, access modes apart.
bool matches_unbound(const corev1::PersistentVolume& volume,
                     const corev1::PersistentVolumeClaim& claim);

// The newest class that says it is the default; nullptr = none.
std::shared_ptr<const storagev1::StorageClass> default_class_of(
    const std::vector<std::shared_ptr<const storagev1::StorageClass>>& classes);
bool waits_for_first_consumer(const storagev1::StorageClass& storage_class);

// The claim that a pod's volume uses; "" = none. Generic ephemeral volumes: "<pod>-<volume>".
std::string claim_name_of(const corev1::Pod& pod, const corev1::Volume& volume);
// "" when the pod is the owner that an ephemeral volume's claim must have, else why not.
std::string not_created_for(const corev1::Pod& pod, const corev1::PersistentVolumeClaim& claim);

}  // namespace orch::api
