// RBAC over the stored Roles and bindings, read from informer caches. Any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "orch/client/informer.h"
#include "server/auth/rbac.h"

namespace orch::server {

class RbacAuthorizer final : public Authorizer {
 public:
  explicit RbacAuthorizer(client::InformerSet& informers);
  Authorization authorize(const Attributes& attributes) override;
  std::vector<HeldRule> rules_for(const UserInfo& user, std::string_view ns) override;

  // For the checks against escalation: all rules a user holds in a namespace ("" = everywhere), and
  // those a binding would grant. `errors` receives what could not be resolved.
  PolicyRules held_rules(const UserInfo& user, std::string_view ns,
                         std::vector<std::string>& errors) const;
  api::ApiResult<PolicyRules> rules_of(const api::rbacv1::RoleRef& ref, std::string_view ns) const;
  bool synced() const;

 private:
  // Calls `visit(rule, grant)` for every rule the user holds cluster-wide and, where `ns` is
  // given, in that namespace, until it returns false. Bindings to roles that are not there are
  // told in `errors`.
  struct Grant {
    const api::Object* binding;
    const api::rbacv1::RoleRef* role;
    const api::rbacv1::Subject* subject;
  };
  using Visit = std::function<bool(const api::rbacv1::PolicyRule&, const Grant&)>;
  void for_each_rule(const UserInfo& user, std::string_view ns, const Visit& visit,
                     std::vector<std::string>& errors) const;
  static std::string described(const Grant& grant);
  std::shared_ptr<const api::Object> find_role(const api::rbacv1::RoleRef& ref, std::string_view ns,
                                               const PolicyRules** rules) const;

  std::vector<const client::InformerBase*> informers_;
  client::Lister<api::rbacv1::Role> roles_;
  client::Lister<api::rbacv1::RoleBinding> role_bindings_;
  client::Lister<api::rbacv1::ClusterRole> cluster_roles_;
  client::Lister<api::rbacv1::ClusterRoleBinding> cluster_role_bindings_;
};

}  // namespace orch::server
