#include <catch2/catch.hpp>

#include "server/auth/authorizer.h"
#include "server/bootstrap.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;
using api::rbacv1::PolicyRule;
using api::rbacv1::Subject;
using List = std::vector<std::string>;

PolicyRule rule(List verbs, List groups, List resources, List names = {}) {
  PolicyRule out;
  out.verbs = std::move(verbs);
  out.apiGroups = std::move(groups);
  out.resources = std::move(resources);
  out.resourceNames = std::move(names);
  return out;
}

Attributes asks(const std::string& verb, const std::string& group, const std::string& resource,
                const std::string& subresource = "", const std::string& name = "") {
  Attributes out;
  out.verb = verb;
  out.group = group;
  out.resource = resource;
  out.subresource = subresource;
  out.name = name;
  return out;
}
Attributes path(const std::string& verb, const std::string& url) {
  Attributes out;
  out.verb = verb;
  out.resource_request = false;
  out.path = url;
  return out;
}

TEST_CASE("RBAC rules: verbs, groups, resources, subresources, names") {
  struct Case {
    PolicyRule rule;
    Attributes asked;
    bool allowed;
  };
  const std::vector<Case> cases = {
      {rule({"get"}, {""}, {"pods"}), asks("get", "", "pods"), true},
      {rule({"get"}, {""}, {"pods"}), asks("list", "", "pods"), false},
      {rule({"*"}, {""}, {"pods"}), asks("delete", "", "pods"), true},
      {rule({"get"}, {"apps"}, {"pods"}), asks("get", "", "pods"), false},
      {rule({"get"}, {"*"}, {"pods"}), asks("get", "apps", "pods"), true},
      {rule({"get"}, {}, {"pods"}), asks("get", "", "pods"), false},
      {rule({"get"}, {""}, {"*"}), asks("get", "", "pods", "log"), true},
      {rule({"get"}, {""}, {"pods"}), asks("get", "", "pods", "log"), false},
      {rule({"get"}, {""}, {"pods/log"}), asks("get", "", "pods", "log"), true},
      {rule({"get"}, {""}, {"pods/log"}), asks("get", "", "pods"), false},
      {rule({"get"}, {""}, {"*/log"}), asks("get", "", "pods", "log"), true},
      {rule({"get"}, {""}, {"*/log"}), asks("get", "", "pods", "exec"), false},
      {rule({"get"}, {""}, {"*/log"}), asks("get", "", "pods"), false},
      {rule({"get"}, {""}, {"pods/*"}), asks("get", "", "pods", "log"), false},
      {rule({"get"}, {""}, {"pods"}, {"a"}), asks("get", "", "pods", "", "a"), true},
      {rule({"get"}, {""}, {"pods"}, {"a"}), asks("get", "", "pods", "", "b"), false},
      {rule({"create"}, {""}, {"pods"}, {"a"}), asks("create", "", "pods"), false},
      {rule({"get"}, {""}, {"pods"}), path("get", "/healthz"), false},
  };
  for (const auto& c : cases) {
    INFO(c.asked.verb << " " << c.asked.group << " " << c.asked.resource << "/"
                      << c.asked.subresource << " " << c.asked.name << " by "
                      << (c.rule.resources.empty() ? "" : c.rule.resources[0]));
    CHECK(rule_allows(c.rule, c.asked) == c.allowed);
  }
}

TEST_CASE("RBAC rules: paths") {
  PolicyRule urls;
  urls.verbs = {"get"};
  urls.nonResourceURLs = {"/healthz", "/apis/*"};
  CHECK(rule_allows(urls, path("get", "/healthz")));
  CHECK_FALSE(rule_allows(urls, path("get", "/healthz/etcd")));
  CHECK(rule_allows(urls, path("get", "/apis/apps")));
  CHECK(rule_allows(urls, path("get", "/apis/")));
  CHECK_FALSE(rule_allows(urls, path("get", "/apis")));
  CHECK_FALSE(rule_allows(urls, path("post", "/healthz")));
  CHECK_FALSE(rule_allows(urls, asks("get", "", "pods")));
  urls.nonResourceURLs = {"*"};
  CHECK(rule_allows(urls, path("get", "/anything")));
}

