// RBAC's pure core (rbac.authorization.k8s.io/v1): which rule allows what, which rules cover which,
// how rules are shown. No state, no I/O; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/api/rbacv1.h"
#include "server/api/hooks.h"

namespace orch::server {

bool rule_allows(const api::rbacv1::PolicyRule& rule, const Attributes& attributes);
bool subject_matches(const api::rbacv1::Subject& subject, const UserInfo& user,
                     std::string_view binding_namespace);

using PolicyRules = std::vector<api::rbacv1::PolicyRule>;

// What of `wanted` is not held, as rules of one verb, group, resource and name each (upstream's
// validation.Covers): empty = all of it is.
PolicyRules uncovered(const PolicyRules& held, const PolicyRules& wanted);
// Rules of one group, resource and at most one name, joined where only their verbs differ.
PolicyRules compacted(const PolicyRules& rules);
// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`
std::string shown(const api::rbacv1::PolicyRule& rule);

}  // namespace orch::server
