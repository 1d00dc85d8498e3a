#include "server/auth/rbac_authorizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::server {

using namespace api;
using rbacv1::ClusterRole, rbacv1::ClusterRoleBinding, rbacv1::Role, rbacv1::RoleBinding;

namespace {

Error role_not_found(const rbacv1::RoleRef& ref, bool plural) {
  std::string resource = ref.kind == "ClusterRole" ? "clusterrole" : "role";
  if (plural) resource += 's';
  return not_found({"rbac.authorization.k8s.io", resource}, ref.name);
}

// Errors as Go's aggregates show them.
std::string aggregate(const std::vector<std::string>& errors) {
  if (errors.size() == 1) return errors[0];
  return "[" + join(errors, ", ") + "]";
}

}  // namespace

RbacAuthorizer::RbacAuthorizer(client::InformerSet& informers)
    : informers_{&informers.get<Role>(), &informers.get<RoleBinding>(),
                 &informers.get<ClusterRole>(), &informers.get<ClusterRoleBinding>()},
      roles_(informers.lister<Role>()),
      role_bindings_(informers.lister<RoleBinding>()),
      cluster_roles_(informers.lister<ClusterRole>()),
      cluster_role_bindings_(informers.lister<ClusterRoleBinding>()) {}

bool RbacAuthorizer::synced() const {
  return std::all_of(informers_.begin(), informers_.end(),
                     [](const auto* informer) { return informer->synced(); });
}

std::shared_ptr<const Object> RbacAuthorizer::find_role(const rbacv1::RoleRef& ref,
                                                        std::string_view ns,
                                                        const PolicyRules** rules) const {
  if (ref.kind == "ClusterRole") {
    auto role = cluster_roles_.get("", ref.name);
    if (role) *rules = &role->rules;
    return role;
  }
  auto role = roles_.get(ns, ref.name);
  if (role) *rules = &role->rules;
  return role;
}

void RbacAuthorizer::for_each_rule(const UserInfo& user, std::string_view ns, const Visit& visit,
                                   std::vector<std::string>& errors) const {
  bool going = true;
  const auto each = [&](const auto& binding, std::string_view binding_ns) {
    for (const auto& subject : binding.subjects) {
      if (!subject_matches(subject, user, binding_ns)) continue;
      const PolicyRules* rules = nullptr;
      const auto role = find_role(binding.roleRef, binding_ns, &rules);
      if (!role) {
        errors.push_back(role_not_found(binding.roleRef, false).message);
        return;
      }
      const Grant grant{&binding, &binding.roleRef, &subject};
      for (const auto& rule : *rules) {
        if (!visit(rule, grant)) {
          going = false;
          return;
        }
      }
      return;
    }
  };
  for (const auto& binding : cluster_role_bindings_.list()) {
    if (each(*binding, ""); !going) return;
  }
  if (ns.empty()) return;
  for (const auto& binding : role_bindings_.list(ns)) {
    if (each(*binding, ns); !going) return;
  }
}

std::string RbacAuthorizer::described(const Grant& grant) {
  const auto& meta = grant.binding->metadata;
  const bool namespaced = !meta.namespace_.empty();
  const auto& subject = *grant.subject;
  std::string who = subject.name;
  if (subject.kind == "ServiceAccount") {
    who += "/" + (subject.namespace_.empty() ? meta.namespace_ : subject.namespace_);
  }
  return fmt::format("{} {} of {} {} to {} {}", namespaced ? "RoleBinding" : "ClusterRoleBinding",
                     go_quoted(namespaced ? meta.name + "/" + meta.namespace_ : meta.name),
                     grant.role->kind, go_quoted(grant.role->name), subject.kind, go_quoted(who));
}

Authorization RbacAuthorizer::authorize(const Attributes& attributes) {
  Authorization answer{Decision::kNoOpinion, "", ""};
  std::vector<std::string> errors;
  for_each_rule(
      *attributes.user, attributes.namespace_,
      [&](const rbacv1::PolicyRule& held, const Grant& grant) {
        if (!rule_allows(held, attributes)) return true;
        answer = {Decision::kAllow, "RBAC: allowed by " + described(grant), ""};
        return false;
      },
      errors);
  if (answer.decision != Decision::kAllow && !errors.empty()) {
    answer.reason = "RBAC: " + aggregate(errors);
  }
  return answer;
}

PolicyRules RbacAuthorizer::held_rules(const UserInfo& user, std::string_view ns,
                                       std::vector<std::string>& errors) const {
  PolicyRules out;
  for_each_rule(
      user, ns,
      [&](const rbacv1::PolicyRule& held, const Grant&) {
        out.push_back(held);
        return true;
      },
      errors);
  return out;
}

ApiResult<PolicyRules> RbacAuthorizer::rules_of(const rbacv1::RoleRef& ref,
                                                std::string_view ns) const {
  const PolicyRules* rules = nullptr;
  const auto role = find_role(ref, ns, &rules);
  if (!role) return Err(role_not_found(ref, true));
  return *rules;
}

std::vector<HeldRule> RbacAuthorizer::rules_for(const UserInfo& user, std::string_view ns) {
  std::vector<HeldRule> out;
  std::vector<std::string> errors;
  for (auto& held : held_rules(user, ns, errors)) {
    out.push_back({std::move(held.verbs), std::move(held.apiGroups), std::move(held.resources),
                   std::move(held.resourceNames), std::move(held.nonResourceURLs)});
  }
  return out;
}

}  // namespace orch::server
