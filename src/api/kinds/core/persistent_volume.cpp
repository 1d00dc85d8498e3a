// core/v1 PersistentVolume: defaults, strategy, rows. What its spec may be is in
// persistent_volume_source.cpp.
#include <fmt/format.h>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using corev1::PersistentVolume;
using corev1::PersistentVolumeSource;

constexpr const char* kBetaStorageClass = "volume.beta.kubernetes.io/storage-class";
constexpr const char* kBetaMountOptions = "volume.beta.kubernetes.io/mount-options";

void set_volume_defaults(Object& object) {
  auto& volume = static_cast<PersistentVolume&>(object);
  if (volume.status.phase.empty()) volume.status.phase = "Pending";
  auto& spec = volume.spec;
  if (spec.persistentVolumeReclaimPolicy.empty()) spec.persistentVolumeReclaimPolicy = "Retain";
  if (!spec.volumeMode) spec.volumeMode = "Filesystem";
  if (spec.hostPath && !spec.hostPath->type) spec.hostPath->type = "";
}

void prepare(Object& object, const Object* old_object, const StrategyContext& context) {
  auto& now = static_cast<PersistentVolume&>(object);
  // Needs the feature gate VolumeAttributesClass, which is off by default.
  const auto* old = static_cast<const PersistentVolume*>(old_object);
  if (old == nullptr || !old->spec.volumeAttributesClassName) {
    now.spec.volumeAttributesClassName.reset();
  }
  if (old != nullptr) {
    now.status = old->status;
    return;
  }
  now.status = {};
  now.status.phase = "Pending";
  now.status.lastPhaseTransitionTime = Time(context.now);
}

void prepare_status(Object& object, const Object& old_object) {
  auto& now = static_cast<PersistentVolume&>(object);
  now.spec = static_cast<const PersistentVolume&>(old_object).spec;
}

void validate_source_unchanged(PersistentVolume now, const PersistentVolume& old,
                               FieldErrors& errors) {
  // A secret for expansion may be added later.
  if (now.spec.csi && old.spec.csi && !old.spec.csi->controllerExpandSecretRef) {
    now.spec.csi->controllerExpandSecretRef.reset();
  }
  const PersistentVolumeSource& after = now.spec;
  const PersistentVolumeSource& before = old.spec;
  if (equal(after, before)) return;
  errors.forbidden(
      "spec.persistentvolumesource",
      fmt::format("spec.persistentvolumesource is immutable after creation\n{}",
                  first_difference(PersistentVolumeSource::type_info(), &before, &after)));
}

void validate_volume(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const PersistentVolume&>(object);
  validate_volume_spec(now.spec, false, "spec", errors);
  if (old_object == nullptr) return;
  const auto& old = static_cast<const PersistentVolume&>(*old_object);
  validate_source_unchanged(now, old, errors);
  check_unchanged(now.spec.volumeMode == old.spec.volumeMode, "volumeMode",
                  quoted(now.spec.volumeMode.value_or("")), errors);
  if (!old.spec.nodeAffinity) return;
  if (!now.spec.nodeAffinity || !equal(*now.spec.nodeAffinity, *old.spec.nodeAffinity)) {
    errors.invalid("spec.nodeAffinity", go_value(now.spec.nodeAffinity),
                   "field is immutable, except for updating from beta label to GA");
  }
}

