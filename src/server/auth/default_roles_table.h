// The default roles as tables. A role is a line "= NAME [into=ROLE] [of=ROLE]" followed by its
// rules, one a line:
//
//   VERBS GROUPS RESOURCES [NAMES]      lists with commas; "core" is the group ""
//   VERBS paths PATHS
//   events                              what every recorder of events needs
//
// "read" stands for get, list and watch; "write" for create, delete, deletecollection, patch and
// update; "all" for both. "into=" labels the role to be aggregated to another; "of=" aggregates.
#pragma once

#include <string_view>

namespace orch::server {

extern const std::string_view kClusterRoleTable;     // upstream's ClusterRoles, sorted by name
extern const std::string_view kControllerRoleTable;  // system:controller:*, without the prefix
extern const std::string_view kNodeRuleTable;        // the rules of system:node
extern const std::string_view kOrchRoleTable;        // orch's own
// "= NAMESPACE/NAME" and rules.
extern const std::string_view kNamespaceRoleTable;
// "[NAMESPACE/]BINDING ROLE SUBJECT..." a line; subjects: group:NAME, user:NAME, sa:NAMESPACE/NAME.
extern const std::string_view kBindingTable;

}  // namespace orch::server
