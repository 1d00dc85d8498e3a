// Nobody grants more than they hold.
#include "unit/server/auth_fixture.h"

namespace orch::server {
namespace {

using namespace test;

const std::string kRbac = "/apis/rbac.authorization.k8s.io/v1";
const std::string kGroup = "rbac.authorization.k8s.io";

std::string role(const std::string& name, const std::string& rules, const std::string& more = "") {
  return R"({"metadata":{"name":")" + name + "\"},\"rules\":[" + rules + "]" + more + "}";
}
std::string rule(const std::string& verbs, const std::string& group, const std::string& resources) {
  return R"({"verbs":[)" + verbs + R"(],"apiGroups":[")" + group + R"("],"resources":[)" +
         resources + "]}";
}
std::string binding(const std::string& name, const std::string& kind, const std::string& to,
                    const std::string& user = "friend") {
  return R"({"metadata":{"name":")" + name + R"("},"roleRef":{"apiGroup":")" + kGroup +
         R"(","kind":")" + kind + R"(","name":")" + to +
         R"("},"subjects":[{"kind":"User","apiGroup":")" + kGroup + R"(","name":")" + user +
         "\"}]}";
}

// jane is admin of default; meg may write roles and bindings everywhere, but holds little else.
struct EscalationFixture : AuthFixture {
  EscalationFixture() {
    REQUIRE(post(kRbac + "/namespaces/default/rolebindings",
                 binding("jane", "ClusterRole", "admin", "jane"))
                .status == 201);
    REQUIRE(post(kRbac + "/clusterroles",
                 role("role-writer",
                      rule(R"("create","update","patch","get")", kGroup,
                           R"("roles","clusterroles","rolebindings","clusterrolebindings")") +
                          "," + rule("\"get\"", "", "\"pods\"")))
                .status == 201);
    REQUIRE(
        post(kRbac + "/clusterrolebindings", binding("meg", "ClusterRole", "role-writer", "meg"))
            .status == 201);
    user("jane", {"dev"});
    user("meg");
    user("root", {"system:masters"});
    close();
  }
};

TEST_CASE("escalation: roles need what they grant") {
  EscalationFixture f;
  const std::string roles = kRbac + "/namespaces/default/roles";
  // What an admin of the namespace holds, she gives.
  CHECK(f.as("jane", "POST", roles, role("ok", rule("\"get\",\"list\"", "", "\"pods\""))).status ==
        201);
  auto refused = f.as("jane", "POST", roles,
                      role("no", rule("\"get\",\"delete\"", "", "\"nodes\",\"pods\"") + "," +
                                     rule("\"*\"", "apps", "\"deployments\"")));
  CHECK(refused.status == 403);
  CHECK(refused.at("reason") == "Forbidden");
  CHECK(refused.at("message") ==
        R"(roles.rbac.authorization.k8s.io "no" is forbidden: user "jane" )"
        R"((groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not )"
        "currently held:\n"
        R"({APIGroups:[""], Resources:["nodes"], Verbs:["get" "delete"]})"
        "\n"
        R"({APIGroups:["apps"], Resources:["deployments"], Verbs:["*"]})");
  // Elsewhere she is nobody.
  CHECK(f.as("jane", "POST", kRbac + "/namespaces/other/roles",
             role("no", rule("\"get\"", "", "\"pods\"")))
            .status == 403);
  // Growing an existing role is the same; what only the garbage collector touches is not.
  const std::string ok = roles + "/ok";
  CHECK(f.as("jane", "PATCH", ok,
             R"({"rules":[{"verbs":["get"],"apiGroups":[""],)"
             R"("resources":["nodes"]}]})")
            .status == 403);
  REQUIRE(f.as("root", "PATCH", ok,
               R"({"rules":[{"verbs":["get"],"apiGroups":[""],)"
               R"("resources":["nodes"]}]})")
              .status == 200);
  CHECK(f.as("jane", "PATCH", ok, R"({"metadata":{"labels":{"a":"b"}}})").status == 403);
  CHECK(f.as("jane", "PATCH", ok, R"({"metadata":{"finalizers":["x/y"]}})").status == 200);
  CHECK(f.as("root", "POST", roles, role("any", rule("\"*\"", "*", "\"*\""))).status == 201);
}

TEST_CASE("escalation: cluster roles, names, paths and aggregation") {
  EscalationFixture f;
  const std::string roles = kRbac + "/clusterroles";
  CHECK(f.as("meg", "POST", roles, role("a", rule("\"get\"", "", "\"pods\""))).status == 201);
  CHECK(f.as("meg", "POST", roles,
             role("b", R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"],)"
                       R"("resourceNames":["one"]})"))
            .status == 201);
  CHECK(f.as("meg", "POST", roles, role("c", rule("\"get\"", "", "\"pods/log\""))).status == 403);
  CHECK(f.as("meg", "POST", roles, role("d", rule("\"get\"", "", "\"*\""))).status == 403);
  const auto path =
      f.as("meg", "POST", roles, role("e", R"({"verbs":["get"],"nonResourceURLs":["/metrics"]})"));
  CHECK(path.status == 403);
  CHECK(path.at("message").find(R"({NonResourceURLs:["/metrics"], Verbs:["get"]})") !=
        std::string::npos);
  CHECK(f.as("meg", "POST", roles, role("f", R"({"verbs":["get"],"nonResourceURLs":["/apis/*"]})"))
            .status == 201);  // system:discovery holds it
  const auto aggregating =
      f.as("meg", "POST", roles,
           role("g", "",
                R"(,"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":)"
                R"({"a":"b"}}]})"));
  CHECK(aggregating.status == 403);
  CHECK(aggregating.at("message") ==
        R"(clusterroles.rbac.authorization.k8s.io "g" is forbidden: must have cluster-admin )"
        "privileges to use the aggregationRule");
  // The label by which a role would be gathered into admin needs the same rules, which it has.
  CHECK(f.as("meg", "PATCH", roles + "/cluster-admin",
             R"({"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}}})")
            .status == 403);
}

TEST_CASE("escalation: bindings need what the role holds, or the verb bind on it") {
  EscalationFixture f;
  const std::string here = kRbac + "/namespaces/default/rolebindings";
  const std::string everywhere = kRbac + "/clusterrolebindings";
  CHECK(f.as("jane", "POST", here, binding("v", "ClusterRole", "view")).status == 201);
  CHECK(f.as("jane", "POST", here, binding("a", "ClusterRole", "admin")).status == 201);
  const auto root = f.as("jane", "POST", here, binding("r", "ClusterRole", "cluster-admin"));
  CHECK(root.status == 403);
  CHECK(root.at("message").find(R"({NonResourceURLs:["*"], Verbs:["*"]})") != std::string::npos);
  CHECK(f.as("meg", "POST", everywhere, binding("v", "ClusterRole", "view")).status == 403);
  const auto lost = f.as("meg", "POST", everywhere, binding("l", "ClusterRole", "nothing"));
  CHECK(lost.status == 404);
  CHECK(lost.at("message") == R"(clusterroles.rbac.authorization.k8s.io "nothing" not found)");

  REQUIRE(f.as("root", "POST", kRbac + "/clusterroles",
               role("binder", R"({"verbs":["bind"],"apiGroups":["rbac.authorization.k8s.io"],)"
                              R"("resources":["clusterroles"],"resourceNames":["edit"]})"))
              .status == 201);
  REQUIRE(f.as("root", "POST", everywhere, binding("b", "ClusterRole", "binder", "meg")).status ==
          201);
  CHECK(f.as("meg", "POST", everywhere, binding("e", "ClusterRole", "edit")).status == 201);
  CHECK(f.as("meg", "POST", everywhere, binding("c", "ClusterRole", "cluster-admin")).status ==
        403);
  // roleRef cannot be changed afterwards.
  const auto moved =
      f.as("root", "PUT", everywhere + "/e", binding("e", "ClusterRole", "cluster-admin"));
  CHECK(moved.status == 422);
}

TEST_CASE("escalation: the verb escalate is the way around, on the roles it names") {
  EscalationFixture f;
  REQUIRE(f.as("root", "POST", kRbac + "/clusterroles",
               role("maker", R"({"verbs":["escalate"],"apiGroups":["rbac.authorization.k8s.io"],)"
                             R"("resources":["clusterroles"],"resourceNames":["big"]})"))
              .status == 201);
  REQUIRE(f.as("root", "POST", kRbac + "/clusterrolebindings",
               binding("m", "ClusterRole", "maker", "meg"))
              .status == 201);
  CHECK(f.as("meg", "POST", kRbac + "/clusterroles", role("big", rule("\"*\"", "*", "\"*\"")))
            .status == 201);
  CHECK(f.as("meg", "POST", kRbac + "/clusterroles", role("big2", rule("\"*\"", "*", "\"*\"")))
            .status == 403);
}

}  // namespace
}  // namespace orch::server
