// What the sources of Volumes in Pods and of PersistentVolumes have in common: their structs
// differ, their fields and rules do not. Texts as upstream. Pure.
#pragma once

#include <fmt/format.h>

#include <string>

#include "api/kinds/checks.h"
#include "orch/base/strings.h"

namespace orch::api {

// Exactly one field of `Source` (corev1::VolumeSource or PersistentVolumeSource) may be given.
template <class Source>
void validate_one_source(const Source& source, const std::string& path, FieldErrors& errors) {
  size_t count = 0;
  for (const auto& field : Source::type_info().fields) {
    if (field.container->size(reinterpret_cast<const char*>(&source) + field.offset) == 0) continue;
    if (count++ > 0) {
      errors.forbidden(fmt::format("{}.{}", path, field.json_name),
                       "may not specify more than 1 volume type");
    }
  }
  if (count == 0) errors.required(path, "must specify a volume type");
}

inline void validate_csi_driver(const std::string& driver, const std::string& path,
                                FieldErrors& errors) {
  if (driver.empty()) {
    errors.required(path);
  } else if (driver.size() > 63) {
    errors.too_long(path, 63);
  } else if (const auto why = check_dns1123_subdomain(to_lower(driver)); !why.empty()) {
    errors.invalid(path, quoted(driver), why);
  }
}

// All but the secret's own fields.
template <class Iscsi>
void validate_iscsi_target(const Iscsi& iscsi, const std::string& path, FieldErrors& errors) {
  check_required(iscsi.targetPortal, path + ".targetPortal", errors);
  check_required(iscsi.iqn, path + ".iqn", errors);
  const std::string& iqn = iscsi.iqn;
  if (!iqn.empty() && !iqn.starts_with("iqn") && !iqn.starts_with("eui") &&
      !iqn.starts_with("naa")) {
    errors.invalid(path + ".iqn", quoted(iqn),
                   "must be valid format starting with iqn, eui, or naa");
  }
  if (iscsi.lun < 0 || iscsi.lun > 255) {
    errors.invalid(path + ".lun", std::to_string(iscsi.lun),
                   "must be between 0 and 255, inclusive");
  }
  if ((iscsi.chapAuthDiscovery || iscsi.chapAuthSession) && !iscsi.secretRef) {
    errors.required(path + ".secretRef");
  }
}

// The fields that must be given, of sources that need no more.
template <class Source>
void validate_required_parts(const Source& s, const std::string& path, FieldErrors& errors) {
  const auto need = [&](std::string_view value, const char* field) {
    check_required(value, path + field, errors);
  };
  if (s.gcePersistentDisk) need(s.gcePersistentDisk->pdName, ".gcePersistentDisk.pdName");
  if (s.awsElasticBlockStore) {
    need(s.awsElasticBlockStore->volumeID, ".awsElasticBlockStore.volumeID");
  }
  if (s.glusterfs) {
    need(s.glusterfs->endpoints, ".glusterfs.endpoints");
    need(s.glusterfs->path, ".glusterfs.path");
  }
  if (s.rbd) {
    if (s.rbd->monitors.empty()) errors.required(path + ".rbd.monitors");
    need(s.rbd->image, ".rbd.image");
  }
  if (s.cephfs && s.cephfs->monitors.empty()) errors.required(path + ".cephfs.monitors");
  if (s.cinder) need(s.cinder->volumeID, ".cinder.volumeID");
  if (s.flexVolume) need(s.flexVolume->driver, ".flexVolume.driver");
  if (s.azureFile) {
    need(s.azureFile->secretName, ".azureFile.secretName");
    need(s.azureFile->shareName, ".azureFile.shareName");
  }
  if (s.vsphereVolume) need(s.vsphereVolume->volumePath, ".vsphereVolume.volumePath");
  if (s.photonPersistentDisk) need(s.photonPersistentDisk->pdID, ".photonPersistentDisk.pdID");
  if (s.portworxVolume) need(s.portworxVolume->volumeID, ".portworxVolume.volumeID");
  if (s.azureDisk) {
    need(s.azureDisk->diskName, ".azureDisk.diskName");
    need(s.azureDisk->diskURI, ".azureDisk.diskURI");
  }
  if (s.scaleIO) {
    need(s.scaleIO->gateway, ".scaleIO.gateway");
    need(s.scaleIO->system, ".scaleIO.system");
    need(s.scaleIO->volumeName, ".scaleIO.volumeName");
  }
  if (s.quobyte) {
    need(s.quobyte->registry, ".quobyte.registry");
    need(s.quobyte->volume, ".quobyte.volume");
  }
}

}  // namespace orch::api
