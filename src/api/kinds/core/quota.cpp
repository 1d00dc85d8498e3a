// core/v1 ResourceQuota, and the rules of resource names it shares with LimitRange.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using corev1::ResourceQuota;
using corev1::ResourceQuotaSpec;

constexpr std::string_view kCounted[] = {"pods",
                                         "resourcequotas",
                                         "services",
                                         "replicationcontrollers",
                                         "secrets",
                                         "configmaps",
                                         "persistentvolumeclaims",
                                         "services.nodeports",
                                         "services.loadbalancers"};
constexpr std::string_view kComputed[] = {"cpu",           "memory",       "limits.cpu",
                                          "limits.memory", "requests.cpu", "requests.memory"};
constexpr std::string_view kFurther[] = {"ephemeral-storage", "requests.storage",
                                         "requests.ephemeral-storage", "limits.ephemeral-storage"};
constexpr std::string_view kScopes[] = {"Terminating",   "NotTerminating",
                                        "BestEffort",    "NotBestEffort",
                                        "PriorityClass", "CrossNamespacePodAffinity"};

bool standard(std::string_view name) {
  return listed(kCounted, name) || listed(kComputed, name) || listed(kFurther, name) ||
         name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
}

bool scope_fits(std::string_view scope, std::string_view resource) {
  if (scope == "BestEffort") return resource == "pods";
  return resource == "pods" || listed(kComputed, resource);
}

void validate_amounts(const std::map<std::string, Quantity>& amounts, const std::string& path,
                      FieldErrors& errors) {
  for (const auto& [name, value] : amounts) {
    const std::string at = keyed(path, name);
    if (const auto why = check_label_key(name); !why.empty()) {
      errors.invalid(at, quoted(name), why);
    } else if (name.find('/') == std::string::npos && !standard(name)) {
      errors.invalid(at, quoted(name), "must be a standard resource for quota");
    }
    validate_resource_quantity(name, value, at, errors);
  }
}

void validate_scope_list(const std::vector<std::string>& scopes, const std::string& shown,
                         const ResourceQuotaSpec& spec, const std::string& path,
                         FieldErrors& errors) {
  for (const auto& scope : scopes) {
    if (!listed(kScopes, scope)) {
      errors.invalid(path, shown, "unsupported scope");
      continue;
    }
    for (const auto& [name, value] : spec.hard) {
      if (standard(name) && !scope_fits(scope, name)) {
        errors.invalid(path, shown, "unsupported scope applied to resource");
      }
    }
  }
  const auto conflict = [&](std::string_view a, std::string_view b) {
    if (listed(scopes, a) && listed(scopes, b)) errors.invalid(path, shown, "conflicting scopes");
  };
  conflict("BestEffort", "NotBestEffort");
  conflict("Terminating", "NotTerminating");
}

void validate_scope_selector(const ResourceQuotaSpec& spec, FieldErrors& errors) {
  if (!spec.scopeSelector) return;
  const std::string path = "spec.scopeSelector.matchExpressions";
  std::vector<std::string> scopes;
  for (const auto& e : spec.scopeSelector->matchExpressions) {
    scopes.push_back(e.scopeName);
    if (listed(kScopes, e.scopeName) && e.scopeName != "PriorityClass" && e.operator_ != "Exists") {
      errors.invalid(
          path + ".operator", quoted(e.operator_),
          "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, "
          "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
          "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
    }
    if (e.operator_ == "In" || e.operator_ == "NotIn") {
      if (e.values.empty()) {
        errors.required(path + ".values",
                        "must be atleast one value when `operator` is 'In' or 'NotIn' for scope "
                        "selector");
      }
    } else if (e.operator_ == "Exists" || e.operator_ == "DoesNotExist") {
      if (!e.values.empty()) {
        errors.invalid(path + ".values", go_value(e.values),
                       "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope "
                       "selector");
      }
    } else {
      errors.invalid(path + ".operator", quoted(e.operator_), "not a valid selector operator");
    }
  }
  validate_scope_list(scopes, go_strings("core.ResourceQuotaScope", scopes), spec, path, errors);
}

void validate_quota(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const ResourceQuota&>(object);
  const std::string shown = go_strings("core.ResourceQuotaScope", now.spec.scopes);
  validate_amounts(now.spec.hard, "spec.hard", errors);
  validate_scope_list(now.spec.scopes, shown, now.spec, "spec.scopes", errors);
  validate_scope_selector(now.spec, errors);
  if (old_object == nullptr) return;
  const auto& old = static_cast<const ResourceQuota&>(*old_object);
  auto after = now.spec.scopes, before = old.spec.scopes;
  std::sort(after.begin(), after.end());
  std::sort(before.begin(), before.end());
  check_unchanged(after == before, "spec.scopes", shown, errors);
}

void validate_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const ResourceQuota&>(object).status;
  validate_amounts(status.hard, "status.hard", errors);
  validate_amounts(status.used, "status.used", errors);
}

void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<ResourceQuota&>(object);
  now.status = old_object == nullptr ? corev1::ResourceQuotaStatus()
                                     : static_cast<const ResourceQuota&>(*old_object).status;
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& quota = static_cast<const ResourceQuota&>(object);
  std::string requests, limits;
  for (const auto& [name, hard] : quota.status.hard) {
    const auto used = quota.status.used.find(name);
    std::string& to = name.find("limits") == std::string::npos ? requests : limits;
    to += fmt::format("{}{}: {}/{}", to.empty() ? "" : ", ", name,
                      used == quota.status.used.end() ? "0" : used->second.str(), hard.str());
  }
  return {name_cell(object), text(requests), text(limits), age_cell(object, now)};
}

}  // namespace

bool is_native_resource(std::string_view name) {
  return name.find('/') == std::string_view::npos ||
         name.find("kubernetes.io/") != std::string_view::npos;
}

bool is_container_resource(std::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage" ||
         name.starts_with("hugepages-");
}

bool is_extended_resource(std::string_view name) {
  if (is_native_resource(name) || name.starts_with("requests.")) return false;
  return check_label_key("requests." + std::string(name)).empty();
}

void validate_resource_quantity(std::string_view resource, const Quantity& value,
                                const std::string& path, FieldErrors& errors) {
  if (value.sign() < 0) {
    errors.invalid(path, quoted(value.str()), "must be greater than or equal to 0");
  }
  const bool counts = listed(kCounted, resource) || is_extended_resource(resource);
  if (counts && value.milli() % 1000 != 0) {
    errors.invalid(path, quoted(value.str()), "must be an integer");
  }
}

ResourceInfo resource_quotas_resource() {
  auto info = stored_resource<ResourceQuota>("resourcequotas", "resourcequota", true);
  info.short_names = {"quota"};
  info.has_status = true;
  info.prepare = prepare;
  info.prepare_status = [](Object& object, const Object& old) {
    static_cast<ResourceQuota&>(object).spec = static_cast<const ResourceQuota&>(old).spec;
  };
  info.validate = validate_quota;
  info.validate_status = validate_status;
  info.columns = {name_column(), column("Request", "string", "What is requested, of what may be."),
                  column("Limit", "string", "What the limits sum up to, of what they may."),
                  age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
