// Volumes of a Pod: each has one source, each source its rules.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/core/pod_parts.h"
#include "api/kinds/core/volume_sources.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace corev1;

constexpr const char* kModeText = "must be a number between 0 and 0777 (octal), both inclusive";
constexpr int64_t kTokenSecondsMin = 600;

void validate_mode(const std::optional<int32_t>& mode, const std::string& path,
                   FieldErrors& errors) {
  if (mode && (*mode < 0 || *mode > 0777)) {
    errors.invalid(path, std::to_string(*mode), kModeText);
  }
}

// Of a file within a volume; names starting with ".." are the volume's own.
void validate_file_path(const std::string& value, const std::string& path, FieldErrors& errors) {
  if (value.empty()) return errors.required(path);
  validate_relative_path(value, path, errors);
  if (value.starts_with("..") && !value.starts_with("../")) {
    errors.invalid(path, quoted(value), "must not start with '..'");
  }
}

void validate_items(const std::vector<KeyToPath>& items, const std::string& path,
                    FieldErrors& errors) {
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string at = indexed(path, i);
    check_required(items[i].key, at + ".key", errors);
    validate_file_path(items[i].path, at + ".path", errors);
    validate_mode(items[i].mode, at + ".mode", errors);
  }
}

void validate_downward_items(const std::vector<DownwardAPIVolumeFile>& items,
                             const std::string& path, FieldErrors& errors) {
  for (const auto& item : items) {
    // Upstream names the list, not the item.
    validate_file_path(item.path, path + ".path", errors);
    if (item.fieldRef) {
      validate_field_reference(*item.fieldRef, DownwardUse::kVolume, path + ".fieldRef", errors);
      if (item.resourceFieldRef) {
        errors.invalid(path, "\"resource\"",
                       "fieldRef and resourceFieldRef can not be specified simultaneously");
      }
    } else if (item.resourceFieldRef) {
      validate_resource_reference(*item.resourceFieldRef, DownwardUse::kVolume,
                                  path + ".resourceFieldRef", errors);
    } else {
      errors.required(path, "one of fieldRef and resourceFieldRef is required");
    }
    validate_mode(item.mode, path + ".mode", errors);
  }
}

void validate_token(const ServiceAccountTokenProjection& token, const std::string& path,
                    FieldErrors& errors) {
  const int64_t seconds = token.expirationSeconds.value_or(3600);
  if (seconds < kTokenSecondsMin) {
    errors.invalid(path + ".expirationSeconds", std::to_string(seconds),
                   "may not specify a duration less than 10 minutes");
  } else if (seconds > int64_t{1} << 32) {
    errors.invalid(path + ".expirationSeconds", std::to_string(seconds),
                   "may not specify a duration larger than 2^32 seconds");
  }
  validate_file_path(token.path, path + ".path", errors);
}

void validate_projected(const ProjectedVolumeSource& projected, const std::string& path,
                        FieldErrors& errors) {
  validate_mode(projected.defaultMode, path + ".defaultMode", errors);
  std::set<std::string> paths;
  const auto unique = [&](const auto& items, const std::string& name) {
    for (const auto& item : items) {
      if (!item.path.empty() && !paths.insert(item.path).second) {
        errors.invalid(path, quoted(name), "conflicting duplicate paths");
      }
    }
  };
  for (size_t i = 0; i < projected.sources.size(); ++i) {
    const auto& source = projected.sources[i];
    const std::string at = indexed(path + ".sources", i);
    int given = 0;
    const auto alone = [&](bool has, const char* field) {
      if (!has) return false;
      if (given++ == 0) return true;
      errors.forbidden(at + field, "may not specify more than 1 volume type per source");
      return false;
    };
    if (alone(source.secret.has_value(), ".secret")) {
      check_required(source.secret->name, at + ".secret.name", errors);
      validate_items(source.secret->items, at + ".secret.items", errors);
      unique(source.secret->items, source.secret->name);
    }
    if (alone(source.configMap.has_value(), ".configMap")) {
      check_required(source.configMap->name, at + ".configMap.name", errors);
      validate_items(source.configMap->items, at + ".configMap.items", errors);
      unique(source.configMap->items, source.configMap->name);
    }
    if (alone(source.downwardAPI.has_value(), ".downwardAPI")) {
      validate_downward_items(source.downwardAPI->items, at + ".downwardAPI", errors);
      unique(source.downwardAPI->items, "downwardAPI");
    }
    if (alone(source.serviceAccountToken.has_value(), ".serviceAccountToken")) {
      validate_token(*source.serviceAccountToken, at + ".serviceAccountToken", errors);
      unique(std::vector{*source.serviceAccountToken}, source.serviceAccountToken->path);
    }
  }
}

void validate_csi(const CSIVolumeSource& csi, const std::string& path, FieldErrors& errors) {
  validate_csi_driver(csi.driver, path + ".driver", errors);
  if (csi.nodePublishSecretRef && csi.nodePublishSecretRef->name.empty()) {
    errors.required(path + ".nodePublishSecretRef.name");
  }
}

