// rbac.authorization.k8s.io/v1.
#include "api/kinds/common.h"
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
        errors.invalid(at + ".nonResourceURLs", quoted(rule.nonResourceURLs[0]),
                       "namespaced rules cannot apply to non-resource URLs");
      }
      if (!rule.apiGroups.empty() || !rule.resources.empty() || !rule.resourceNames.empty()) {
        errors.invalid(at + ".nonResourceURLs", quoted(rule.nonResourceURLs[0]),
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

template <class Binding>
void validate_binding(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& binding = static_cast<const Binding&>(object);
  const bool namespaced = !binding.metadata.namespace_.empty();
  if (binding.roleRef.apiGroup != kGroup) {
    errors.not_supported("roleRef.apiGroup", binding.roleRef.apiGroup, {std::string(kGroup)});
  }
  const std::string& kind = binding.roleRef.kind;
  if (kind != "ClusterRole" && !(namespaced && kind == "Role")) {
    errors.not_supported("roleRef.kind", kind,
                         namespaced ? std::vector<std::string>{"Role", "ClusterRole"}
                                    : std::vector<std::string>{"ClusterRole"});
  }
  if (binding.roleRef.name.empty()) errors.required("roleRef.name");
  for (size_t i = 0; i < binding.subjects.size(); ++i) {
    const auto& subject = binding.subjects[i];
    const std::string at = indexed("subjects", i);
    if (subject.name.empty()) errors.required(at + ".name");
    if (subject.kind == "ServiceAccount") {
      if (!namespaced && subject.namespace_.empty()) errors.required(at + ".namespace");
    } else if (subject.kind != "User" && subject.kind != "Group") {
      errors.not_supported(at + ".kind", subject.kind, {"ServiceAccount", "User", "Group"});
    }
  }
  if (old_object == nullptr) return;
  const auto& old = static_cast<const Binding&>(*old_object);
  if (!equal(binding.roleRef, old.roleRef)) {
    errors.invalid("roleRef", quoted(binding.roleRef.name), "cannot change roleRef");
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
    validate_rules(static_cast<const ClusterRole&>(object).rules, false, errors);
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
