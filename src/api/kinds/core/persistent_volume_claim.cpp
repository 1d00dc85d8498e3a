// core/v1 PersistentVolumeClaim.
#include <fmt/format.h>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using corev1::PersistentVolumeClaim;
using corev1::PersistentVolumeClaimSpec;

constexpr const char* kBetaStorageClass = "volume.beta.kubernetes.io/storage-class";
constexpr const char* kSnapshotGroup = "snapshot.storage.k8s.io";

void set_claim_defaults(Object& object) {
  auto& claim = static_cast<PersistentVolumeClaim&>(object);
  if (claim.status.phase.empty()) claim.status.phase = "Pending";
  if (!claim.spec.volumeMode) claim.spec.volumeMode = "Filesystem";
}

// dataSource knows claims and snapshots only; dataSourceRef knows anything. Each is filled in from
// the other.
void normalize_data_source(PersistentVolumeClaimSpec& spec, const PersistentVolumeClaimSpec* old) {
  if (spec.dataSource && !(old != nullptr && old->dataSource)) {
    const std::string group = spec.dataSource->apiGroup.value_or("");
    const auto& kind = spec.dataSource->kind;
    const bool known = (group.empty() && kind == "PersistentVolumeClaim") ||
                       (group == kSnapshotGroup && kind == "VolumeSnapshot");
    if (!known) spec.dataSource.reset();
  }
  // Needs the feature gate CrossNamespaceVolumeDataSource, which is off by default.
  if (spec.dataSourceRef && !spec.dataSourceRef->namespace_.value_or("").empty() &&
      !(old != nullptr && old->dataSourceRef)) {
    spec.dataSourceRef.reset();
  }
  if (old != nullptr) return;
  if (spec.dataSource && !spec.dataSourceRef) {
    auto& ref = spec.dataSourceRef.emplace();
    ref.apiGroup = spec.dataSource->apiGroup;
    ref.kind = spec.dataSource->kind;
    ref.name = spec.dataSource->name;
  } else if (spec.dataSourceRef && !spec.dataSource) {
    const auto& ref = *spec.dataSourceRef;
    if (!ref.namespace_.value_or("").empty()) return;
    auto& source = spec.dataSource.emplace();
    source.apiGroup = ref.apiGroup;
    source.kind = ref.kind;
    source.name = ref.name;
  }
}

void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<PersistentVolumeClaim&>(object);
  const auto* old = static_cast<const PersistentVolumeClaim*>(old_object);
  // Needs the feature gate VolumeAttributesClass, which is off by default.
  if (old == nullptr || !old->spec.volumeAttributesClassName) {
    now.spec.volumeAttributesClassName.reset();
  }
  normalize_data_source(now.spec, old == nullptr ? nullptr : &old->spec);
  if (old != nullptr) {
    now.status = old->status;
    return;
  }
  now.status = {};
  now.status.phase = "Pending";
}

void prepare_status(Object& object, const Object& old_object) {
  auto& now = static_cast<PersistentVolumeClaim&>(object);
  now.spec = static_cast<const PersistentVolumeClaim&>(old_object).spec;
}