TEST_CASE("RBAC subjects") {
  const UserInfo sa{.name = "system:serviceaccount:ns:bot", .groups = {"g"}};
  const auto subject = [](const std::string& kind, const std::string& name,
                          const std::string& ns = "") {
    Subject out;
    out.kind = kind;
    out.name = name;
    out.namespace_ = ns;
    return out;
  };
  CHECK(subject_matches(subject("User", "system:serviceaccount:ns:bot"), sa, ""));
  CHECK(subject_matches(subject("Group", "g"), sa, ""));
  CHECK_FALSE(subject_matches(subject("User", "g"), sa, ""));
  CHECK(subject_matches(subject("ServiceAccount", "bot", "ns"), sa, "other"));
  CHECK(subject_matches(subject("ServiceAccount", "bot"), sa, "ns"));
  CHECK_FALSE(subject_matches(subject("ServiceAccount", "bot"), sa, "other"));
  CHECK_FALSE(subject_matches(subject("ServiceAccount", "bot"), sa, ""));
  CHECK_FALSE(subject_matches(subject("Robot", "bot"), sa, ""));
}

struct RbacFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  DefaultAuthorizer authorizer{informers};

  RbacFixture() {
    informers.start_all();
    executor->run_until_idle();
  }
  ~RbacFixture() {
    informers.stop();
    executor->run_until_idle();
  }
  void add(const std::string& resource, const std::string& body) {
    const auto answer = post("/apis/rbac.authorization.k8s.io/v1/" + resource, body);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
  }
  Authorization ask(const UserInfo& user, Attributes attributes, const std::string& ns = "") {
    attributes.user = &user;
    attributes.namespace_ = ns;
    return authorizer.authorize(attributes);
  }
};

TEST_CASE("stored roles and bindings grant what they say, where they say it") {
  RbacFixture f;
  const UserInfo jane{.name = "jane", .groups = {"dev", "system:authenticated"}};
  CHECK(f.ask(jane, asks("get", "", "pods"), "default").decision == Decision::kNoOpinion);
  f.add("clusterroles", R"({"metadata":{"name":"reader"},"rules":[{"verbs":["get"],)"
                        R"("apiGroups":[""],"resources":["pods"]}]})");
  f.add("namespaces/default/rolebindings",
        R"({"metadata":{"name":"jane-reads"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",)"
        R"("kind":"ClusterRole","name":"reader"},"subjects":[{"kind":"User","name":"jane",)"
        R"("apiGroup":"rbac.authorization.k8s.io"}]})");
  auto verdict = f.ask(jane, asks("get", "", "pods"), "default");
  CHECK(verdict.decision == Decision::kAllow);
  CHECK(
      verdict.reason ==
      R"(RBAC: allowed by RoleBinding "jane-reads/default" of ClusterRole "reader" to User "jane")");
  CHECK(f.ask(jane, asks("get", "", "pods"), "other").decision == Decision::kNoOpinion);
  CHECK(f.ask(jane, asks("get", "", "pods")).decision == Decision::kNoOpinion);

  f.add("clusterrolebindings",
        R"({"metadata":{"name":"bots"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",)"
        R"("kind":"ClusterRole","name":"reader"},"subjects":[{"kind":"ServiceAccount",)"
        R"("name":"bot","namespace":"other"}]})");
  const UserInfo bot{.name = "system:serviceaccount:other:bot", .groups = {}};
  verdict = f.ask(bot, asks("get", "", "pods"));
  CHECK(verdict.decision == Decision::kAllow);
  CHECK(verdict.reason == R"(RBAC: allowed by ClusterRoleBinding "bots" of ClusterRole "reader" )"
                          R"(to ServiceAccount "bot/other")");
  // A binding to a role that is not there grants nothing.
  f.add("namespaces/default/rolebindings",
        R"({"metadata":{"name":"lost"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",)"
        R"("kind":"Role","name":"none"},"subjects":[{"kind":"Group","name":"dev",)"
        R"("apiGroup":"rbac.authorization.k8s.io"}]})");
  CHECK(f.ask(jane, asks("list", "", "pods"), "default").decision == Decision::kNoOpinion);
  CHECK(f.authorizer.rules_for(jane, "default").size() == 1);
  CHECK(f.authorizer.rules_for(jane, "").empty());

  const auto lost = f.ask(jane, asks("list", "", "pods"), "default");
  CHECK(lost.reason == R"(RBAC: role.rbac.authorization.k8s.io "none" not found)");

  const UserInfo root{.name = "root", .groups = {"system:masters"}};
  CHECK(f.ask(root, path("post", "/anything")).decision == Decision::kAllow);
}

