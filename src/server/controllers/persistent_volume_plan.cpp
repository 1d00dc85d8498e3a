#include "server/controllers/persistent_volume_plan.h"

#include <fmt/format.h>

#include <tuple>

#include "orch/api/error.h"
#include "orch/base/strings.h"

namespace orch::server {

using namespace api;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using VolumePtr = std::shared_ptr<const PersistentVolume>;

namespace {

VolumePtr named(const ClaimInput& input, const std::string& name) {
  for (const auto& volume : input.volumes) {
    if (volume->metadata.name == name) return volume;
  }
  return nullptr;
}

VolumeEvent normal(std::string reason, std::string message) {
  return {"Normal", std::move(reason), std::move(message)};
}
VolumeEvent warning(std::string reason, std::string message) {
  return {"Warning", std::move(reason), std::move(message)};
}

VolumeEvent waits(const ClaimInput& input) {
  if (input.waiting_pods.empty()) {
    return normal("WaitForFirstConsumer",
                  "waiting for first consumer to be created before binding");
  }
  return normal("WaitForPodScheduled", fmt::format("waiting for pod{} {} to be scheduled",
                                                   input.waiting_pods.size() > 1 ? "s" : "",
                                                   join(input.waiting_pods, ",")));
}

ClaimDecision provision(const ClaimInput& input) {
  ClaimDecision out;
  const std::string name = class_of(input.claim);
  if (!input.storage_class) {
    out.action = ClaimDecision::Do::kPending;
    out.event = warning("ProvisioningFailed",
                        fmt::format("storageclass.storage.k8s.io {} not found", go_quoted(name)));
    return out;
  }
  const std::string& provisioner = input.storage_class->provisioner;
  if (provisioner.starts_with("kubernetes.io/")) {  // in-tree plugins are no more
    out.action = ClaimDecision::Do::kPending;
    out.event = warning("ProvisioningFailed", "no volume plugin matched name: " + provisioner);
    return out;
  }
  out.action = ClaimDecision::Do::kProvision;
  out.provisioner = provisioner;
  out.event = normal(
      "ExternalProvisioning",
      fmt::format("Waiting for a volume to be created either by the external provisioner '{}' or "
                  "manually by the system administrator. If volume creation is delayed, please "
                  "verify that the provisioner is running and correctly registered.",
                  provisioner));
  return out;
}

ClaimDecision bind_to(VolumePtr volume) {
  ClaimDecision out;
  out.action = ClaimDecision::Do::kBind;
  out.volume = std::move(volume);
  return out;
}

ClaimDecision pending(std::optional<VolumeEvent> event = {}) {
  ClaimDecision out;
  out.action = ClaimDecision::Do::kPending;
  out.event = std::move(event);
  return out;
}

ClaimDecision decide_free(const ClaimInput& input) {
  const auto& claim = input.claim;
  const bool delayed = input.storage_class && waits_for_first_consumer(*input.storage_class);
  if (auto volume = find_volume(input, delayed)) return bind_to(std::move(volume));
  if (!has_class(claim) && input.default_class) {
    ClaimDecision out;
    out.action = ClaimDecision::Do::kAssignClass;
    out.storage_class = input.default_class->metadata.name;
    return out;
  }
  if (delayed && annotation(claim.metadata, kSelectedNode).empty()) return pending(waits(input));
  if (!class_of(claim).empty()) return provision(input);
  return pending(
      normal("FailedBinding",
             "no persistent volumes available for this claim and no storage class is set"));
}

ClaimDecision decide_named(const ClaimInput& input) {
  const auto& claim = input.claim;
  auto volume = named(input, claim.spec.volumeName);
  if (!volume) return pending();
  if (!volume->spec.claimRef) {
    const std::string why = unfit(*volume, claim);
    if (why.empty()) return bind_to(std::move(volume));
    return pending(warning("VolumeMismatch", fmt::format("Cannot bind to requested volume {}: {}",
                                                         go_quoted(volume->metadata.name), why)));
  }
  if (is_bound_to(*volume, claim)) return bind_to(std::move(volume));
  return pending(
      warning("FailedBinding", fmt::format("volume {} already bound to a different claim.",
                                           go_quoted(volume->metadata.name))));
}

ClaimDecision lost(std::string reason, std::string message) {
  ClaimDecision out;
  out.action = ClaimDecision::Do::kLost;
  out.event = warning(std::move(reason), std::move(message));
  return out;
}

ClaimDecision decide_bound(const ClaimInput& input) {
  const auto& claim = input.claim;
  if (claim.spec.volumeName.empty()) {
    return lost("ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
  }
  auto volume = named(input, claim.spec.volumeName);
  if (!volume) {
    return lost("ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
  }
  const auto& ref = volume->spec.claimRef;
  if (!ref || is_bound_to(*volume, claim) || ref->uid == claim.metadata.uid) {
    ClaimDecision out = bind_to(std::move(volume));
    if (claim.status.phase == "Bound" &&
        storage_of(claim.spec.resources.requests) > storage_of(claim.status.capacity)) {
      out.event = VolumeEvent{out.volume->spec.csi ? "Normal" : "Warning", "ExternalExpanding",
                              "waiting for an external controller to expand this PVC"};
    }
    return out;
  }
  return lost("ClaimMisbound",
              "Two claims are bound to the same volume, this one is bound incorrectly");
}

}  // namespace

VolumePtr find_volume(const ClaimInput& input, bool reserved_only) {
  const auto& claim = input.claim;
  VolumePtr best;
  const auto rank = [](const PersistentVolume& volume) {
    return std::tuple(volume.spec.accessModes.size(), storage_of(volume.spec.capacity));
  };
  for (const auto& volume : input.volumes) {
    if (!has_access_modes(claim, *volume)) continue;
    if (is_bound_to(*volume, claim)) {
      if (!volume->metadata.deletionTimestamp && same_volume_mode(claim, *volume) &&
          storage_of(volume->spec.capacity) >= storage_of(claim.spec.resources.requests)) {
        return volume;
      }
      continue;
    }
    if (reserved_only || !matches_unbound(*volume, claim)) continue;
    if (!best || rank(*volume) < rank(*best)) best = volume;
  }
  return best;
}

std::string unfit(const PersistentVolume& volume, const PersistentVolumeClaim& claim) {
  if (volume.metadata.deletionTimestamp) {
    return fmt::format("the volume is marked for deletion {}", go_quoted(volume.metadata.name));
  }
  if (storage_of(volume.spec.capacity) < storage_of(claim.spec.resources.requests)) {
    return "requested PV is too small";
  }
  if (class_of(volume) != class_of(claim)) return "storageClassName does not match";
  if (claim.spec.volumeAttributesClassName.value_or("") !=
      volume.spec.volumeAttributesClassName.value_or("")) {
    return "volumeAttributesClassName does not match";
  }
  if (!same_volume_mode(claim, volume)) return "incompatible volumeMode";
  if (!has_access_modes(claim, volume)) return "incompatible accessMode";
  return "";
}

ClaimDecision decide_claim(const ClaimInput& input) {
  if (input.claim.metadata.annotations.count(kBindCompleted) != 0) return decide_bound(input);
  return input.claim.spec.volumeName.empty() ? decide_free(input) : decide_named(input);
}

void bind_claim(PersistentVolumeClaim& claim, const PersistentVolume& volume) {
  if (claim.spec.volumeName != volume.metadata.name) {
    claim.spec.volumeName = volume.metadata.name;
    claim.metadata.annotations[kBoundByController] = "yes";
  }
  claim.metadata.annotations[kBindCompleted] = "yes";
}

void set_claim_status(PersistentVolumeClaim& claim, const std::string& phase,
                      const PersistentVolume* volume) {
  auto& status = claim.status;
  if (volume == nullptr) {
    status.accessModes.clear();
    status.capacity.clear();
    status.currentVolumeAttributesClassName.reset();
  } else {
    status.accessModes = volume->spec.accessModes;
    // A difference of a bound claim may be on purpose: the file system was not grown yet.
    if (phase == "Bound" && status.phase != "Bound") status.capacity = volume->spec.capacity;
    status.currentVolumeAttributesClassName = volume->spec.volumeAttributesClassName;
  }
  status.phase = phase;
}

// ---- volumes ----

namespace {

VolumeDecision phase_is(std::string phase) {
  VolumeDecision out;
  out.action = VolumeDecision::Do::kPhase;
  out.phase = std::move(phase);
  return out;
}

VolumeDecision failed(std::string reason, std::string message) {
  VolumeDecision out = phase_is("Failed");
  out.message = message;
  out.event = warning(std::move(reason), std::move(message));
  return out;
}

// The claim is gone: what the reclaim policy says.
VolumeDecision reclaim(const PersistentVolume& volume) {
  const auto& meta = volume.metadata;
  const std::string& policy = volume.spec.persistentVolumeReclaimPolicy;
  const bool settled = volume.status.phase == "Released" || volume.status.phase == "Failed";
  if (!settled) return phase_is("Released");
  if (policy == "Retain") return {};
  if (policy == "Recycle") {
    return failed("VolumeFailedRecycle", "No recycler plugin found for the volume!");
  }
  if (policy != "Delete") {
    return failed("VolumeUnknownReclaimPolicy",
                  "Volume has unrecognized PersistentVolumeReclaimPolicy");
  }
  // Whoever made it deletes it.
  if (meta.deletionTimestamp || !annotation(meta, kProvisionedBy).empty()) return {};
  if (volume.spec.csi) return {};
  if (volume.spec.hostPath) {
    return failed("VolumeFailedDelete",
                  "host_path deleter only supports /tmp/.+ but received provided " +
                      volume.spec.hostPath->path);
  }
  return failed("VolumeFailedDelete",
                fmt::format("error getting deleter volume plugin for volume {}: no deletable "
                            "volume plugin matched",
                            go_quoted(meta.name)));
}

}  // namespace

VolumeDecision decide_volume(const VolumeInput& input) {
  const auto& volume = input.volume;
  const auto& ref = volume.spec.claimRef;
  // Without a uid it is reserved for a claim that takes it by itself.
  if (!ref || ref->uid.empty()) return phase_is("Available");
  const auto* claim = input.claim.get();
  if (claim == nullptr || claim->metadata.uid != ref->uid) return reclaim(volume);
  if (claim->spec.volumeName.empty()) {
    if (same_volume_mode(*claim, volume)) return {};  // the claim finishes what was begun
    VolumeDecision out;
    out.event = warning("VolumeMismatch",
                        fmt::format("Cannot bind PersistentVolume to requested "
                                    "PersistentVolumeClaim {} due to incompatible volumeMode.",
                                    go_quoted(claim->metadata.name)));
    out.claim_event = warning("VolumeMismatch",
                              fmt::format("Cannot bind PersistentVolume {} to requested "
                                          "PersistentVolumeClaim due to incompatible volumeMode.",
                                          go_quoted(volume.metadata.name)));
    return out;
  }
  if (claim->spec.volumeName == volume.metadata.name) return phase_is("Bound");
  // The claim is bound elsewhere.
  if (!annotation(volume.metadata, kProvisionedBy).empty() &&
      volume.spec.persistentVolumeReclaimPolicy == "Delete") {
    return reclaim(volume);
  }
  VolumeDecision out;
  out.action = VolumeDecision::Do::kUnbind;
  return out;
}

void unbind_volume(PersistentVolume& volume) {
  if (volume.metadata.annotations.erase(kBoundByController) != 0) {
    volume.spec.claimRef.reset();
  } else if (volume.spec.claimRef) {
    volume.spec.claimRef->uid.clear();
  }
}

void set_volume_status(PersistentVolume& volume, const std::string& phase,
                       const std::string& message, WallTime now) {
  if (volume.status.phase != phase) volume.status.lastPhaseTransitionTime = Time(now);
  volume.status.phase = phase;
  volume.status.message = message;
}

}  // namespace orch::server
