// internal.apiserver.k8s.io/v1alpha1 StorageVersion (KEP-2339): served on request.
#include <algorithm>

#include "api/kinds/common.h"
#include "orch/api/apiserverinternalv1alpha1.h"

namespace orch::api {
namespace {

using apiserverinternalv1alpha1::StorageVersion;

// GROUP.RESOURCE
void check_name(const std::string& name, FieldErrors& errors) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) {
    errors.invalid("metadata.name", quoted(name), "name must be in the form of <group>.<resource>");
    return;
  }
  if (auto why = check_dns1123_subdomain(name.substr(0, dot)); !why.empty()) {
    errors.invalid("metadata.name", quoted(name), "the group segment " + why);
  }
  if (auto why = check_dns1035_label(name.substr(dot + 1)); !why.empty()) {
    errors.invalid("metadata.name", quoted(name), "the resource segment " + why);
  }
}

void validate(const Object& object, const Object*, FieldErrors& errors) {
  const auto& version = static_cast<const StorageVersion&>(object);
  check_name(version.metadata.name, errors);
  const auto& servers = version.status.storageVersions;
  bool agreed = !servers.empty();
  for (size_t i = 0; i < servers.size(); ++i) {
    const std::string at = "status.storageVersions[" + std::to_string(i) + "]";
    const auto& server = servers[i];
    if (server.apiServerID.empty()) errors.required(at + ".apiServerID", "");
    const auto& readable = server.decodableVersions;
    if (std::find(readable.begin(), readable.end(), server.encodingVersion) == readable.end()) {
      errors.invalid(at + ".decodableVersions", quoted(server.encodingVersion),
                     "decodableVersions must include encodingVersion " + server.encodingVersion);
    }
    agreed = agreed && server.encodingVersion == servers.front().encodingVersion;
  }
  const auto& common = version.status.commonEncodingVersion;
  if (common && (!agreed || *common != servers.front().encodingVersion)) {
    errors.invalid("status.commonEncodingVersion", quoted(*common),
                   "must be the encoding version of all API servers");
  } else if (!common && agreed) {
    errors.invalid("status.commonEncodingVersion", "null",
                   "must be set, as all API servers store the same version");
  }
}

}  // namespace

ResourceInfo storage_versions_resource() {
  auto info = stored_resource<StorageVersion>("storageversions", "storageversion", false);
  info.has_status = true;
  info.prepare = prepare_spec_and_status<StorageVersion>;
  info.prepare_status = prepare_status_only<StorageVersion>;
  info.validate = validate;
  info.columns = {name_column(),
                  column("CommonEncodingVersion", "string", "What all API servers store."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& status = static_cast<const StorageVersion&>(object).status;
    return {name_cell(object), text(status.commonEncodingVersion.value_or("<none>")),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
