// Who may do what: every default role against the verbs and resources that matter, in both
// directions. Forward: what a role is for, it may. Backward: for each dangerous right, exactly the
// roles that hold it.
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "server/auth/default_roles.h"
#include "server/auth/default_roles_table.h"
#include "server/auth/rbac.h"
#include "server/controllers/controllers.h"
#include "server/identities.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using Names = std::set<std::string>;
using Roles = std::map<std::string, PolicyRules>;

const Roles& all_roles() {
  static const Roles roles = [] {
    Roles out;
    for (const auto& role : bootstrap_roles()) out[role.metadata.name] = role.rules;
    for (const auto& role : bootstrap_namespace_roles()) {
      out[role.metadata.namespace_ + "/" + role.metadata.name] = role.rules;
    }
    return out;
  }();
  return roles;
}

// "group/resource[/subresource]"; the core group is "core"; a path begins with "/".
Attributes right(const std::string& verb, const std::string& what, const std::string& name = "") {
  Attributes out;
  out.verb = verb;
  out.name = name;
  if (what.starts_with('/')) {
    out.resource_request = false;
    out.path = what;
    return out;
  }
  const size_t slash = what.find('/');
  out.group = what.substr(0, slash);
  if (out.group == "core") out.group.clear();
  out.resource = what.substr(slash + 1);
  const size_t sub = out.resource.find('/');
  if (sub != std::string::npos) {
    out.subresource = out.resource.substr(sub + 1);
    out.resource.resize(sub);
  }
  return out;
}

bool holds(const PolicyRules& rules, const Attributes& asked) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const auto& rule) { return rule_allows(rule, asked); });
}

Names holders(const std::string& verb, const std::string& what, const std::string& name = "") {
  Names out;
  for (const auto& [role, rules] : all_roles()) {
    if (holds(rules, right(verb, what, name))) out.insert(role);
  }
  out.erase("cluster-admin");
  return out;
}

TEST_CASE("default roles: there are all that upstream has, and ours, once each") {
  // The number of upstream's ClusterRoles, Roles and bindings in 1.32 with default feature gates.
  size_t ours = 0;
  Names names;
  for (const auto& role : bootstrap_roles()) {
    CHECK(names.insert(role.metadata.name).second);
    CHECK(role.metadata.labels.at("kubernetes.io/bootstrapping") == "rbac-defaults");
    CHECK(role.metadata.annotations.at("rbac.authorization.kubernetes.io/autoupdate") == "true");
    ours += role.metadata.name.starts_with("orch:") ? 1 : 0;
    CHECK((!role.rules.empty()));
  }
  CHECK(bootstrap_roles().size() - ours == 64);
  CHECK(bootstrap_namespace_roles().size() == 7);
  Names bindings;
  for (const auto& binding : bootstrap_role_bindings()) {
    CHECK(bindings.insert(binding.metadata.name).second);
    INFO(binding.metadata.name);
    CHECK(names.count(binding.roleRef.name) == 1);
  }
  for (const auto& binding : bootstrap_namespace_role_bindings()) {
    INFO(binding.metadata.name);
    CHECK(all_roles().count(binding.metadata.namespace_ + "/" + binding.roleRef.name) == 1);
  }
  // Nodes hold nothing by RBAC but what orch's agent needs beyond a kubelet.
  for (const auto& binding : bootstrap_role_bindings()) {
    if (binding.metadata.name == "system:node") CHECK(binding.subjects.empty());
  }
}