void warnings(const Object& object, const Object*, std::vector<std::string>& out) {
  const auto& volume = static_cast<const PersistentVolume&>(object);
  if (volume.metadata.annotations.count(kBetaStorageClass) != 0) {
    out.push_back(fmt::format(
        "metadata.annotations[{}]: deprecated since v1.8; use \"storageClassName\" attribute "
        "instead",
        kBetaStorageClass));
  }
  if (volume.metadata.annotations.count(kBetaMountOptions) != 0) {
    out.push_back(fmt::format(
        R"(metadata.annotations[{}]: deprecated since v1.31; use "mountOptions" attribute instead)",
        kBetaMountOptions));
  }
  if (volume.spec.persistentVolumeReclaimPolicy == "Recycle") {
    out.push_back(
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, "
        "the recommended approach is to use dynamic provisioning.");
  }
  const auto capacity = volume.spec.capacity.find("storage");
  if (capacity != volume.spec.capacity.end() && capacity->second.milli() % 1000 != 0) {
    out.push_back(fmt::format(
        "spec.capacity[storage]: fractional byte value {} is invalid, must be an integer",
        quoted(capacity->second.str())));
  }
  const auto gone = [&](bool used, const char* field, const char* since, const char* until) {
    if (!used) return;
    out.push_back(
        fmt::format("spec.{}: deprecated in {}, non-functional in {}+", field, since, until));
  };
  gone(volume.spec.photonPersistentDisk.has_value(), "photonPersistentDisk", "v1.11", "v1.16");
  gone(volume.spec.scaleIO.has_value(), "scaleIO", "v1.16", "v1.22");
  gone(volume.spec.storageos.has_value(), "storageOS", "v1.22", "v1.25");
  gone(volume.spec.glusterfs.has_value(), "glusterfs", "v1.25", "v1.26");
  gone(volume.spec.cephfs.has_value(), "cephfs", "v1.28", "v1.31");
  gone(volume.spec.rbd.has_value(), "rbd", "v1.28", "v1.31");
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& volume = static_cast<const PersistentVolume&>(object);
  const auto& spec = volume.spec;
  std::string claim;
  if (spec.claimRef) {
    claim = spec.claimRef->namespace_ + "/" + spec.claimRef->name;
  }
  const auto capacity = spec.capacity.find("storage");
  const auto annotated = volume.metadata.annotations.find(kBetaStorageClass);
  return {name_cell(object),
          text(capacity == spec.capacity.end() ? "0" : capacity->second.str()),
          text(access_modes_text(spec.accessModes)),
          text(spec.persistentVolumeReclaimPolicy),
          text(volume.metadata.deletionTimestamp ? "Terminating" : volume.status.phase),
          text(claim),
          text(annotated == volume.metadata.annotations.end() ? spec.storageClassName
                                                              : annotated->second),
          text(spec.volumeAttributesClassName.value_or("<unset>")),
          text(volume.status.reason),
          age_cell(object, now),
          text(spec.volumeMode.value_or("<unset>"))};
}

}  // namespace

std::string access_modes_text(const std::vector<std::string>& modes) {
  constexpr std::pair<std::string_view, std::string_view> kShort[] = {{"ReadWriteOnce", "RWO"},
                                                                      {"ReadOnlyMany", "ROX"},
                                                                      {"ReadWriteMany", "RWX"},
                                                                      {"ReadWriteOncePod", "RWOP"}};
  std::string out;
  for (const auto& [mode, shown] : kShort) {
    if (!listed(modes, mode)) continue;
    if (!out.empty()) out += ',';
    out += shown;
  }
  return out;
}

ResourceInfo persistent_volumes_resource() {
  auto info = stored_resource<PersistentVolume>("persistentvolumes", "persistentvolume", false);
  info.short_names = {"pv"};
  info.has_status = true;
  info.set_defaults = set_volume_defaults;
  info.prepare = prepare;
  info.prepare_status = prepare_status;
  info.validate = validate_volume;
  info.warnings = warnings;
  info.columns = {
      name_column(),
      column("Capacity", "string", "How much it holds."),
      column("Access Modes", "string", "The ways it can be mounted."),
      column("Reclaim Policy", "string", "What happens to it once its claim is gone."),
      column("Status", "string", "Whether it is available, bound, released or failed."),
      column("Claim", "string", "The claim it is bound to, or set aside for."),
      column("StorageClass", "string", "The class it belongs to."),
      column("VolumeAttributesClass", "string", "The class of its attributes."),
      column("Reason", "string", "Why it is in this state."),
      age_column(),
      column("VolumeMode", "string", "Whether it is a file system or a block device.", 1)};
  info.row = row;
  return info;
}

}  // namespace orch::api
