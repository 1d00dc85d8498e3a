// Brings RBAC's default roles and bindings (src/server/auth/default_roles.h) back at a start.
#pragma once

#include <string>

#include "orch/base/result.h"
#include "orch/client/client.h"

namespace orch::server {

// Creates what is missing, and adds missing rules, labels and subjects to what is there, unless its
// annotation rbac.authorization.kubernetes.io/autoupdate is not "true". What somebody added stays.
// Blocking; at the fixpoint it writes nothing.
Result<Unit, std::string> reconcile_bootstrap_roles(const client::Client& client);

}  // namespace orch::server