TEST_CASE("default roles: every dangerous right is held by exactly these") {
  struct Case {
    std::string verb, what, name;
    Names roles;
  };
  const Names people = {"admin", "edit", "system:aggregate-to-edit"};
  const std::string c = "system:controller:";
  const std::string gc = c + "generic-garbage-collector", ns = c + "namespace-controller",
                    quota = c + "resourcequota-controller",
                    manager = "system:kube-controller-manager";
  const auto with = [](Names a, const Names& b) {
    a.insert(b.begin(), b.end());
    return a;
  };
  const Names any_get = {gc, ns}, any_list = {gc, ns, quota, manager};
  const std::string rbac = "rbac.authorization.k8s.io/", csr = "certificates.k8s.io/";
  const Names granting = {"admin", "system:aggregate-to-admin", gc};
  const std::vector<Case> cases = {
      // Secrets, and what is as good as a secret.
      {"get", "core/secrets", "",
       with(with(people, any_get),
            {manager, "system:node", "kube-system/system:controller:bootstrap-signer",
             "kube-system/system:controller:token-cleaner"})},
      {"list", "core/secrets", "",
       with(with(people, any_list),
            {"system:node", "kube-system/system:controller:bootstrap-signer",
             "kube-system/system:controller:token-cleaner"})},
      {"create", "core/secrets", "", with(people, {manager})},
      {"create", "core/serviceaccounts/token", "", with(people, {manager, "system:node"})},
      {"impersonate", "core/serviceaccounts", "", people},
      {"impersonate", "core/users", "", {}},
      {"impersonate", "core/groups", "", {}},
      {"impersonate", "authentication.k8s.io/uids", "", {}},
      {"impersonate", "authentication.k8s.io/userextras/scopes", "", {}},
      // Into pods and nodes.
      {"create", "core/pods/exec", "", people},
      {"create", "core/pods/attach", "", people},
      {"create", "core/pods/portforward", "", people},
      {"create", "core/pods/eviction", "", with(people, {"system:node"})},
      {"create", "core/nodes/proxy", "", {"system:kubelet-api-admin"}},
      {"get", "core/nodes/proxy", "", with(any_get, {"system:kubelet-api-admin"})},
      {"get", "core/nodes/metrics", "", with(any_get, {"system:kubelet-api-admin"})},
      {"create", "core/pods", "",
       with(people, {"system:node", c + "daemon-set-controller", c + "job-controller",
                     c + "persistent-volume-binder", c + "replicaset-controller",
                     c + "replication-controller", c + "statefulset-controller"})},
      {"create", "core/pods/binding", "", {"system:kube-scheduler", c + "daemon-set-controller"}},
      {"update", "core/pods/ephemeralcontainers", "", {gc}},
      {"patch",
       "core/pods/status",
       "",
       {gc, "system:kube-scheduler", "system:node", c + "disruption-controller",
        c + "node-controller", c + "pod-garbage-collector"}},
      // Granting.
      {"escalate", (rbac + "clusterroles"), "", {c + "clusterrole-aggregation-controller"}},
      {"escalate", (rbac + "roles"), "", {}},
      {"bind", (rbac + "clusterroles"), "", {}},
      {"bind", (rbac + "roles"), "", {}},
      {"create", (rbac + "clusterroles"), "", {}},
      {"create", (rbac + "clusterrolebindings"), "", {}},
      {"create", (rbac + "roles"), "", {"admin", "system:aggregate-to-admin"}},
      {"update", (rbac + "rolebindings"), "", granting},
      {"update",
       (rbac + "clusterroles"),
       "",
       {gc, c + "clusterrole-aggregation-controller"}},
      // Certificates.
      {"update",
       (csr + "certificatesigningrequests/approval"),
       "",
       {gc, c + "certificate-controller"}},
      {"approve",
       (csr + "signers"),
       "kubernetes.io/kube-apiserver-client",
       {"system:certificates.k8s.io:kube-apiserver-client-approver"}},
      {"approve",
       (csr + "signers"),
       "kubernetes.io/kube-apiserver-client-kubelet",
       {"system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        c + "certificate-controller"}},
      {"sign",
       (csr + "signers"),
       "kubernetes.io/kubelet-serving",
       {c + "certificate-controller"}},
      {"sign", (csr + "signers"), "example.com/mine", {}},
      {"create",
       (csr + "certificatesigningrequests"),
       "",
       {"system:node", "system:node-bootstrapper"}},
      // The cluster's own things.
      {"create", "core/nodes", "", {"system:node"}},
      {"delete",
       "core/nodes",
       "",
       {gc, ns, c + "node-controller", "orch:controller:cloud-controller-manager"}},
      {"delete", "core/namespaces", "", {gc, ns}},
      {"create",
       "core/persistentvolumes",
       "",
       {"system:persistent-volume-provisioner", c + "persistent-volume-binder",
        "orch:controller:local-path-provisioner"}},
      {"create", "core/endpoints", "", {c + "endpoint-controller"}},
      {"create", "core/endpoints/restricted", "", {c + "endpoint-controller"}},
      {"create", "admissionregistration.k8s.io/mutatingwebhookconfigurations", "", {}},
      {"create", "apiregistration.k8s.io/apiservices", "", {}},
      {"create", "apiextensions.k8s.io/customresourcedefinitions", "", {}},
      {"create", "core/resourcequotas", "", {}},
      {"update", "core/resourcequotas/status", "", {gc, quota}},
      {"create",
       "authentication.k8s.io/tokenreviews",
       "",
       {"system:auth-delegator", "system:kube-scheduler", manager, "system:node"}},
      {"create",
       "authorization.k8s.io/subjectaccessreviews",
       "",
       {"system:auth-delegator", "system:kube-scheduler", manager, "system:node",
        c + "certificate-controller"}},
      // Paths.
      {"get", "/metrics", "", {"system:monitoring"}},
      {"get", "/debug/pprof", "", {}},
      {"get", "/logs/", "", {}},
      {"get", "/openid/v1/jwks", "", {"system:service-account-issuer-discovery"}},
      {"get", "/openapi/v3", "", {"system:discovery"}},
      {"get", "/version", "", {"system:discovery", "system:public-info-viewer"}},
      {"post", "/version", "", {}},
  };
  for (const auto& row : cases) {
    INFO(row.verb << " " << row.what << " " << row.name);
    CHECK(holders(row.verb, row.what, row.name) == row.roles);
  }
}

TEST_CASE("default roles: what each is for, and what it is not for") {
  struct Case {
    const char *role, *verb, *what, *name;
    bool may;
  };
  const std::vector<Case> cases = {
      {"cluster-admin", "delete", "any.example.com/things", "", true},
      {"cluster-admin", "post", "/anything", "", true},
      {"view", "list", "core/pods", "", true},
      {"view", "get", "core/pods/log", "", true},
      {"view", "watch", "apps/deployments", "", true},
      {"view", "get", "discovery.k8s.io/endpointslices", "", true},
      {"view", "get", "networking.k8s.io/ingresses/status", "", true},
      {"view", "get", "rbac.authorization.k8s.io/roles", "", false},
      {"view", "create", "core/events", "", false},
      {"edit", "patch", "batch/cronjobs", "", true},
      {"edit", "create", "coordination.k8s.io/leases", "", true},
      {"edit", "update", "core/endpoints", "", false},
      {"edit", "update", "discovery.k8s.io/endpointslices", "", false},
      {"edit", "deletecollection", "core/configmaps", "", true},
      {"edit", "update", "apps/deployments/scale", "", true},
      {"edit", "update", "apps/deployments/status", "", false},
      {"edit", "create", "core/limitranges", "", false},
      {"admin", "create", "authorization.k8s.io/localsubjectaccessreviews", "", true},
      {"admin", "create", "authorization.k8s.io/subjectaccessreviews", "", false},
      {"admin", "update", "core/namespaces", "", false},
      {"system:basic-user", "create", "authorization.k8s.io/selfsubjectrulesreviews", "", true},
      {"system:basic-user", "create", "authentication.k8s.io/selfsubjectreviews", "", true},
      {"system:public-info-viewer", "get", "/healthz", "", true},
      {"system:public-info-viewer", "get", "/healthz/etcd", "", false},
      {"system:public-info-viewer", "get", "/apis", "", false},
      {"system:monitoring", "get", "/livez/etcd", "", true},
      {"system:kube-scheduler", "update", "coordination.k8s.io/leases", "kube-scheduler", true},
      {"system:kube-scheduler", "update", "coordination.k8s.io/leases", "other", false},
      {"system:kube-scheduler", "get", "core/secrets", "", false},
      {"system:kube-scheduler", "create", "core/pods", "", false},
      {"system:kube-controller-manager", "watch", "any.example.com/things", "", true},
      {"system:kube-controller-manager", "delete", "core/pods", "", false},
      {"system:kube-dns", "watch", "core/services", "", true},
      {"system:kube-dns", "get", "core/secrets", "", false},
      {"system:node-proxier", "watch", "discovery.k8s.io/endpointslices", "", true},
      {"system:node-proxier", "get", "core/pods", "", false},
      {"system:node-problem-detector", "patch", "core/nodes/status", "", true},
      {"system:volume-scheduler", "patch", "core/persistentvolumes", "", true},
      {"system:persistent-volume-provisioner", "delete", "core/persistentvolumes", "", true},
      {"system:controller:horizontal-pod-autoscaler", "update", "apps/deployments/scale", "", true},
      {"system:controller:horizontal-pod-autoscaler", "update", "apps/deployments", "", false},
      {"system:controller:disruption-controller", "get", "any.example.com/things/scale", "", true},
      {"system:controller:replicaset-controller", "update", "apps/deployments", "", false},
      {"system:controller:deployment-controller", "delete", "apps/replicasets", "", true},
      {"system:controller:deployment-controller", "delete", "core/pods", "", false},
      {"system:controller:job-controller", "delete", "batch/jobs", "", false},
      {"system:controller:cronjob-controller", "delete", "batch/jobs", "", true},
      {"system:controller:endpoint-controller", "update", "core/endpoints", "", true},
      {"system:controller:statefulset-controller", "delete", "core/persistentvolumeclaims", "",
       true},
      {"system:controller:root-ca-cert-publisher", "create", "core/configmaps", "", true},
      {"system:controller:root-ca-cert-publisher", "get", "core/secrets", "", false},
      {"orch:agent", "watch", "core/nodes", "", true},
      {"orch:agent", "watch", "core/pods", "", false},
      {"orch:agent", "get", "core/secrets", "", false},
      {"orch:agent", "create", "core/persistentvolumes", "", false},
      {"kube-system/extension-apiserver-authentication-reader", "get", "core/configmaps",
       "extension-apiserver-authentication", true},
      {"kube-system/extension-apiserver-authentication-reader", "get", "core/configmaps", "x",
       false},
      {"kube-public/system:controller:bootstrap-signer", "update", "core/configmaps",
       "cluster-info", true},
  };
  for (const auto& row : cases) {
    INFO(row.role << ": " << row.verb << " " << row.what << " " << row.name);
    REQUIRE(all_roles().count(row.role) == 1);
    CHECK(holds(all_roles().at(row.role), right(row.verb, row.what, row.name)) == row.may);
  }
}

TEST_CASE("default roles: who views may less than who edits, who edits less than who administers") {
  const auto& roles = all_roles();
  CHECK(uncovered(roles.at("edit"), roles.at("view")).empty());
  CHECK(uncovered(roles.at("admin"), roles.at("edit")).empty());
  CHECK_FALSE(uncovered(roles.at("view"), roles.at("edit")).empty());
  CHECK_FALSE(uncovered(roles.at("edit"), roles.at("admin")).empty());
  for (const auto& [name, rules] : roles) {
    INFO(name);
    CHECK(uncovered(roles.at("cluster-admin"), rules).empty());
    // Nobody else holds everything.
    if (name != "cluster-admin") {
      CHECK_FALSE(uncovered(rules, roles.at("cluster-admin")).empty());
    }
  }
}

TEST_CASE("rules are broken down, compared, joined again and shown") {
  const PolicyRules wanted = parse_rules(
      "get,delete core pods,secrets one,two\n"
      "get paths /a,/b/*\n");
  const auto missing = uncovered(parse_rules("get core * one\nget paths /b/*\n* apps *"), wanted);
  const auto joined = compacted(missing);
  std::string text;
  for (const auto& rule : joined) text += shown(rule) + "\n";
  CHECK(text ==
        R"({APIGroups:[""], Resources:["pods"], ResourceNames:["one"], Verbs:["delete"]})"
        "\n"
        R"({APIGroups:[""], Resources:["pods"], ResourceNames:["two"], Verbs:["delete" "get"]})"
        "\n"
        R"({APIGroups:[""], Resources:["secrets"], ResourceNames:["one"], Verbs:["delete"]})"
        "\n"
        R"({APIGroups:[""], Resources:["secrets"], ResourceNames:["two"], Verbs:["delete" "get"]})"
        "\n"
        R"({NonResourceURLs:["/a"], Verbs:["get"]})"
        "\n");
  // A name held does not cover all names; all verbs cover each.
  CHECK_FALSE(uncovered(parse_rules("* * * one"), parse_rules("get core pods")).empty());
  CHECK(uncovered(parse_rules("* * *"), parse_rules("get core pods/log one")).empty());
  CHECK(uncovered(parse_rules("get * */log"), parse_rules("get core pods/log")).empty());
  CHECK_FALSE(uncovered(parse_rules("get * */log"), parse_rules("get core pods")).empty());
}

TEST_CASE("every controller of the process has an identity that a default role is bound to") {
  Names bound;
  const auto add = [&bound](const auto& bindings) {
    for (const auto& binding : bindings) {
      for (const auto& subject : binding.subjects) {
        if (subject.kind == "ServiceAccount") bound.insert(subject.name);
      }
    }
  };
  add(bootstrap_role_bindings());
  add(bootstrap_namespace_role_bindings());
  std::vector<std::string> asked;
  test::ApiFixture fixture;
  auto transport = fixture.server->local_transport({.name = "x"});
  client::Client client(*transport);
  client::InformerSet informers(fixture.env, *transport);
  auto events = client::make_event_recorder(fixture.env, *transport, "x");
  ControllersConfig config;
  config.client_of = [&](std::string_view name) -> const client::Client& {
    asked.emplace_back(name);
    return client;
  };
  Controllers controllers(fixture.env, client, informers, *events, config);
  REQUIRE(asked.size() > 30);
  for (const auto& name : asked) {
    const std::string account = controller_account(name);
    INFO(name << " acts as " << account);
    CHECK((account.empty() || bound.count(account) == 1));
  }
}

}  // namespace
}  // namespace orch::server
