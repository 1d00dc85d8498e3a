#include "server/bootstrap_roles.h"

namespace orch::server {
namespace {

using namespace api;
using List = std::vector<std::string>;
using Rules = std::vector<rbacv1::PolicyRule>;

rbacv1::PolicyRule rule(List verbs, List groups, List resources, List urls = {}) {
  rbacv1::PolicyRule out;
  out.verbs = std::move(verbs);
  out.apiGroups = std::move(groups);
  out.resources = std::move(resources);
  out.nonResourceURLs = std::move(urls);
  return out;
}

rbacv1::ClusterRole role(const std::string& name, Rules rules) {
  rbacv1::ClusterRole out;
  out.metadata.name = name;
  out.metadata.labels = {{"kubernetes.io/bootstrapping", "rbac-defaults"}};
  out.metadata.annotations = {{"rbac.authorization.kubernetes.io/autoupdate", "true"}};
  out.rules = std::move(rules);
  return out;
}

constexpr const char* kAggregateTo = "rbac.authorization.k8s.io/aggregate-to-";

// A role that also holds the rules of all roles labelled to be aggregated to it; `into` names the
// one it is aggregated to itself.
rbacv1::ClusterRole aggregated(const std::string& name, Rules rules, const std::string& into = "") {
  rbacv1::ClusterRole out = role(name, std::move(rules));
  if (!into.empty()) out.metadata.labels[kAggregateTo + into] = "true";
  out.aggregationRule.ensure().clusterRoleSelectors.emplace_back().matchLabels = {
      {kAggregateTo + name, "true"}};
  return out;
}
rbacv1::ClusterRole aggregated_part(const std::string& into, Rules rules) {
  rbacv1::ClusterRole out = role("system:aggregate-to-" + into, std::move(rules));
  out.metadata.labels[kAggregateTo + into] = "true";
  return out;
}

// What the approver of agents' certificates asks for.
rbacv1::ClusterRole node_client_role(const std::string& what) {
  return role("system:certificates.k8s.io:certificatesigningrequests:" + what,
              {rule({"create"}, {"certificates.k8s.io"}, {"certificatesigningrequests/" + what})});
}

rbacv1::ClusterRoleBinding binding(const std::string& name, const List& groups) {
  rbacv1::ClusterRoleBinding out;
  out.metadata.name = name;
  out.metadata.labels = {{"kubernetes.io/bootstrapping", "rbac-defaults"}};
  out.metadata.annotations = {{"rbac.authorization.kubernetes.io/autoupdate", "true"}};
  out.roleRef.apiGroup = "rbac.authorization.k8s.io";
  out.roleRef.kind = "ClusterRole";
  out.roleRef.name = name;
  for (const auto& group : groups) {
    auto& subject = out.subjects.emplace_back();
    subject.kind = "Group";
    subject.apiGroup = "rbac.authorization.k8s.io";
    subject.name = group;
  }
  return out;
}

const List kRead = {"get", "list", "watch"};
const List kWrite = {"create", "delete", "deletecollection", "patch", "update"};

// What may be seen and changed in a namespace, by group. Secrets and what gives access to them
// are for those who may edit.
Rules view_rules() {
  return {
      rule(kRead, {""},
           {"configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status",
            "pods", "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts",
            "services", "services/status"}),
      rule(kRead, {""},
           {"bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
            "replicationcontrollers/status", "resourcequotas", "resourcequotas/status"}),
      rule(kRead, {""}, {"namespaces"}),
      rule(kRead, {"discovery.k8s.io"}, {"endpointslices"}),
      rule(kRead, {"apps"},
           {"controllerrevisions", "daemonsets", "daemonsets/status", "deployments",
            "deployments/scale", "deployments/status", "replicasets", "replicasets/scale",
            "replicasets/status", "statefulsets", "statefulsets/scale", "statefulsets/status"}),
      rule(kRead, {"autoscaling"}, {"horizontalpodautoscalers", "horizontalpodautoscalers/status"}),
      rule(kRead, {"batch"}, {"cronjobs", "cronjobs/status", "jobs", "jobs/status"}),
      rule(kRead, {"policy"}, {"poddisruptionbudgets", "poddisruptionbudgets/status"}),
      rule(kRead, {"networking.k8s.io"}, {"ingresses", "ingresses/status", "networkpolicies"}),
  };
}

Rules edit_rules() {
  return {
      rule(kRead, {""},
           {"pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets",
            "services/proxy"}),
      rule({"impersonate"}, {""}, {"serviceaccounts"}),
      rule(kWrite, {""}, {"pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"}),
      rule({"create"}, {""}, {"pods/eviction"}),
      rule(kWrite, {""},
           {"configmaps", "events", "persistentvolumeclaims", "replicationcontrollers",
            "replicationcontrollers/scale", "secrets", "serviceaccounts", "services",
            "services/proxy"}),
      rule({"create"}, {""}, {"serviceaccounts/token"}),
      rule(kWrite, {"apps"},
           {"daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets",
            "replicasets/scale", "statefulsets", "statefulsets/scale"}),
      rule(kWrite, {"autoscaling"}, {"horizontalpodautoscalers"}),
      rule(kWrite, {"batch"}, {"cronjobs", "jobs"}),
      rule(kWrite, {"policy"}, {"poddisruptionbudgets"}),
      rule(kWrite, {"networking.k8s.io"}, {"ingresses", "networkpolicies"}),
      rule({"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
           {"coordination.k8s.io"}, {"leases"}),
  };
}

Rules admin_rules() {
  return {
      rule({"create"}, {"authorization.k8s.io"}, {"localsubjectaccessreviews"}),
      rule({"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
           {"rbac.authorization.k8s.io"}, {"rolebindings", "roles"}),
  };
}

Rules joined(Rules a, const Rules& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::vector<rbacv1::ClusterRole> bootstrap_roles() {
  const List health = {"/healthz", "/livez", "/readyz", "/version", "/version/"};
  const List discovery = {"/api",     "/api/*",     "/apis",   "/apis/*",  "/healthz", "/livez",
                          "/openapi", "/openapi/*", "/readyz", "/version", "/version/"};
  const Rules view = view_rules();
  const Rules edit = joined(edit_rules(), view);
  return {
      role("cluster-admin", {rule({"*"}, {"*"}, {"*"}), rule({"*"}, {}, {}, {"*"})}),
      role("system:discovery", {rule({"get"}, {}, {}, discovery)}),
      role("system:public-info-viewer", {rule({"get"}, {}, {}, health)}),
      role("system:basic-user",
           {rule({"create"}, {"authorization.k8s.io"},
                 {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}),
            rule({"create"}, {"authentication.k8s.io"}, {"selfsubjectreviews"})}),
      // In the order in which aggregation joins them.
      aggregated("admin", joined(edit, admin_rules())),
      aggregated("edit", edit, "admin"),
      aggregated("view", view, "edit"),
      aggregated_part("admin", admin_rules()),
      aggregated_part("edit", edit_rules()),
      aggregated_part("view", view),
      node_client_role("nodeclient"),
      node_client_role("selfnodeclient"),
      role("system:node-bootstrapper",
           {rule({"create", "get", "list", "watch"}, {"certificates.k8s.io"},
                 {"certificatesigningrequests"})}),
  };
}

std::vector<rbacv1::ClusterRoleBinding> bootstrap_role_bindings() {
  return {
      binding("cluster-admin", {"system:masters"}),
      binding("system:discovery", {"system:authenticated"}),
      binding("system:basic-user", {"system:authenticated"}),
      binding("system:public-info-viewer", {"system:authenticated", "system:unauthenticated"}),
  };
}

}  // namespace orch::server