template <class Reference>
void validate_data_source(const Reference& source, const std::string& path, FieldErrors& errors) {
  check_required(source.name, path + ".name", errors);
  check_required(source.kind, path + ".kind", errors);
  const std::string group = source.apiGroup.value_or("");
  if (group.empty() && source.kind != "PersistentVolumeClaim") {
    errors.invalid(path, quoted(source.kind),
                   "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (!group.empty()) validate_by(check_dns1123_subdomain, group, path + ".apiGroup", errors);
}

void validate_data_sources(const PersistentVolumeClaimSpec& spec, const std::string& path,
                           FieldErrors& errors) {
  if (spec.dataSource) validate_data_source(*spec.dataSource, path + ".dataSource", errors);
  if (!spec.dataSourceRef) return;
  const auto& ref = *spec.dataSourceRef;
  validate_data_source(ref, path + ".dataSourceRef", errors);
  const std::string ns = ref.namespace_.value_or("");
  if (!ns.empty()) validate_by(check_dns1123_label, ns, path + ".dataSourceRef.namespace", errors);
  if (!spec.dataSource) return;
  const auto& source = *spec.dataSource;
  if (!ns.empty()) {
    errors.invalid(path, path + ".dataSource",
                   "may not be specified when dataSourceRef.namespace is specified");
  } else if (source.name != ref.name || source.kind != ref.kind ||
             source.apiGroup.value_or("") != ref.apiGroup.value_or("")) {
    errors.invalid(path, path + ".dataSource", "must match dataSourceRef");
  }
}

Quantity storage_of(const std::map<std::string, Quantity>& amounts) {
  const auto it = amounts.find("storage");
  return it == amounts.end() ? Quantity() : it->second;
}

bool annotated_class(const PersistentVolumeClaim& claim) {
  return claim.metadata.annotations.count(kBetaStorageClass) != 0;
}

std::string annotated_class_of(const PersistentVolumeClaim& claim) {
  return annotated_class(claim) ? claim.metadata.annotations.at(kBetaStorageClass) : std::string();
}

// Whether storageClassName went from the annotation, or from nothing, to the field.
bool class_may_change(const PersistentVolumeClaim& now, const PersistentVolumeClaim& old) {
  if (old.spec.storageClassName || !now.spec.storageClassName) return false;
  if (!annotated_class(old)) return !annotated_class(now);
  return annotated_class_of(old) == *now.spec.storageClassName;
}

void validate_update(const PersistentVolumeClaim& now, const PersistentVolumeClaim& old,
                     FieldErrors& errors) {
  PersistentVolumeClaimSpec after = now.spec, before = old.spec;
  // The controller binds by it; everything else would be a way round quota.
  if (before.volumeName.empty()) before.volumeName = after.volumeName;
  const std::string before_class = annotated_class_of(old), after_class = annotated_class_of(now);
  if (class_may_change(now, old)) {
    after.storageClassName = before.storageClassName;
  } else {
    check_unchanged(before_class == after_class,
                    std::string("metadata.annotations.") + kBetaStorageClass, quoted(after_class),
                    errors);
  }
  if (now.status.phase == "Bound" && !after.resources.requests.empty()) {
    after.resources.requests["storage"] = storage_of(before.resources.requests);
  }
  if (!equal(after, before)) {
    errors.forbidden(
        "spec",
        fmt::format("spec is immutable after creation except resources.requests and "
                    "volumeAttributesClassName for bound claims\n{}",
                    first_difference(PersistentVolumeClaimSpec::type_info(), &before, &after)));
  }
  const Quantity size = storage_of(now.spec.resources.requests);
  if (size < storage_of(old.spec.resources.requests) && size <= storage_of(old.status.capacity)) {
    errors.forbidden("spec.resources.requests.storage",
                     "field can not be less than status.capacity");
  }
  check_unchanged(now.spec.volumeMode == old.spec.volumeMode, "volumeMode",
                  quoted(now.spec.volumeMode.value_or("")), errors);
}

void validate_claim(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const PersistentVolumeClaim&>(object);
  validate_claim_spec(now.spec, "spec", errors);
  if (old_object != nullptr) {
    validate_update(now, static_cast<const PersistentVolumeClaim&>(*old_object), errors);
  }
}

void validate_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const PersistentVolumeClaim&>(object).status;
  for (const auto& [name, value] : status.capacity) {
    if (value.sign() < 0) {
      errors.invalid(keyed("status.capacity", name), std::to_string(value.value()),
                     "must be a valid resource quantity");
    }
  }
  for (const auto& [name, value] : status.allocatedResources) {
    const std::string path = keyed("status.allocatedResources", name);
    validate_by(check_label_key, name, path, errors);
    validate_resource_quantity(name, value, path, errors);
    if (name != "storage") errors.not_supported(path, name, {"storage"});
  }
  for (const auto& [name, state] : status.allocatedResourceStatuses) {
    const std::string path = keyed("status.allocatedResourceStatus", name);
    if (name != "storage") errors.not_supported(path, name, {"storage"});
    check_one_of(state, path,
                 {"ControllerResizeInfeasible", "ControllerResizeInProgress",
                  "NodeResizeInfeasible", "NodeResizeInProgress", "NodeResizePending"},
                 errors);
  }
}

void warnings(const Object& object, const Object*, std::vector<std::string>& out) {
  const auto& claim = static_cast<const PersistentVolumeClaim&>(object);
  if (annotated_class(claim)) {
    out.push_back(fmt::format(
        "metadata.annotations[{}]: deprecated since v1.8; use \"storageClassName\" attribute "
        "instead",
        kBetaStorageClass));
  }
  const auto warn = [&](const std::map<std::string, Quantity>& amounts, const char* field) {
    const auto it = amounts.find("storage");
    if (it == amounts.end() || it->second.milli() % 1000 == 0) return;
    out.push_back(fmt::format(
        "spec.resources.{}[storage]: fractional byte value {} is invalid, must be an integer",
        field, quoted(it->second.str())));
  };
  warn(claim.spec.resources.requests, "requests");
  warn(claim.spec.resources.limits, "limits");
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& claim = static_cast<const PersistentVolumeClaim&>(object);
  std::string capacity, modes;
  if (!claim.spec.volumeName.empty()) {
    capacity = storage_of(claim.status.capacity).str();
    modes = access_modes_text(claim.status.accessModes);
  }
  return {name_cell(object),
          text(claim.metadata.deletionTimestamp ? "Terminating" : claim.status.phase),
          text(claim.spec.volumeName),
          text(capacity),
          text(modes),
          text(annotated_class(claim) ? annotated_class_of(claim)
                                      : claim.spec.storageClassName.value_or("")),
          text(claim.spec.volumeAttributesClassName.value_or("<unset>")),
          age_cell(object, now),
          text(claim.spec.volumeMode.value_or("<unset>"))};
}

}  // namespace

