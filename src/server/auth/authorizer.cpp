#include "server/auth/authorizer.h"

#include <fmt/format.h>

#include <algorithm>

namespace orch::server {
namespace {

using namespace api;

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool has_or_all(const std::vector<std::string>& list, std::string_view value) {
  return has(list, "*") || has(list, value);
}

bool resource_matches(const rbacv1::PolicyRule& rule, const Attributes& attributes) {
  const std::string combined = attributes.subresource.empty()
                                   ? attributes.resource
                                   : attributes.resource + "/" + attributes.subresource;
  return has_or_all(rule.resources, combined) ||
         (!attributes.subresource.empty() && has(rule.resources, "*/" + attributes.subresource));
}

bool path_matches(const rbacv1::PolicyRule& rule, std::string_view path) {
  return std::any_of(rule.nonResourceURLs.begin(), rule.nonResourceURLs.end(),
                     [path](std::string_view url) {
                       if (url == "*" || url == path) return true;
                       return url.ends_with("*") && path.starts_with(url.substr(0, url.size() - 1));
                     });
}

// Quoted names as upstream shows them: "name/namespace".
std::string described(const rbacv1::Subject& subject, std::string_view binding_namespace) {
  if (subject.kind != "ServiceAccount") {
    return fmt::format("{} {}", subject.kind, go_quoted(subject.name));
  }
  const std::string_view ns =
      subject.namespace_.empty() ? binding_namespace : std::string_view(subject.namespace_);
  return fmt::format("{} {}", subject.kind, go_quoted(fmt::format("{}/{}", subject.name, ns)));
}

rbacv1::PolicyRule rule(std::vector<std::string> verbs, std::vector<std::string> groups,
                        std::vector<std::string> resources) {
  rbacv1::PolicyRule out;
  out.verbs = std::move(verbs);
  out.apiGroups = std::move(groups);
  out.resources = std::move(resources);
  return out;
}

}  // namespace

bool rule_allows(const rbacv1::PolicyRule& rule, const Attributes& attributes) {
  if (!has_or_all(rule.verbs, attributes.verb)) return false;
  if (!attributes.resource_request) return path_matches(rule, attributes.path);
  return has_or_all(rule.apiGroups, attributes.group) && resource_matches(rule, attributes) &&
         (rule.resourceNames.empty() || has(rule.resourceNames, attributes.name));
}

bool subject_matches(const rbacv1::Subject& subject, const UserInfo& user,
                     std::string_view binding_namespace) {
  if (subject.kind == "User") return user.name == subject.name;
  if (subject.kind == "Group") return user.in_group(subject.name);
  if (subject.kind == "ServiceAccount") {
    const std::string_view ns =
        subject.namespace_.empty() ? binding_namespace : std::string_view(subject.namespace_);
    return !ns.empty() && user.name == fmt::format("system:serviceaccount:{}:{}", ns, subject.name);
  }
  return false;
}

const std::vector<rbacv1::PolicyRule>& node_rules() {
  static const std::vector<rbacv1::PolicyRule> rules = {
      rule({"create"}, {"authentication.k8s.io"}, {"tokenreviews"}),
      rule({"create"}, {"authorization.k8s.io"},
           {"localsubjectaccessreviews", "subjectaccessreviews"}),
      rule({"get", "list", "watch"}, {""}, {"services", "endpoints", "namespaces"}),
      rule({"get", "list", "watch"}, {"discovery.k8s.io"}, {"endpointslices"}),
      rule({"get", "list", "watch"}, {"networking.k8s.io"}, {"networkpolicies"}),
      rule({"create", "get", "list", "watch", "update", "patch", "delete"}, {""}, {"nodes"}),
      rule({"update", "patch"}, {""}, {"nodes/status"}),
      rule({"create", "patch", "update"}, {""}, {"events"}),
      rule({"create", "patch", "update"}, {"events.k8s.io"}, {"events"}),
      rule({"get", "list", "watch", "create", "delete"}, {""}, {"pods"}),
      rule({"update", "patch"}, {""}, {"pods/status"}),
      rule({"create"}, {""}, {"pods/eviction"}),
      rule({"get", "list", "watch"}, {""}, {"secrets", "configmaps"}),
      rule({"get"}, {""}, {"persistentvolumeclaims"}),
      // What they may change of a volume, admission decides.
      rule({"get", "list", "watch", "update", "patch"}, {""}, {"persistentvolumes"}),
      rule({"create"}, {""}, {"serviceaccounts/token"}),
      rule({"get", "create", "update", "patch", "delete"}, {"coordination.k8s.io"}, {"leases"}),
      rule({"get", "list", "watch"}, {"node.k8s.io"}, {"runtimeclasses"}),
      rule({"get", "list", "watch"}, {"storage.k8s.io"}, {"csidrivers", "volumeattachments"}),
      rule({"get", "create", "update", "patch", "delete"}, {"storage.k8s.io"}, {"csinodes"}),
  };
  return rules;
}

DefaultAuthorizer::DefaultAuthorizer(client::InformerSet& informers)
    : roles_(informers.lister<rbacv1::Role>()),
      role_bindings_(informers.lister<rbacv1::RoleBinding>()),
      cluster_roles_(informers.lister<rbacv1::ClusterRole>()),
      cluster_role_bindings_(informers.lister<rbacv1::ClusterRoleBinding>()) {}

bool DefaultAuthorizer::visit_role(const rbacv1::RoleRef& ref, std::string_view ns,
                                   const std::string& grant, const Visit& visit) const {
  const auto each = [&](const std::vector<rbacv1::PolicyRule>& rules) {
    return std::all_of(rules.begin(), rules.end(),
                       [&](const auto& held) { return visit(held, grant); });
  };
  if (ref.kind == "ClusterRole") {
    auto role = cluster_roles_.get("", ref.name);
    return !role || each(role->rules);
  }
  auto role = roles_.get(ns, ref.name);
  return !role || each(role->rules);
}

void DefaultAuthorizer::for_each_rule(const UserInfo& user, std::string_view ns,
                                      const Visit& visit) const {
  const auto bound = [&](const auto& binding) -> const rbacv1::Subject* {
    for (const auto& subject : binding.subjects) {
      if (subject_matches(subject, user, binding.metadata.namespace_)) return &subject;
    }
    return nullptr;
  };
  for (const auto& binding : cluster_role_bindings_.list()) {
    const auto* subject = bound(*binding);
    if (subject == nullptr) continue;
    const std::string shown = fmt::format(
        "ClusterRoleBinding {} of {} {} to {}", go_quoted(binding->metadata.name),
        binding->roleRef.kind, go_quoted(binding->roleRef.name), described(*subject, ""));
    if (!visit_role(binding->roleRef, "", shown, visit)) return;
  }
  if (ns.empty()) return;
  for (const auto& binding : role_bindings_.list(ns)) {
    const auto* subject = bound(*binding);
    if (subject == nullptr) continue;
    const std::string shown = fmt::format(
        "RoleBinding {} of {} {} to {}",
        go_quoted(fmt::format("{}/{}", binding->metadata.name, ns)), binding->roleRef.kind,
        go_quoted(binding->roleRef.name), described(*subject, ns));
    if (!visit_role(binding->roleRef, ns, shown, visit)) return;
  }
}

Authorization DefaultAuthorizer::authorize(const Attributes& attributes) {
  const UserInfo& user = *attributes.user;
  if (user.in_group("system:masters")) return {Decision::kAllow, "", ""};
  if (user.in_group("system:nodes") && user.name.starts_with("system:node:")) {
    for (const auto& held : node_rules()) {
      if (rule_allows(held, attributes)) return {Decision::kAllow, "", ""};
    }
  }
  Authorization answer{Decision::kNoOpinion, "", ""};
  for_each_rule(user, attributes.namespace_,
                [&](const rbacv1::PolicyRule& held, const std::string& grant) {
                  if (!rule_allows(held, attributes)) return true;
                  answer = {Decision::kAllow, "RBAC: allowed by " + grant, ""};
                  return false;
                });
  return answer;
}

std::vector<HeldRule> DefaultAuthorizer::rules_for(const UserInfo& user, std::string_view ns) {
  std::vector<HeldRule> out;
  const auto add = [&out](const rbacv1::PolicyRule& held) {
    out.push_back(
        {held.verbs, held.apiGroups, held.resources, held.resourceNames, held.nonResourceURLs});
  };
  if (user.in_group("system:masters")) {
    out.push_back({{"*"}, {"*"}, {"*"}, {}, {}});
    out.push_back({{"*"}, {}, {}, {}, {"*"}});
  }
  if (user.in_group("system:nodes")) std::for_each(node_rules().begin(), node_rules().end(), add);
  for_each_rule(user, ns, [&](const rbacv1::PolicyRule& held, const std::string&) {
    add(held);
    return true;
  });
  return out;
}

}  // namespace orch::server
