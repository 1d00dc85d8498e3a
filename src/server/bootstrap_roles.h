// RBAC's default roles and bindings (upstream's bootstrap policy of 1.32), and what orch's own
// parts need beyond it (names with the prefix "orch:"). Data, and how a start brings it back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/api/rbacv1.h"
#include "orch/base/result.h"
#include "orch/client/client.h"

namespace orch::server {

// Labels and annotations included.
std::vector<api::rbacv1::ClusterRole> bootstrap_roles();
std::vector<api::rbacv1::ClusterRoleBinding> bootstrap_role_bindings();
std::vector<api::rbacv1::Role> bootstrap_namespace_roles();
std::vector<api::rbacv1::RoleBinding> bootstrap_namespace_role_bindings();

// The rules of a table of lines (see bootstrap_roles_table.h) that starts at `text`.
std::vector<api::rbacv1::PolicyRule> parse_rules(std::string_view text);

// Creates what is missing, and adds missing rules, labels and subjects to what is there, unless its
// annotation rbac.authorization.kubernetes.io/autoupdate is not "true". What somebody added stays.
// Blocking; at the fixpoint it writes nothing.
Result<Unit, std::string> reconcile_bootstrap_roles(const client::Client& client);

}  // namespace orch::server