void validate_claim_spec(const PersistentVolumeClaimSpec& spec, const std::string& path,
                         FieldErrors& errors) {
  if (spec.accessModes.empty()) {
    errors.required(path + ".accessModes", "at least 1 access mode is required");
  }
  if (spec.selector) validate_label_selector(*spec.selector, path + ".selector", errors);
  bool alone = false, shared = false;
  for (const auto& mode : spec.accessModes) {
    check_one_of(mode, path + ".accessModes",
                 {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"}, errors);
    (mode == "ReadWriteOncePod" ? alone : shared) = true;
  }
  if (alone && shared) {
    errors.forbidden(path + ".accessModes", "may not use ReadWriteOncePod with other access modes");
  }
  const auto storage = spec.resources.requests.find("storage");
  const std::string at = keyed(path + ".resources", "storage");
  if (storage == spec.resources.requests.end()) {
    errors.required(at);
  } else {
    validate_resource_quantity("storage", storage->second, at, errors);
    if (storage->second.sign() <= 0) {
      errors.invalid(at, quoted(storage->second.str()), "must be greater than zero");
    }
  }
  if (!spec.storageClassName.value_or("").empty()) {
    validate_by(check_dns1123_subdomain, *spec.storageClassName, path + ".storageClassName",
                errors);
  }
  if (spec.volumeMode) {
    check_one_of(*spec.volumeMode, path + ".volumeMode", {"Block", "Filesystem"}, errors);
  }
  validate_data_sources(spec, path, errors);
}

ResourceInfo persistent_volume_claims_resource() {
  auto info = stored_resource<PersistentVolumeClaim>("persistentvolumeclaims",
                                                     "persistentvolumeclaim", true);
  info.short_names = {"pvc"};
  info.has_status = true;
  info.set_defaults = set_claim_defaults;
  info.prepare = prepare;
  info.prepare_status = prepare_status;
  info.validate = validate_claim;
  info.validate_status = validate_status;
  info.warnings = warnings;
  info.columns = {
      name_column(),
      column("Status", "string", "Whether it is pending, bound or lost."),
      column("Volume", "string", "The volume it is bound to."),
      column("Capacity", "string", "How much that volume holds."),
      column("Access Modes", "string", "The ways that volume can be mounted."),
      column("StorageClass", "string", "The class it asks for."),
      column("VolumeAttributesClass", "string", "The class of attributes it asks for."),
      age_column(),
      column("VolumeMode", "string", "Whether it is a file system or a block device.", 1)};
  info.row = row;
  return info;
}

}  // namespace orch::api
