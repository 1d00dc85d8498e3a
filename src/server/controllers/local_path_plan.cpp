#include "server/controllers/local_path_plan.h"

#include <fmt/format.h>

#include "orch/api/error.h"

namespace orch::server {

using namespace api;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;

namespace {

constexpr const char* kHostname = "kubernetes.io/hostname";

ProvisionDecision refuse(std::string why) {
  ProvisionDecision out;
  out.action = ProvisionDecision::Do::kRefuse;
  out.error = std::move(why);
  return out;
}

std::string unsupported(const PersistentVolumeClaim& claim) {
  if (claim.spec.volumeMode.value_or("Filesystem") != "Filesystem") {
    return "only volumes of mode Filesystem are supported";
  }
  if (claim.spec.selector) return "claim.spec.selector is not supported";
  if (claim.spec.dataSource || claim.spec.dataSourceRef) return "data sources are not supported";
  for (const auto& mode : claim.spec.accessModes) {
    if (mode != "ReadWriteOnce" && mode != "ReadWriteOncePod") {
      return fmt::format(
          "access mode {} is not supported: only ReadWriteOnce and "
          "ReadWriteOncePod are",
          mode);
    }
  }
  return "";
}

PersistentVolume volume_for(const PersistentVolumeClaim& claim,
                            const storagev1::StorageClass& storage_class, const corev1::Node& node,
                            const std::string& directory) {
  PersistentVolume volume;
  volume.metadata.name = "pvc-" + claim.metadata.uid;
  volume.metadata.annotations = {{kProvisionedBy, kLocalPathProvisioner},
                                 {kLocalPathNode, node.metadata.name}};
  volume.metadata.finalizers = {kLocalPathFinalizer};
  auto& spec = volume.spec;
  spec.capacity["storage"] = storage_of(claim.spec.resources.requests);
  spec.accessModes = claim.spec.accessModes;
  spec.persistentVolumeReclaimPolicy = storage_class.reclaimPolicy.value_or("Delete");
  spec.storageClassName = storage_class.metadata.name;
  spec.volumeMode = "Filesystem";
  spec.local.emplace().path = directory + "/" + volume.metadata.name;
  bind_volume(volume, claim);
  // Reserved by whoever made it, not by the binder.
  volume.metadata.annotations.erase(kBoundByController);
  auto& term = spec.nodeAffinity.emplace().required.emplace().nodeSelectorTerms.emplace_back();
  auto& requirement = term.matchExpressions.emplace_back();
  requirement.key = kHostname;
  requirement.operator_ = "In";
  auto hostname = node.metadata.labels.find(kHostname);
  requirement.values = {hostname == node.metadata.labels.end() ? node.metadata.name
                                                               : hostname->second};
  return volume;
}

}  // namespace

ProvisionDecision decide_provision(const ProvisionInput& input) {
  const auto& claim = input.claim;
  if (!claim.spec.volumeName.empty() || claim.metadata.deletionTimestamp ||
      annotation(claim.metadata, kStorageProvisioner) != kLocalPathProvisioner ||
      !input.storage_class || input.storage_class->provisioner != kLocalPathProvisioner) {
    return {};
  }
  const std::string selected = annotation(claim.metadata, kSelectedNode);
  if (selected.empty()) {
    if (waits_for_first_consumer(*input.storage_class)) return {};
    return refuse("the StorageClass must have volumeBindingMode WaitForFirstConsumer");
  }
  if (auto why = unsupported(claim); !why.empty()) return refuse(std::move(why));
  ProvisionDecision out;
  if (!input.node) {
    out.action = ProvisionDecision::Do::kReselect;
    return out;
  }
  const std::string directory = annotation(input.node->metadata, kLocalPathDirectory);
  if (directory.empty() || directory.front() != '/') {
    return refuse(fmt::format("node {} offers no directory for volumes", go_quoted(selected)));
  }
  out.action = ProvisionDecision::Do::kCreate;
  out.volume = volume_for(claim, *input.storage_class, *input.node, directory);
  return out;
}

bool to_delete(const PersistentVolume& volume) {
  return annotation(volume.metadata, kProvisionedBy) == kLocalPathProvisioner &&
         !volume.metadata.deletionTimestamp && volume.status.phase == "Released" &&
         volume.spec.persistentVolumeReclaimPolicy == "Delete";
}

storagev1::StorageClass local_path_class() {
  storagev1::StorageClass out;
  out.metadata.name = "local-path";
  out.metadata.annotations[kDefaultClass] = "true";
  out.provisioner = kLocalPathProvisioner;
  out.reclaimPolicy = "Delete";
  out.volumeBindingMode = "WaitForFirstConsumer";
  return out;
}

}  // namespace orch::server
