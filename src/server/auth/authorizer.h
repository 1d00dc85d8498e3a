// May they? Authorizers asked one after the other, as --authorization-mode orders them: the first
// that allows or denies decides; without a decision the answer is no. Members of system:masters may
// everything. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orch/client/informer.h"
#include "server/auth/node_authorizer.h"
#include "server/auth/rbac_authorizer.h"

namespace orch::server {

class DefaultAuthorizer final : public Authorizer {
 public:
  // Node, then RBAC.
  explicit DefaultAuthorizer(client::InformerSet& informers);
  // `modes` in order. Null entries are not allowed.
  DefaultAuthorizer(client::InformerSet& informers, std::vector<std::unique_ptr<Authorizer>> modes);
  Authorization authorize(const Attributes& attributes) override;
  std::vector<HeldRule> rules_for(const UserInfo& user, std::string_view ns) override;
  // Roles and bindings are read from caches: whether they are filled.
  bool synced() const { return rbac_.synced(); }
  // The rules behind the checks against escalation, which hold whatever the modes are.
  const RbacAuthorizer& rbac() const { return rbac_; }

 private:
  RbacAuthorizer rbac_;
  std::vector<std::unique_ptr<Authorizer>> modes_;
};

}  // namespace orch::server