TEST_CASE("the bootstrap makes namespaces, the kubernetes Service and basic roles, once") {
  RbacFixture f;
  const BootstrapFacts facts{
      .kubernetes_ip = "10.43.0.1", .advertise_address = "192.0.2.7", .port = 6443};
  auto made = bootstrap_objects(f.client, facts);
  INFO((made ? "" : made.error()));
  REQUIRE(made);
  f.executor->run_until_idle();
  for (const char* ns : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    CHECK(f.get(std::string("/api/v1/namespaces/") + ns).status == 200);
  }
  const auto service = f.get("/api/v1/namespaces/default/services/kubernetes");
  CHECK(service.at("spec.clusterIP") == "10.43.0.1");
  CHECK(f.get("/api/v1/namespaces/default/endpoints/kubernetes").body.find("192.0.2.7") !=
        std::string::npos);
  const std::string slice =
      "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
  CHECK(f.get(slice).body.find("192.0.2.7") != std::string::npos);

  const UserInfo anyone{.name = "x", .groups = {"system:authenticated"}};
  const UserInfo nobody{.name = "system:anonymous", .groups = {"system:unauthenticated"}};
  CHECK(f.ask(anyone, path("get", "/apis/apps/v1")).decision == Decision::kAllow);
  CHECK(f.ask(nobody, path("get", "/apis/apps/v1")).decision == Decision::kNoOpinion);
  CHECK(f.ask(nobody, path("get", "/readyz")).decision == Decision::kAllow);
  CHECK(f.ask(nobody, path("get", "/version")).decision == Decision::kAllow);
  CHECK(
      f.ask(anyone, asks("create", "authorization.k8s.io", "selfsubjectaccessreviews")).decision ==
      Decision::kAllow);
  CHECK(f.ask(anyone, asks("get", "", "secrets"), "default").decision == Decision::kNoOpinion);

  // A second start writes nothing; a rule someone took away comes back; a new address is told.
  const std::string before = f.get("/api/v1/pods").at("metadata.resourceVersion");
  REQUIRE(bootstrap_objects(f.client, facts));
  CHECK(f.get("/api/v1/pods").at("metadata.resourceVersion") == before);
  const std::string role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:discovery";
  f.patch(role, "application/merge-patch+json", R"({"rules":[]})");
  BootstrapFacts moved = facts;
  moved.advertise_address = "192.0.2.8";
  REQUIRE(bootstrap_objects(f.client, moved));
  f.executor->run_until_idle();
  CHECK(f.get(role).body.find("/openapi") != std::string::npos);
  CHECK(f.get(slice).body.find("192.0.2.7") == std::string::npos);
}

