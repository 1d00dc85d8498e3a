// Nobody grants what they do not hold: writes of Roles and ClusterRoles need every rule in them, or
// the verb "escalate"; of bindings every rule of the role bound, or the verb "bind" on it. Holds
// whatever the authorization modes are, and for every writer but members of system:masters.
#pragma once

#include "server/auth/authorizer.h"

namespace orch::server {

// `authorizer` outlives the chain; `inner` runs after the check.
class EscalationGuard final : public AdmissionChain {
 public:
  EscalationGuard(DefaultAuthorizer& authorizer, AdmissionChain& inner)
      : authorizer_(authorizer), inner_(inner) {}
  api::ApiResult<Unit> admit(AdmissionRequest& request) override;
  api::ApiResult<Unit> validate(const AdmissionRequest& request) override {
    return inner_.validate(request);
  }

 private:
  api::ApiResult<Unit> check(const AdmissionRequest& request) const;
  bool may(const AdmissionRequest& request, const char* verb, std::string_view resource,
           const std::string& name) const;
  api::ApiResult<Unit> confirm(const AdmissionRequest& request, const PolicyRules& rules) const;
  api::ApiResult<Unit> check_cluster_role(const AdmissionRequest& request) const;
  api::ApiResult<Unit> check_binding(const AdmissionRequest& request,
                                     const api::rbacv1::RoleRef& ref) const;

  DefaultAuthorizer& authorizer_;
  AdmissionChain& inner_;
};

}  // namespace orch::server
