// RBAC's basic and user-facing roles (upstream's bootstrap policy), as data.
#pragma once

#include <string>
#include <vector>

#include "orch/api/rbacv1.h"

namespace orch::server {

// Labels and annotations included.
std::vector<api::rbacv1::ClusterRole> bootstrap_roles();
std::vector<api::rbacv1::ClusterRoleBinding> bootstrap_role_bindings();

}  // namespace orch::server
