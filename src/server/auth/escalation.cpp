#include "server/auth/escalation.h"

#include <fmt/format.h>

#include <set>

#include "orch/api/codec.h"
#include "orch/base/strings.h"

namespace orch::server {
namespace {

using namespace api;

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

// What the garbage collector changes.
void forget_collection(metav1::ObjectMeta& meta) {
  meta.ownerReferences.clear();
  meta.finalizers.clear();
  meta.managedFields.clear();
}

template <class T>
bool only_for_collection(const Object& now, const Object& old) {
  T a = static_cast<const T&>(now);
  T b = static_cast<const T&>(old);
  forget_collection(a.metadata);
  forget_collection(b.metadata);
  return equal(a, b);
}

bool changes_nothing_of_interest(const AdmissionRequest& request) {
  if (request.operation != Operation::kUpdate || request.old_object == nullptr) return false;
  const Object& now = *request.object;
  const Object& old = *request.old_object;
  const std::string_view plural = request.resource->plural;
  if (plural == "roles") return only_for_collection<rbacv1::Role>(now, old);
  if (plural == "clusterroles") return only_for_collection<rbacv1::ClusterRole>(now, old);
  if (plural == "rolebindings") return only_for_collection<rbacv1::RoleBinding>(now, old);
  return only_for_collection<rbacv1::ClusterRoleBinding>(now, old);
}

PolicyRules everything() {
  PolicyRules out(2);
  out[0].verbs = out[0].apiGroups = out[0].resources = {"*"};
  out[1].verbs = out[1].nonResourceURLs = {"*"};
  return out;
}

std::string quoted_list(const std::vector<std::string>& list) {
  std::vector<std::string> quoted;
  for (const auto& item : list) quoted.push_back(go_quoted(item));
  return "[" + join(quoted, " ") + "]";
}

Error refused(const AdmissionRequest& request, std::string_view why) {
  return forbidden(request.resource->group_resource(), request.object->metadata.name, why);
}

}  // namespace

ApiResult<Unit> EscalationGuard::admit(AdmissionRequest& request) {
  ORCH_CHECK(check(request));
  return inner_.admit(request);
}

bool EscalationGuard::may(const AdmissionRequest& request, const char* verb,
                          std::string_view resource, const std::string& name) const {
  Attributes attributes;
  attributes.user = request.user;
  attributes.verb = verb;
  attributes.group = kGroup;
  attributes.version = "v1";
  attributes.resource = resource;
  attributes.name = name;
  attributes.namespace_ = request.namespace_;
  return authorizer_.authorize(attributes).decision == Decision::kAllow;
}

ApiResult<Unit> EscalationGuard::confirm(const AdmissionRequest& request,
                                         const PolicyRules& rules) const {
  std::vector<std::string> errors;
  const PolicyRules held = authorizer_.rbac().held_rules(*request.user, request.namespace_, errors);
  const PolicyRules missing = compacted(uncovered(held, rules));
  if (missing.empty()) return Unit{};
  std::set<std::string> texts;
  for (const auto& rule : missing) texts.insert(shown(rule));
  std::string text = fmt::format(
      "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
      go_quoted(request.user->name), quoted_list(request.user->groups),
      join({texts.begin(), texts.end()}, "\n"));
  if (!errors.empty()) text += "; resolution errors: [" + join(errors, " ") + "]";
  return Err(refused(request, text));
}

ApiResult<Unit> EscalationGuard::check_cluster_role(const AdmissionRequest& request) const {
  const auto& role = static_cast<const rbacv1::ClusterRole&>(*request.object);
  const auto* old = static_cast<const rbacv1::ClusterRole*>(request.old_object);
  ORCH_CHECK(confirm(request, role.rules));
  // An aggregation may gather anything.
  if (!role.aggregationRule && (old == nullptr || !old->aggregationRule)) return Unit{};
  if (confirm(request, everything())) return Unit{};
  return Err(refused(request, "must have cluster-admin privileges to use the aggregationRule"));
}

ApiResult<Unit> EscalationGuard::check_binding(const AdmissionRequest& request,
                                               const rbacv1::RoleRef& ref) const {
  const char* resource = ref.kind == "ClusterRole" ? "clusterroles" : "roles";
  if (may(request, "bind", resource, ref.name)) return Unit{};
  auto rules = authorizer_.rbac().rules_of(ref, request.namespace_);
  if (!rules) return Err(rules.error());
  return confirm(request, *rules);
}

ApiResult<Unit> EscalationGuard::check(const AdmissionRequest& request) const {
  if (request.resource->group != kGroup || request.object == nullptr) return Unit{};
  if (request.operation != Operation::kCreate && request.operation != Operation::kUpdate) {
    return Unit{};
  }
  if (request.user == nullptr || request.user->in_group("system:masters")) return Unit{};
  if (changes_nothing_of_interest(request)) return Unit{};
  const std::string_view plural = request.resource->plural;
  if (plural == "rolebindings") {
    return check_binding(request, static_cast<const rbacv1::RoleBinding&>(*request.object).roleRef);
  }
  if (plural == "clusterrolebindings") {
    return check_binding(request,
                         static_cast<const rbacv1::ClusterRoleBinding&>(*request.object).roleRef);
  }
  if (may(request, "escalate", plural, request.object->metadata.name)) return Unit{};
  if (plural == "clusterroles") return check_cluster_role(request);
  return confirm(request, static_cast<const rbacv1::Role&>(*request.object).rules);
}

}  // namespace orch::server
