// storage.k8s.io/v1 CSIDriver.
#include <fmt/format.h>

#include <set>

#include "api/kinds/checks.h"
#include "api/kinds/storage/csi.h"
#include "orch/api/storagev1.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using storagev1::CSIDriver;
using storagev1::CSIDriverSpec;
using storagev1::TokenRequest;

constexpr size_t kDriverNameMax = 63;
constexpr int64_t kTokenSecondsMin = 600;
constexpr int64_t kTokenSecondsMax = int64_t{1} << 32;

void set_driver_defaults(Object& object) {
  auto& spec = static_cast<CSIDriver&>(object).spec;
  if (!spec.attachRequired) spec.attachRequired = true;
  if (!spec.podInfoOnMount) spec.podInfoOnMount = false;
  if (!spec.storageCapacity) spec.storageCapacity = false;
  if (!spec.fsGroupPolicy) spec.fsGroupPolicy = "ReadWriteOnceWithFSType";
  if (spec.volumeLifecycleModes.empty()) spec.volumeLifecycleModes = {"Persistent"};
  if (!spec.requiresRepublish) spec.requiresRepublish = false;
  if (!spec.seLinuxMount) spec.seLinuxMount = false;
}

bool same_tokens(const std::vector<TokenRequest>& a, const std::vector<TokenRequest>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}

// The generation counts changes of what may change.
void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  if (old_object == nullptr) return;
  auto& now = static_cast<CSIDriver&>(object);
  const auto& old = static_cast<const CSIDriver&>(*old_object);
  const bool same = same_tokens(now.spec.tokenRequests, old.spec.tokenRequests) &&
                    now.spec.requiresRepublish == old.spec.requiresRepublish &&
                    now.spec.seLinuxMount == old.spec.seLinuxMount;
  now.metadata.generation = old.metadata.generation + (same ? 0 : 1);
}

void validate_tokens(const std::vector<TokenRequest>& tokens, FieldErrors& errors) {
  std::set<std::string> audiences;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string path = indexed("spec.tokenRequests", i);
    if (!audiences.insert(tokens[i].audience).second) {
      errors.duplicate(path + ".audience", quoted(tokens[i].audience));
    }
    if (!tokens[i].expirationSeconds) continue;
    const int64_t seconds = *tokens[i].expirationSeconds;
    if (seconds < kTokenSecondsMin) {
      errors.invalid(path + ".expirationSeconds", std::to_string(seconds),
                     "may not specify a duration less than 10 minutes");
    }
    if (seconds > kTokenSecondsMax) {
      errors.invalid(path + ".expirationSeconds", std::to_string(seconds),
                     "may not specify a duration larger than 2^32 seconds");
    }
  }
}

void validate_driver(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const CSIDriver&>(object);
  const auto& spec = now.spec;
  if (old_object == nullptr) validate_driver_name(now.metadata.name, "name", errors);
  const auto given = [&](bool there, const char* field) {
    if (!there) errors.required(std::string("spec.") + field);
  };
  given(spec.attachRequired.has_value(), "attachedRequired");
  given(spec.podInfoOnMount.has_value(), "podInfoOnMount");
  given(spec.storageCapacity.has_value(), "storageCapacity");
  given(spec.seLinuxMount.has_value(), "seLinuxMount");
  given(spec.fsGroupPolicy.has_value(), "fsGroupPolicy");
  if (spec.fsGroupPolicy) {
    check_one_of(*spec.fsGroupPolicy, "spec.fsGroupPolicy",
                 {"File", "None", "ReadWriteOnceWithFSType"}, errors);
  }
  validate_tokens(spec.tokenRequests, errors);
  for (const auto& mode : spec.volumeLifecycleModes) {
    check_one_of(mode, "spec.volumeLifecycleModes", {"Ephemeral", "Persistent"}, errors);
  }
  if (old_object == nullptr) return;
  const auto& old = static_cast<const CSIDriver&>(*old_object).spec;
  check_unchanged(spec.attachRequired == old.attachRequired, "spec.attachedRequired",
                  spec.attachRequired.value_or(false) ? "true" : "false", errors);
  check_unchanged(spec.volumeLifecycleModes == old.volumeLifecycleModes,
                  "spec.volumeLifecycleModes",
                  go_strings("storage.VolumeLifecycleMode", spec.volumeLifecycleModes), errors);
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& spec = static_cast<const CSIDriver&>(object).spec;
  std::vector<std::string> audiences;
  for (const auto& token : spec.tokenRequests) audiences.push_back(token.audience);
  return {name_cell(object),
          boolean(spec.attachRequired.value_or(true)),
          boolean(spec.podInfoOnMount.value_or(false)),
          boolean(spec.storageCapacity.value_or(false)),
          text(audiences.empty() ? "<unset>" : join(audiences, ",")),
          boolean(spec.requiresRepublish.value_or(false)),
          text(spec.volumeLifecycleModes.empty() ? "<none>" : join(spec.volumeLifecycleModes, ",")),
          age_cell(object, now)};
}

}  // namespace

void validate_driver_name(const std::string& name, const std::string& path, FieldErrors& errors) {
  if (name.empty()) errors.required(path);
  if (name.size() > kDriverNameMax) errors.too_long(path, static_cast<int64_t>(kDriverNameMax));
  if (const auto why = check_dns1123_subdomain(to_lower(name)); !why.empty()) {
    errors.invalid(path, quoted(name), why);
  }
}

ResourceInfo csi_drivers_resource() {
  auto info = stored_resource<CSIDriver>("csidrivers", "csidriver", false);
  info.set_defaults = set_driver_defaults;
  info.prepare = prepare;
  info.validate = validate_driver;
  info.columns = {
      name_column(),
      column("AttachRequired", "boolean", "Whether volumes are attached before they are mounted."),
      column("PodInfoOnMount", "boolean", "Whether it wants facts about the pod when it mounts."),
      column("StorageCapacity", "boolean", "Whether it reports its free space."),
      column("TokenRequests", "string", "Audiences of the tokens it gets."),
      column("RequiresRepublish", "boolean", "Whether mounting is repeated regularly."),
      column("Modes", "string", "Kinds of volumes it supports."),
      age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
