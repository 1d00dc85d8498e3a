// May they? system:masters may everything; nodes what a kubelet needs; everybody else what RBAC
// (rbac.authorization.k8s.io/v1) grants. Reads Roles and bindings from informer caches. Any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "orch/api/rbacv1.h"
#include "orch/client/informer.h"
#include "server/api/hooks.h"

namespace orch::server {

// ---- RBAC's pure core ----

bool rule_allows(const api::rbacv1::PolicyRule& rule, const Attributes& attributes);
bool subject_matches(const api::rbacv1::Subject& subject, const UserInfo& user,
                     std::string_view binding_namespace);

class DefaultAuthorizer final : public Authorizer {
 public:
  explicit DefaultAuthorizer(client::InformerSet& informers);
  Authorization authorize(const Attributes& attributes) override;
  std::vector<HeldRule> rules_for(const UserInfo& user, std::string_view ns) override;

 private:
  // Calls `visit(rule, grant)` for every rule the user holds cluster-wide and, where `ns` is
  // given, in that namespace, until it returns false. `grant` says by what, as upstream's reasons.
  using Visit = std::function<bool(const api::rbacv1::PolicyRule&, const std::string& grant)>;
  void for_each_rule(const UserInfo& user, std::string_view ns, const Visit& visit) const;
  bool visit_role(const api::rbacv1::RoleRef& ref, std::string_view ns, const std::string& grant,
                  const Visit& visit) const;

  client::Lister<api::rbacv1::Role> roles_;
  client::Lister<api::rbacv1::RoleBinding> role_bindings_;
  client::Lister<api::rbacv1::ClusterRole> cluster_roles_;
  client::Lister<api::rbacv1::ClusterRoleBinding> cluster_role_bindings_;
};

// What group system:nodes holds (upstream's ClusterRole system:node).
const std::vector<api::rbacv1::PolicyRule>& node_rules();

}  // namespace orch::server