TEST_CASE("the bootstrap describes the API server: flow control, API services, authorities") {
  RbacFixture f;
  const BootstrapFacts facts{.kubernetes_ip = "10.43.0.1",
                             .advertise_address = "192.0.2.7",
                             .port = 6443,
                             .client_ca_pem = "PEM",
                             .request_header_ca_pem = "PROXIES",
                             .request_header = {.allowed_names = {"system:auth-proxy", "a\"b"},
                                                .username_headers = {"X-Remote-User"},
                                                .group_headers = {"X-Remote-Group"},
                                                .extra_headers_prefix = {"X-Remote-Extra-"}}};
  REQUIRE(bootstrap_objects(f.client, facts));
  const std::string flows = "/apis/flowcontrol.apiserver.k8s.io/v1/";
  const std::string level = flows + "prioritylevelconfigurations/workload-low";
  const std::string schema = flows + "flowschemas/global-default";
  CHECK(f.get(level).at("spec.limited.nominalConcurrencyShares") == "100");
  CHECK(f.get(schema).at("spec.matchingPrecedence") == "9900");
  const auto count = [&](const std::string& path) {
    const std::string body = f.get(path).body;
    size_t n = 0;
    for (size_t at = body.find("\"uid\""); at != std::string::npos; ++n) {
      at = body.find("\"uid\"", at + 1);
    }
    return n;
  };
  CHECK(count(flows + "prioritylevelconfigurations") == 8);
  CHECK(count(flows + "flowschemas") == 13);
  const std::string services = "/apis/apiregistration.k8s.io/v1/apiservices";
  const auto apps = f.get(services + "/v1.apps");
  CHECK(apps.at("spec.groupPriorityMinimum") == "17800");
  CHECK(apps.body.find("\"reason\":\"Local\"") != std::string::npos);
  CHECK(f.get(services + "/v1.").at("spec.groupPriorityMinimum") == "18000");
  CHECK(f.get(services + "/v1.apiregistration.k8s.io").status == 404);
  const std::string map =
      "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
  CHECK(f.get(map).at("data.client-ca-file") == "PEM");
  const std::vector<std::pair<std::string, std::string>> proxies = {
      {"client-ca-file", "PROXIES"},
      {"allowed-names", R"(["system:auth-proxy","a\"b"])"},
      {"username-headers", R"(["X-Remote-User"])"},
      {"group-headers", R"(["X-Remote-Group"])"},
      {"extra-headers-prefix", R"(["X-Remote-Extra-"])"}};
  for (const auto& [key, value] : proxies) {
    CHECK(f.get(map).at("data.requestheader-" + key) == value);
  }
  CHECK(f.get(map).body.find("uid-headers") == std::string::npos);

  // What was changed on purpose stays; what is no longer suggested goes; mandatory objects and API
  // services come back.
  const std::string merge = "application/merge-patch+json";
  f.patch(level, merge,
          R"({"metadata":{"annotations":{"apf.kubernetes.io/autoupdate-spec":"false"}},)"
          R"("spec":{"limited":{"nominalConcurrencyShares":7}}})");
  f.patch(schema, merge, R"({"spec":{"matchingPrecedence":9000}})");
  f.patch(flows + "prioritylevelconfigurations/exempt", merge,
          R"({"spec":{"exempt":{"lendablePercent":50}}})");
  f.patch(services + "/v1.apps", merge, R"({"spec":{"versionPriority":3}})");
  f.send("DELETE", flows + "flowschemas/catch-all");
  f.post(flows + "flowschemas",
         R"({"metadata":{"name":"old","annotations":{"apf.kubernetes.io/autoupdate-spec":"true"}},)"
         R"("spec":{"priorityLevelConfiguration":{"name":"system"}}})");
  REQUIRE(bootstrap_objects(f.client, facts));
  CHECK(f.get(level).at("spec.limited.nominalConcurrencyShares") == "7");
  CHECK(f.get(schema).at("spec.matchingPrecedence") == "9900");
  CHECK(f.get(flows + "prioritylevelconfigurations/exempt").at("spec.exempt.lendablePercent") ==
        "50");
  CHECK(f.get(services + "/v1.apps").at("spec.versionPriority") == "15");
  CHECK(f.get(flows + "flowschemas/catch-all").status == 200);
  CHECK(f.get(flows + "flowschemas/old").status == 404);
  const std::string before = f.get("/api/v1/pods").at("metadata.resourceVersion");
  REQUIRE(bootstrap_objects(f.client, facts));
  CHECK(f.get("/api/v1/pods").at("metadata.resourceVersion") == before);
  // The mandatory ones cannot be changed at all.
  const auto refused =
      f.patch(flows + "flowschemas/catch-all", merge, R"({"spec":{"matchingPrecedence":9999}})");
  CHECK(refused.status == 422);
  CHECK(refused.body.find("spec of 'catch-all' must equal the fixed value") != std::string::npos);
}

TEST_CASE("the user-facing roles: view reads, edit writes, admin grants, secrets are not viewed") {
  RbacFixture f;
  REQUIRE(bootstrap_objects(
      f.client, {.kubernetes_ip = "10.43.0.1", .advertise_address = "192.0.2.7", .port = 6443}));
  f.executor->run_until_idle();
  const auto bind = [&](const std::string& user, const std::string& role) {
    f.add("namespaces/default/rolebindings",
          R"({"metadata":{"name":")" + user +
              R"("},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole",)"
              R"("name":")" +
              role + R"("},"subjects":[{"kind":"User","name":")" + user +
              R"(","apiGroup":"rbac.authorization.k8s.io"}]})");
    return UserInfo{.name = user, .groups = {}};
  };
  const UserInfo viewer = bind("v", "view"), editor = bind("e", "edit"), admin = bind("a", "admin");
  const auto may = [&](const UserInfo& user, const Attributes& asked) {
    return f.ask(user, asked, "default").decision == Decision::kAllow;
  };
  CHECK(may(viewer, asks("list", "", "pods")));
  CHECK(may(viewer, asks("get", "", "pods", "log")));
  CHECK(may(viewer, asks("watch", "apps", "deployments")));
  CHECK_FALSE(may(viewer, asks("get", "", "secrets")));
  CHECK_FALSE(may(viewer, asks("delete", "", "pods")));
  CHECK(may(editor, asks("get", "", "secrets")));
  CHECK(may(editor, asks("create", "", "pods", "exec")));
  CHECK(may(editor, asks("update", "apps", "deployments", "scale")));
  CHECK_FALSE(may(editor, asks("create", "rbac.authorization.k8s.io", "rolebindings")));
  CHECK(may(admin, asks("create", "rbac.authorization.k8s.io", "rolebindings")));
  CHECK(may(admin, asks("patch", "", "services")));
  CHECK_FALSE(may(admin, asks("create", "", "resourcequotas")));
  CHECK_FALSE(may(admin, asks("delete", "", "namespaces")));
}

}  // namespace
}  // namespace orch::server
