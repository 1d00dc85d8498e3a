// The local-path provisioner's decisions. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "orch/api/volume_binding.h"

namespace orch::server {

struct ProvisionInput {
  const api::corev1::PersistentVolumeClaim& claim;
  std::shared_ptr<const api::storagev1::StorageClass> storage_class;
  std::shared_ptr<const api::corev1::Node> node;  // the selected one, if it is there
};

// What to do about a claim that waits for a volume of ours.
struct ProvisionDecision {
  enum class Do {
    kNothing,   // not ours, bound, or no node was selected yet
    kCreate,    // `volume`
    kRefuse,    // cannot be: `error`
    kReselect,  // the selected node is gone: the scheduler must choose again
  };
  Do action = Do::kNothing;
  std::optional<api::corev1::PersistentVolume> volume;
  std::string error;
};
ProvisionDecision decide_provision(const ProvisionInput& input);

// Whether the volume is one of ours whose claim is gone and that is to be deleted.
bool to_delete(const api::corev1::PersistentVolume& volume);

// The default StorageClass.
api::storagev1::StorageClass local_path_class();

}  // namespace orch::server
