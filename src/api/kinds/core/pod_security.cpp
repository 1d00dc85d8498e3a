// Security contexts of Pods and containers.
#include <algorithm>
#include <cctype>

#include "api/kinds/core/pod_parts.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using namespace corev1;

constexpr size_t kProfileBytesMax = 4095;

void validate_seccomp(const Ptr<SeccompProfile>& profile, const std::string& path,
                      FieldErrors& errors) {
  if (!profile) return;
  if (profile->type.empty()) {
    errors.required(path + ".type", "type is required when seccompProfile is set");
  } else {
    check_one_of(profile->type, path + ".type", {"Localhost", "RuntimeDefault", "Unconfined"},
                 errors);
  }
  const std::string at = path + ".localhostProfile";
  if (profile->type == "Localhost") {
    if (!profile->localhostProfile) {
      errors.required(at, "must be set when seccomp type is Localhost");
    } else {
      validate_relative_path(*profile->localhostProfile, at, errors);
    }
  } else if (profile->localhostProfile) {
    errors.invalid(at, go_value(profile), "can only be set when seccomp type is Localhost");
  }
}

void validate_app_armor(const Ptr<AppArmorProfile>& profile, const std::string& path,
                        FieldErrors& errors) {
  if (!profile) return;
  const std::string at = path + ".localhostProfile";
  const auto& local = profile->localhostProfile;
  if (profile->type.empty()) {
    errors.required(path + ".type", "type is required when appArmorProfile is set");
  } else if (profile->type == "Localhost") {
    if (!local || trim(*local).empty()) {
      errors.required(at, "must be set when AppArmor type is Localhost");
    } else if (trim(*local).size() != local->size()) {
      errors.invalid(at, quoted(*local), "must not be padded with whitespace");
    }
    if (local && local->size() > kProfileBytesMax) errors.too_long(at, kProfileBytesMax);
  } else if (profile->type == "RuntimeDefault" || profile->type == "Unconfined") {
    if (local) {
      errors.invalid(at, quoted(*local), "can only be set when AppArmor type is Localhost");
    }
  } else {
    errors.not_supported(path + ".type", profile->type,
                         {"Localhost", "RuntimeDefault", "Unconfined"});
  }
}

// Segments of small letters, digits, '-' and '_', between '.' or '/'.
bool is_sysctl(std::string_view name) {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.size() > 253 || name.empty()) return false;
  char before = '.';
  for (const char c : name) {
    const bool separator = c == '.' || c == '/';
    const bool inner = c == '-' || c == '_';
    if (!separator && !inner && !alnum(c)) return false;
    if ((separator || inner) && (before == '.' || before == '/')) return false;
    if (separator && !alnum(before)) return false;
    before = c;
  }
  return alnum(before);
}

void validate_sysctls(const std::vector<Sysctl>& sysctls, const std::string& path,
                      FieldErrors& errors) {
  std::set<std::string> names;
  for (size_t i = 0; i < sysctls.size(); ++i) {
    const auto& name = sysctls[i].name;
    const std::string at = indexed(path, i) + ".name";
    if (name.empty()) {
      errors.required(at);
    } else if (!is_sysctl(name)) {
      errors.invalid(at, quoted(name),
                     "must have at most 253 characters and match regex "
                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    } else {
      std::string one_form = name;
      std::replace(one_form.begin(), one_form.end(), '/', '.');
      if (!names.insert(one_form).second) errors.duplicate(at, quoted(name));
    }
  }
}

}  // namespace

void validate_security_context(const SecurityContext& context, const std::string& path,
                               FieldErrors& errors) {
  if (context.runAsUser) validate_id(*context.runAsUser, path + ".runAsUser", errors);
  if (context.runAsGroup) validate_id(*context.runAsGroup, path + ".runAsGroup", errors);
  if (context.procMount) {
    check_one_of(*context.procMount, path + ".procMount", {"Default", "Unmasked"}, errors);
  }
  validate_seccomp(context.seccompProfile, path + ".seccompProfile", errors);
  const auto whole = [&](std::string_view why) {
    errors.invalid(path, go_value(SecurityContext::type_info(), &context), why);
  };
  if (!context.allowPrivilegeEscalation.value_or(true)) {
    if (context.privileged.value_or(false)) {
      whole("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
    if (context.capabilities && listed(context.capabilities->add, "CAP_SYS_ADMIN")) {
      whole("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
  }
  validate_app_armor(context.appArmorProfile, path + ".appArmorProfile", errors);
}

void validate_pod_security_context(const PodSpec& spec, const std::string& path,
                                   FieldErrors& errors) {
  if (!spec.securityContext) return;
  const auto& context = *spec.securityContext;
  if (context.fsGroup) validate_id(*context.fsGroup, path + ".fsGroup", errors);
  if (context.runAsUser) validate_id(*context.runAsUser, path + ".runAsUser", errors);
  if (context.runAsGroup) validate_id(*context.runAsGroup, path + ".runAsGroup", errors);
  for (size_t i = 0; i < context.supplementalGroups.size(); ++i) {
    validate_id(context.supplementalGroups[i], indexed(path + ".supplementalGroups", i), errors);
  }
  if (context.supplementalGroupsPolicy) {
    check_one_of(*context.supplementalGroupsPolicy, path + ".supplementalGroupsPolicy",
                 {"Merge", "Strict"}, errors);
  }
  if (spec.shareProcessNamespace.value_or(false) && spec.hostPID) {
    errors.invalid(path + ".shareProcessNamespace", "true",
                   "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  validate_sysctls(context.sysctls, path + ".sysctls", errors);
  if (context.fsGroupChangePolicy) {
    check_one_of(*context.fsGroupChangePolicy, path + ".fsGroupChangePolicy",
                 {"Always", "OnRootMismatch"}, errors);
  }
  validate_seccomp(context.seccompProfile, path + ".seccompProfile", errors);
  validate_app_armor(context.appArmorProfile, path + ".appArmorProfile", errors);
}

}  // namespace orch::api
