// What the spec of a PersistentVolume may be, also inside a VolumeAttachment.
#include <fmt/format.h>

#include "api/kinds/checks.h"
#include "api/kinds/core/volume_sources.h"

namespace orch::api {
namespace {

using namespace corev1;

void check_absolute(const std::string& value, const std::string& path, FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  if (value.front() != '/') errors.invalid(path, quoted(value), "must be an absolute path");
}

void validate_host_path(const HostPathVolumeSource& source, const std::string& path,
                        FieldErrors& errors) {
  check_required(source.path, path + ".path", errors);
  validate_no_backsteps(source.path, path + ".path", errors);
  if (source.type.value_or("").empty()) return;
  check_one_of(*source.type, path + ".type",
               {"BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File",
                "FileOrCreate", "Socket"},
               errors);
}

void validate_secret_ref(const Ptr<SecretReference>& ref, const std::string& path,
                         FieldErrors& errors) {
  if (!ref) return;
  check_required(ref->name, path + ".name", errors);
  check_required(ref->namespace_, path + ".namespace", errors);
}

void validate_csi(const CSIPersistentVolumeSource& csi, const std::string& path,
                  FieldErrors& errors) {
  validate_csi_driver(csi.driver, path + ".driver", errors);
  check_required(csi.volumeHandle, path + ".volumeHandle", errors);
  validate_secret_ref(csi.controllerPublishSecretRef, path + ".controllerPublishSecretRef", errors);
  validate_secret_ref(csi.controllerExpandSecretRef, path + ".controllerExpandSecretRef", errors);
  validate_secret_ref(csi.nodePublishSecretRef, path + ".nodePublishSecretRef", errors);
  validate_secret_ref(csi.nodeExpandSecretRef, path + ".nodeExpandSecretRef", errors);
}

void validate_iscsi(const ISCSIPersistentVolumeSource& iscsi, const std::string& path,
                    FieldErrors& errors) {
  validate_iscsi_target(iscsi, path, errors);
  if (iscsi.secretRef) check_required(iscsi.secretRef->name, path + ".secretRef.name", errors);
}

void validate_fc(const FCVolumeSource& fc, const std::string& path, FieldErrors& errors) {
  if (fc.targetWWNs.empty() && fc.wwids.empty()) {
    errors.required(path + ".targetWWNs", "must specify either targetWWNs or wwids, but not both");
  }
  if (!fc.targetWWNs.empty() && !fc.wwids.empty()) {
    errors.invalid(path + ".targetWWNs", go_value(fc.targetWWNs),
                   "targetWWNs and wwids can not be specified simultaneously");
  }
  if (fc.targetWWNs.empty()) return;
  if (!fc.lun) {
    errors.required(path + ".lun", "lun is required if targetWWNs is specified");
  } else if (*fc.lun < 0 || *fc.lun > 255) {
    errors.invalid(path + ".lun", std::to_string(*fc.lun), "must be between 0 and 255, inclusive");
  }
}

void validate_sources(const PersistentVolumeSpec& spec, const std::string& path, bool has_affinity,
                      FieldErrors& errors) {
  const PersistentVolumeSource& source = spec;
  validate_one_source(source, path, errors);
  validate_required_parts(source, path, errors);
  if (spec.azureFile && spec.azureFile->secretNamespace &&
      spec.azureFile->secretNamespace->empty()) {
    errors.required(path + ".azureFile.secretNamespace");
  }
  if (spec.hostPath) validate_host_path(*spec.hostPath, path + ".hostPath", errors);
  if (spec.nfs) {
    check_required(spec.nfs->server, path + ".nfs.server", errors);
    check_absolute(spec.nfs->path, path + ".nfs.path", errors);
  }
  if (spec.iscsi) validate_iscsi(*spec.iscsi, path + ".iscsi", errors);
  if (spec.fc) validate_fc(*spec.fc, path + ".fc", errors);
  if (spec.csi) validate_csi(*spec.csi, path + ".csi", errors);
  if (!spec.local) return;
  check_required(spec.local->path, path + ".local.path", errors);
  validate_no_backsteps(spec.local->path, path + ".local.path", errors);
  if (!has_affinity) {
    errors.required(path + ".nodeAffinity", "Local volume requires node affinity");
  }
}

void validate_capacity(const std::map<std::string, Quantity>& capacity, const std::string& path,
                       FieldErrors& errors) {
  if (capacity.empty()) errors.required(path);
  if (capacity.count("storage") == 0 || capacity.size() > 1) {
    std::string shown;
    for (const auto& [name, value] : capacity) shown += (shown.empty() ? "" : ",") + name;
    errors.not_supported(path, shown, {"storage"});
  }
  for (const auto& [name, value] : capacity) {
    if (value.sign() < 0) {
      errors.invalid(keyed(path, name), std::to_string(value.value()),
                     "must be a valid resource quantity");
    }
    if (value.sign() <= 0) {
      errors.invalid(keyed(path, name), quoted(value.str()), "must be greater than zero");
    }
  }
}

void validate_inlined(const PersistentVolumeSpec& spec, const std::string& path,
                      FieldErrors& errors) {
  const auto forbid = [&](bool given, const char* field) {
    if (given) {
      errors.forbidden(path + field, "may not be specified in the context of inline volumes");
    }
  };
  forbid(spec.claimRef.has_value(), ".claimRef");
  forbid(!spec.capacity.empty(), ".capacity");
  if (!spec.csi) {
    errors.required(path + ".csi", "has to be specified in the context of inline volumes");
  }
  if (!spec.persistentVolumeReclaimPolicy.empty() &&
      spec.persistentVolumeReclaimPolicy != "Retain") {
    errors.forbidden(path + ".persistentVolumeReclaimPolicy",
                     "may only be Retain in the context of inline volumes");
  }
  forbid(spec.nodeAffinity.has_value(), ".nodeAffinity");
  forbid(!spec.storageClassName.empty(), ".storageClassName");
  forbid(spec.volumeMode && *spec.volumeMode != "Filesystem", ".volumeMode");
  forbid(spec.volumeAttributesClassName.has_value(), ".volumeAttributesClassName");
}

void validate_modes(const std::vector<std::string>& modes, const std::string& path,
                    FieldErrors& errors) {
  if (modes.empty()) errors.required(path);
  bool alone = false, shared = false;
  for (const auto& mode : modes) {
    check_one_of(mode, path, {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"},
                 errors);
    (mode == "ReadWriteOncePod" ? alone : shared) = true;
  }
  if (alone && shared) {
    errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
  }
}

}  // namespace

void validate_volume_spec(const PersistentVolumeSpec& spec, bool inlined, const std::string& path,
                          FieldErrors& errors) {
  validate_modes(spec.accessModes, path + ".accessModes", errors);
  if (inlined) {
    validate_inlined(spec, path, errors);
    return validate_sources(spec, path, false, errors);
  }
  validate_capacity(spec.capacity, path + ".capacity", errors);
  if (!spec.persistentVolumeReclaimPolicy.empty()) {
    check_one_of(spec.persistentVolumeReclaimPolicy, path + ".persistentVolumeReclaimPolicy",
                 {"Delete", "Recycle", "Retain"}, errors);
  }
  if (spec.nodeAffinity) {
    if (!spec.nodeAffinity->required) {
      errors.required(path + ".nodeAffinity.required", "must specify required node constraints");
    } else {
      validate_node_selector(*spec.nodeAffinity->required, path + ".nodeAffinity.required", errors);
    }
  }
  validate_sources(spec, path, spec.nodeAffinity.has_value(), errors);
  if (spec.hostPath && spec.hostPath->path.find_first_not_of("/.") == std::string::npos &&
      !spec.hostPath->path.empty() && spec.persistentVolumeReclaimPolicy == "Recycle") {
    errors.forbidden(path + ".persistentVolumeReclaimPolicy",
                     "may not be 'recycle' for a hostPath mount of '/'");
  }
  if (!spec.storageClassName.empty()) {
    validate_by(check_dns1123_subdomain, spec.storageClassName, path + ".storageClassName", errors);
  }
  if (spec.volumeMode) {
    check_one_of(*spec.volumeMode, path + ".volumeMode", {"Block", "Filesystem"}, errors);
  }
}

}  // namespace orch::api
