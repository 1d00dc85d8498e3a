// rbac.authorization.k8s.io/v1.
#include <type_traits>

#include "api/kinds/checks.h"
#include "orch/api/rbacv1.h"

namespace orch::api {
namespace {

using namespace rbacv1;

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

void validate_rules(const std::vector<PolicyRule>& rules, bool namespaced, FieldErrors& errors) {
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto& rule = rules[i];
    const std::string at = indexed("rules", i);
    if (rule.verbs.empty()) errors.required(at + ".verbs", "verbs must contain at least one value");
    if (!rule.nonResourceURLs.empty()) {
      if (namespaced) {
        errors.invalid(at + ".nonResourceURLs", go_value(rule.nonResourceURLs),
                       "namespaced rules cannot apply to non-resource URLs");
      }
      if (!rule.apiGroups.empty() || !rule.resources.empty() || !rule.resourceNames.empty()) {
        errors.invalid(at + ".nonResourceURLs", go_value(rule.nonResourceURLs),
                       "rules cannot apply to both regular resources and non-resource URLs");
      }
      continue;
    }
    if (rule.apiGroups.empty()) {
      errors.required(at + ".apiGroups", "resource rules must supply at least one api group");
    }
    if (rule.resources.empty()) {
      errors.required(at + ".resources", "resource rules must supply at least one resource");
    }
  }
}

template <class Binding>
void binding_defaults(Object& object) {
  auto& binding = static_cast<Binding&>(object);
  if (binding.roleRef.apiGroup.empty()) binding.roleRef.apiGroup = std::string(kGroup);
  for (auto& subject : binding.subjects) {
    if (subject.apiGroup.empty() && (subject.kind == "User" || subject.kind == "Group")) {
      subject.apiGroup = std::string(kGroup);
    }
  }
}

void validate_aggregation(const AggregationRule& rule, FieldErrors& errors) {
  const std::string path = "aggregationRule.clusterRoleSelectors";
  if (rule.clusterRoleSelectors.empty()) {
    errors.required(path,
                    "at least one clusterRoleSelector required if aggregationRule is non-nil");
  }
  for (size_t i = 0; i < rule.clusterRoleSelectors.size(); ++i) {
    validate_label_selector(rule.clusterRoleSelectors[i], indexed(path, i), errors);
  }
}

void validate_subject(const Subject& subject, bool namespaced, const std::string& path,
                      FieldErrors& errors) {
  check_required(subject.name, path + ".name", errors);
  const bool account = subject.kind == "ServiceAccount";
  if (!account && subject.kind != "User" && subject.kind != "Group") {
    return errors.not_supported(path + ".kind", subject.kind, {"ServiceAccount", "User", "Group"});
  }
  if (account && !subject.name.empty()) {
    validate_by(check_dns1123_subdomain, subject.name, path + ".name", errors);
  }
  const std::string_view group = account ? "" : kGroup;
  check_one_of(subject.apiGroup, path + ".apiGroup", {group}, errors);
  if (account && !namespaced) check_required(subject.namespace_, path + ".namespace", errors);
}

void validate_role_ref(const RoleRef& ref, bool namespaced, FieldErrors& errors) {
  check_one_of(ref.apiGroup, "roleRef.apiGroup", {kGroup}, errors);
  if (namespaced) {
    check_one_of(ref.kind, "roleRef.kind", {"Role", "ClusterRole"}, errors);
  } else {
    check_one_of(ref.kind, "roleRef.kind", {"ClusterRole"}, errors);
  }
  check_required(ref.name, "roleRef.name", errors);
  if (!ref.name.empty()) validate_by(check_path_segment, ref.name, "roleRef.name", errors);
}

template <class Binding>
void validate_binding(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& binding = static_cast<const Binding&>(object);
  const bool namespaced = std::is_same_v<Binding, RoleBinding>;
  validate_role_ref(binding.roleRef, namespaced, errors);
  for (size_t i = 0; i < binding.subjects.size(); ++i) {
    validate_subject(binding.subjects[i], namespaced, indexed("subjects", i), errors);
  }
  if (old_object == nullptr) return;
  if (!equal(binding.roleRef, static_cast<const Binding&>(*old_object).roleRef)) {
    errors.invalid("roleRef", go_value(RoleRef::type_info(), &binding.roleRef),
                   "cannot change roleRef");
  }
}

std::vector<Column> role_columns() {
  return {name_column(), column("Created At", "date", "When it was created.")};
}
std::vector<Cell> role_row(const Object& object, WallTime) {
  return {name_cell(object), text(object.metadata.creationTimestamp.str())};
}

std::vector<Column> binding_columns() {
  return {name_column(),
          column("Role", "string", "The role it grants."),
          age_column(),
          column("Users", "string", "Users who get it.", 1),
          column("Groups", "string", "Groups who get it.", 1),
          column("ServiceAccounts", "string", "ServiceAccounts that get it.", 1)};
}
template <class Binding>
std::vector<Cell> binding_row(const Object& object, WallTime now) {
  const auto& binding = static_cast<const Binding&>(object);
  std::string users, groups, accounts;
  for (const auto& subject : binding.subjects) {
    std::string* to = subject.kind == "User"    ? &users
                      : subject.kind == "Group" ? &groups
                                                : &accounts;
    if (!to->empty()) *to += ", ";
    *to +=
        subject.kind == "ServiceAccount" ? subject.namespace_ + "/" + subject.name : subject.name;
  }
  return {name_cell(object),     text(binding.roleRef.kind + "/" + binding.roleRef.name),
          age_cell(object, now), text(users),
          text(groups),          text(accounts)};
}

}  // namespace

ResourceInfo roles_resource() {
  auto info = stored_resource<Role>("roles", "role", true);
  info.validate = [](const Object& object, const Object*, FieldErrors& errors) {
    validate_rules(static_cast<const Role&>(object).rules, true, errors);
  };
  info.columns = role_columns();
  info.row = role_row;
  return info;
}

ResourceInfo cluster_roles_resource() {
  auto info = stored_resource<ClusterRole>("clusterroles", "clusterrole", false);
  info.validate = [](const Object& object, const Object*, FieldErrors& errors) {
    const auto& role = static_cast<const ClusterRole&>(object);
    validate_rules(role.rules, false, errors);
    if (role.aggregationRule) validate_aggregation(*role.aggregationRule, errors);
  };
  info.columns = role_columns();
  info.row = role_row;
  return info;
}

ResourceInfo role_bindings_resource() {
  auto info = stored_resource<RoleBinding>("rolebindings", "rolebinding", true);
  info.set_defaults = binding_defaults<RoleBinding>;
  info.validate = validate_binding<RoleBinding>;
  info.columns = binding_columns();
  info.row = binding_row<RoleBinding>;
  return info;
}

ResourceInfo cluster_role_bindings_resource() {
  auto info =
      stored_resource<ClusterRoleBinding>("clusterrolebindings", "clusterrolebinding", false);
  info.set_defaults = binding_defaults<ClusterRoleBinding>;
  info.validate = validate_binding<ClusterRoleBinding>;
  info.columns = binding_columns();
  info.row = binding_row<ClusterRoleBinding>;
  return info;
}

}  // namespace orch::api
