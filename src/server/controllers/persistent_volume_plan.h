// The binder's decisions: what a claim or a volume needs next. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/volume_binding.h"
#include "orch/base/clock.h"

namespace orch::server {

struct VolumeEvent {
  std::string type, reason, message;
};

// ---- claims ----

struct ClaimInput {
  const api::corev1::PersistentVolumeClaim& claim;
  // Every volume of the cluster; of a claim that names one, at least that.
  std::vector<std::shared_ptr<const api::corev1::PersistentVolume>> volumes;
  std::shared_ptr<const api::storagev1::StorageClass>
      storage_class;  // of the claim, if it is there
  std::shared_ptr<const api::storagev1::StorageClass> default_class;
  std::vector<std::string> waiting_pods;  // that use the claim and have no node
};

struct ClaimDecision {
  enum class Do {
    kNothing,
    kPending,      // status Pending
    kBind,         // to `volume`
    kLost,         // status Lost
    kAssignClass,  // `storage_class` is the default and becomes the claim's
    kProvision,    // ask `provisioner` for a volume
  };
  Do action = Do::kNothing;
  std::shared_ptr<const api::corev1::PersistentVolume> volume;
  std::string storage_class, provisioner;
  std::optional<VolumeEvent> event;
};
ClaimDecision decide_claim(const ClaimInput& input);

// The best volume for the claim among those that nobody uses: one reserved for it, else the
// smallest, with as few access modes beyond those asked for as possible. reserved_only: a class
// that waits for the first consumer leaves the choice to the scheduler.
std::shared_ptr<const api::corev1::PersistentVolume> find_volume(const ClaimInput& input,
                                                                 bool reserved_only);
// "" when the volume may serve the claim that asked for it by name, else why not.
std::string unfit(const api::corev1::PersistentVolume& volume,
                  const api::corev1::PersistentVolumeClaim& claim);

// The claim bound to the volume.
void bind_claim(api::corev1::PersistentVolumeClaim& claim,
                const api::corev1::PersistentVolume& volume);
// The claim's status in `phase`; volume: what it is bound to, or null.
void set_claim_status(api::corev1::PersistentVolumeClaim& claim, const std::string& phase,
                      const api::corev1::PersistentVolume* volume);

// ---- volumes ----

struct VolumeInput {
  const api::corev1::PersistentVolume& volume;
  // The claim that the claimRef names, if there is one of this name.
  std::shared_ptr<const api::corev1::PersistentVolumeClaim> claim;
};

struct VolumeDecision {
  enum class Do {
    kNothing,
    kPhase,   // status `phase`
    kUnbind,  // take the claimRef back, then Available
  };
  Do action = Do::kNothing;
  std::string phase, message;
  std::optional<VolumeEvent> event;  // about the volume, when the phase changes (kPhase) or always
  std::optional<VolumeEvent> claim_event;
};
VolumeDecision decide_volume(const VolumeInput& input);

void unbind_volume(api::corev1::PersistentVolume& volume);
void set_volume_status(api::corev1::PersistentVolume& volume, const std::string& phase,
                       const std::string& message, WallTime now);

}  // namespace orch::server
