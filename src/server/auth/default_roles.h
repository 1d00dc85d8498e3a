// RBAC's default roles and bindings (upstream's bootstrap policy of 1.32), and what orch's own
// parts need beyond it (names with the prefix "orch:"), as objects. Labels and annotations
// included.
#pragma once

#include <string_view>
#include <vector>

#include "orch/api/rbacv1.h"

namespace orch::server {

std::vector<api::rbacv1::ClusterRole> bootstrap_roles();
std::vector<api::rbacv1::ClusterRoleBinding> bootstrap_role_bindings();
std::vector<api::rbacv1::Role> bootstrap_namespace_roles();
std::vector<api::rbacv1::RoleBinding> bootstrap_namespace_role_bindings();

// The rules in a text of one rule a line (see default_roles_table.h).
std::vector<api::rbacv1::PolicyRule> parse_rules(std::string_view text);

}  // namespace orch::server