// Sources of drivers that nodes no longer have built in: the fields they cannot do without.
void validate_legacy(const Volume& v, const std::string& at, FieldErrors& errors) {
  validate_required_parts<VolumeSource>(v, at, errors);
  if (v.gitRepo) {
    check_required(v.gitRepo->repository, at + ".gitRepo.repository", errors);
    validate_relative_path(v.gitRepo->directory, at + ".gitRepo.directory", errors);
  }
  if (v.fc) {
    if (v.fc->targetWWNs.empty() && v.fc->wwids.empty()) {
      errors.required(at + ".fc.targetWWNs",
                      "must specify either targetWWNs or wwids, but not both");
    }
    if (!v.fc->targetWWNs.empty() && !v.fc->lun) {
      errors.required(at + ".fc.lun", "lun is required if targetWWNs is specified");
    }
  }
}

void validate_files(const Volume& v, const std::string& at, FieldErrors& errors) {
  if (v.secret) {
    check_required(v.secret->secretName, at + ".secret.secretName", errors);
    validate_mode(v.secret->defaultMode, at + ".secret.defaultMode", errors);
    validate_items(v.secret->items, at + ".secret.items", errors);
  }
  if (v.configMap) {
    check_required(v.configMap->name, at + ".configMap.name", errors);
    validate_mode(v.configMap->defaultMode, at + ".configMap.defaultMode", errors);
    validate_items(v.configMap->items, at + ".configMap.items", errors);
  }
  if (v.downwardAPI) {
    validate_mode(v.downwardAPI->defaultMode, at + ".downwardAPI.defaultMode", errors);
    validate_downward_items(v.downwardAPI->items, at + ".downwardAPI", errors);
  }
  if (v.projected) validate_projected(*v.projected, at + ".projected", errors);
}

void validate_source(const Volume& v, const std::string& at, FieldErrors& errors) {
  if (v.emptyDir && v.emptyDir->sizeLimit && v.emptyDir->sizeLimit->sign() < 0) {
    errors.forbidden(at + ".emptyDir.sizeLimit",
                     "SizeLimit field must be a valid resource quantity");
  }
  if (v.hostPath) {
    check_required(v.hostPath->path, at + ".hostPath.path", errors);
    validate_no_backsteps(v.hostPath->path, at + ".hostPath.path", errors);
    if (v.hostPath->type) {
      check_one_of(*v.hostPath->type, at + ".hostPath.type",
                   {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File",
                    "FileOrCreate", "Socket"},
                   errors);
    }
  }
  if (v.nfs) {
    check_required(v.nfs->server, at + ".nfs.server", errors);
    check_required(v.nfs->path, at + ".nfs.path", errors);
    if (!v.nfs->path.starts_with('/')) {
      errors.invalid(at + ".nfs.path", quoted(v.nfs->path), "must be an absolute path");
    }
  }
  if (v.persistentVolumeClaim) {
    check_required(v.persistentVolumeClaim->claimName, at + ".persistentVolumeClaim.claimName",
                   errors);
  }
  if (v.ephemeral) {
    const std::string claim = at + ".ephemeral.volumeClaimTemplate";
    if (!v.ephemeral->volumeClaimTemplate) {
      errors.required(claim);
    } else {
      validate_claim_spec(v.ephemeral->volumeClaimTemplate->spec, claim + ".spec", errors);
    }
  }
  validate_files(v, at, errors);
  if (v.iscsi) validate_iscsi_target(*v.iscsi, at + ".iscsi", errors);
  if (v.csi) validate_csi(*v.csi, at + ".csi", errors);
  if (v.image && !v.image->pullPolicy.empty()) {
    check_one_of(v.image->pullPolicy, at + ".image.pullPolicy", {"Always", "IfNotPresent", "Never"},
                 errors);
  }
  validate_legacy(v, at, errors);
}

}  // namespace

KnownVolumes validate_volumes(const std::vector<Volume>& volumes, const std::string& path,
                              FieldErrors& errors) {
  KnownVolumes known;
  for (size_t i = 0; i < volumes.size(); ++i) {
    const auto& v = volumes[i];
    const std::string at = indexed(path, i);
    const auto check = [&](FieldErrors& out) {
      validate_source(v, at, out);
      validate_one_source<VolumeSource>(v, at, out);
      if (v.name.empty()) {
        out.required(at + ".name");
      } else {
        validate_by(check_dns1123_label, v.name, at + ".name", out);
      }
      if (known.count(v.name) != 0) out.duplicate(at + ".name", quoted(v.name));
    };
    // A volume that is wrong cannot be mounted either.
    FieldErrors wrong;
    check(wrong);
    if (wrong.empty()) {
      known[v.name] = &v;
    } else {
      check(errors);
    }
  }
  return known;
}

}  // namespace orch::api
