// flowcontrol.apiserver.k8s.io/v1 FlowSchema.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/checks.h"
#include "api/kinds/flowcontrol/conditions.h"
#include "orch/api/flow_defaults.h"

namespace orch::api {
namespace {

using flowcontrolv1::FlowSchema;
using flowcontrolv1::NonResourcePolicyRule;
using flowcontrolv1::PolicyRulesWithSubjects;
using flowcontrolv1::ResourcePolicyRule;
using flowcontrolv1::Subject;

constexpr int32_t kPrecedenceDefault = 1000;
constexpr int32_t kPrecedenceMax = 10000;
constexpr std::string_view kVerbs[] = {"create", "delete", "deletecollection", "get",  "list",
                                       "patch",  "proxy",  "update",           "watch"};

void set_schema_defaults(Object& object) {
  auto& spec = static_cast<FlowSchema&>(object).spec;
  if (spec.matchingPrecedence == 0) spec.matchingPrecedence = kPrecedenceDefault;
}

void validate_subject(const Subject& subject, const std::string& path, FieldErrors& errors) {
  const auto only = [&](bool there, const char* field, const char* kind) {
    if (there && subject.kind != kind) {
      errors.forbidden(path + "." + field,
                       fmt::format("{} is forbidden when subject kind is not '{}'", field, kind));
    }
    if (!there && subject.kind == kind) {
      errors.required(path + "." + field,
                      fmt::format("{} is required when subject kind is '{}'", field, kind));
    }
  };
  if (subject.kind != "ServiceAccount" && subject.kind != "User" && subject.kind != "Group") {
    return errors.not_supported(path + ".kind", subject.kind, {"Group", "ServiceAccount", "User"});
  }
  only(subject.serviceAccount.has_value(), "serviceAccount", "ServiceAccount");
  only(subject.user.has_value(), "user", "User");
  only(subject.group.has_value(), "group", "Group");
  if (subject.user && subject.kind == "User") {
    check_required(subject.user->name, path + ".user.name", errors);
  }
  if (subject.group && subject.kind == "Group") {
    check_required(subject.group->name, path + ".group.name", errors);
  }
  if (!subject.serviceAccount || subject.kind != "ServiceAccount") return;
  const auto& account = *subject.serviceAccount;
  if (account.name.empty()) {
    errors.required(path + ".serviceAccount.name");
  } else if (account.name != "*") {
    validate_by(check_dns1123_subdomain, account.name, path + ".serviceAccount.name", errors);
  }
  if (account.namespace_.empty()) {
    errors.required(path + ".serviceAccount.namespace",
                    "must specify namespace for service account");
  } else {
    validate_by(check_dns1123_label, account.namespace_, path + ".serviceAccount.namespace",
                errors);
  }
}

void validate_verbs(const std::vector<std::string>& verbs, const std::string& path,
                    FieldErrors& errors) {
  if (verbs.empty()) return errors.required(path, "verbs must contain at least one value");
  if (listed(verbs, "*")) {
    if (verbs.size() > 1) {
      errors.invalid(path, go_value(verbs), "if '*' is present, must not specify other verbs");
    }
    return;
  }
  const bool known = std::all_of(verbs.begin(), verbs.end(),
                                 [](const std::string& verb) { return listed(kVerbs, verb); });
  if (known) return;
  errors.not_supported(path, fmt::format("{}", fmt::join(verbs, " ")),
                       std::vector<std::string>(std::begin(kVerbs), std::end(kVerbs)));
}

void validate_only_star(const std::vector<std::string>& values, const std::string& path,
                        const char* what, FieldErrors& errors) {
  if (values.size() < 2 || !listed(values, "*")) return;
  errors.invalid(path, go_value(values),
                 fmt::format("if '*' is present, must not specify other {}", what));
}

void validate_resource_rule(const ResourcePolicyRule& rule, const std::string& path,
                            FieldErrors& errors) {
  validate_verbs(rule.verbs, path + ".verbs", errors);
  if (rule.apiGroups.empty()) {
    errors.required(path + ".apiGroups", "resource rules must supply at least one api group");
  }
  validate_only_star(rule.apiGroups, path + ".apiGroups", "api groups", errors);
  if (rule.resources.empty()) {
    errors.required(path + ".resources", "resource rules must supply at least one resource");
  }
  validate_only_star(rule.resources, path + ".resources", "resources", errors);
  if (rule.namespaces.empty() && !rule.clusterScope) {
    errors.required(path + ".namespaces",
                    "resource rules that are not cluster scoped must supply at least one "
                    "namespace");
  }
  validate_only_star(rule.namespaces, path + ".namespaces", "namespaces", errors);
  if (listed(rule.namespaces, "*")) return;
  for (size_t i = 0; i < rule.namespaces.size(); ++i) {
    if (const auto why = check_dns1123_label(rule.namespaces[i]); !why.empty()) {
      errors.invalid(indexed(path + ".namespaces", i), quoted(rule.namespaces[i]),
                     "each member of this list must be '*' or a DNS-1123 label; " + why);
    }
  }
}

// "" = good.
std::string check_url(const std::string& url) {
  if (url.empty()) return "must not be empty";
  if (url == "/") return "";
  if (url.front() != '/') return "must start with slash";
  if (url.find(' ') != std::string::npos) return "must not contain white-space";
  if (url.find("//") != std::string::npos) return "must not contain double slash";
  const auto stars = std::count(url.begin(), url.end(), '*');
  return stars > 1 || (stars == 1 && !url.ends_with("/*")) ? "wildcard can only do suffix matching"
                                                           : "";
}

void validate_path_rule(const NonResourcePolicyRule& rule, const std::string& path,
                        FieldErrors& errors) {
  validate_verbs(rule.verbs, path + ".verbs", errors);
  const std::string at = path + ".nonResourceURLs";
  if (rule.nonResourceURLs.empty()) {
    errors.required(at, "nonResourceURLs must contain at least one value");
  }
  validate_only_star(rule.nonResourceURLs, at, "non-resource URLs", errors);
  if (listed(rule.nonResourceURLs, "*")) return;
  for (size_t i = 0; i < rule.nonResourceURLs.size(); ++i) {
    if (const auto why = check_url(rule.nonResourceURLs[i]); !why.empty()) {
      errors.invalid(indexed(at, i), quoted(rule.nonResourceURLs[i]), why);
    }
  }
}

void validate_rule(const PolicyRulesWithSubjects& rule, const std::string& path,
                   FieldErrors& errors) {
  if (rule.subjects.empty()) {
    errors.required(path + ".subjects", "subjects must contain at least one value");
  }
  for (size_t i = 0; i < rule.subjects.size(); ++i) {
    validate_subject(rule.subjects[i], indexed(path + ".subjects", i), errors);
  }
  if (rule.resourceRules.empty() && rule.nonResourceRules.empty()) {
    errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
  }
  for (size_t i = 0; i < rule.resourceRules.size(); ++i) {
    validate_resource_rule(rule.resourceRules[i], indexed(path + ".resourceRules", i), errors);
  }
  for (size_t i = 0; i < rule.nonResourceRules.size(); ++i) {
    validate_path_rule(rule.nonResourceRules[i], indexed(path + ".nonResourceRules", i), errors);
  }
}

void validate_schema(const Object& object, const Object*, FieldErrors& errors) {
  const auto& schema = static_cast<const FlowSchema&>(object);
  const auto& spec = schema.spec;
  const auto precedence = [&](bool bad, const std::string& why) {
    if (bad) {
      errors.invalid("spec.matchingPrecedence", std::to_string(spec.matchingPrecedence), why);
    }
  };
  precedence(spec.matchingPrecedence <= 0, "must be a positive value");
  precedence(spec.matchingPrecedence > kPrecedenceMax,
             fmt::format("must not be greater than {}", kPrecedenceMax));
  precedence(spec.matchingPrecedence == 1 && schema.metadata.name != "exempt",
             "only the schema named 'exempt' may have matchingPrecedence 1");
  if (spec.distinguisherMethod) {
    check_one_of(spec.distinguisherMethod->type, "spec.distinguisherMethod.type",
                 {"ByNamespace", "ByUser"}, errors);
  }
  const std::string& level = spec.priorityLevelConfiguration.name;
  if (level.empty()) {
    errors.required("spec.priorityLevelConfiguration.name", "must reference a priority level");
  } else {
    validate_by(check_dns1123_subdomain, level, "spec.priorityLevelConfiguration.name", errors);
  }
  for (size_t i = 0; i < spec.rules.size(); ++i) {
    validate_rule(spec.rules[i], indexed("spec.rules", i), errors);
  }
  for (const auto& fixed : mandatory_flow_schemas()) {
    if (fixed.metadata.name != schema.metadata.name || equal(fixed.spec, spec)) continue;
    errors.invalid("spec", go_value(flowcontrolv1::FlowSchemaSpec::type_info(), &spec),
                   fmt::format("spec of '{}' must equal the fixed value", schema.metadata.name));
  }
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& schema = static_cast<const FlowSchema&>(object);
  const auto& method = schema.spec.distinguisherMethod;
  std::string dangling = "?";
  for (const auto& c : schema.status.conditions) {
    if (c.type == "Dangling") dangling = c.status;
  }
  return {name_cell(object),
          text(schema.spec.priorityLevelConfiguration.name),
          number(schema.spec.matchingPrecedence),
          text(method ? method->type : "<none>"),
          age_cell(object, now),
          text(dangling)};
}

}  // namespace

ResourceInfo flow_schemas_resource() {
  auto info = stored_resource<FlowSchema>("flowschemas", "flowschema", false);
  info.has_status = true;
  info.set_defaults = set_schema_defaults;
  info.prepare = prepare_spec_and_status<FlowSchema>;
  info.prepare_status = prepare_status_only<FlowSchema>;
  info.validate = validate_schema;
  info.validate_status = [](const Object& now, const Object&, FieldErrors& errors) {
    validate_condition_types(static_cast<const FlowSchema&>(now).status.conditions, errors);
  };
  info.columns = {name_column(),
                  column("PriorityLevel", "string", "The priority level it assigns."),
                  column("MatchingPrecedence", "string", "Its place among schemas."),
                  column("DistinguisherMethod", "string", "How requests become flows."),
                  age_column(),
                  column("MissingPL", "string", "Whether its priority level is missing.")};
  info.row = row;
  return info;
}

}  // namespace orch::api
