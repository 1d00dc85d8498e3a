// Subresources: scale, binding, eviction, ephemeral containers, token, finalize; reviews.
#include <catch2/catch.hpp>

#include "orch/api/policyv1.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
constexpr const char* kMerge = "application/merge-patch+json";

std::string deployment(const std::string& name) {
  return R"({"metadata":{"name":")" + name +
         R"("},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":)"
         R"({"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
}

class StubIssuer final : public TokenIssuer {
 public:
  api::ApiResult<Unit> issue(const TokenSubject& subject,
                             api::authenticationv1::TokenRequest& request) override {
    last = subject;
    request.status.token = "t";
    return Unit{};
  }
  TokenSubject last;
};

class StubAuthorizer final : public Authorizer {
 public:
  Authorization authorize(const Attributes& a) override {
    seen.push_back(a.verb + " " + a.resource + "/" + a.subresource + " " + a.name);
    for (const auto& denied : deny) {
      if (seen.back().starts_with(denied)) return {Decision::kNoOpinion, "", ""};
    }
    return {Decision::kAllow, "ok", ""};
  }
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override {
    return {{{"get"}, {""}, {"pods"}, {}, {}}, {{"get"}, {}, {}, {}, {"/healthz"}}};
  }
  std::vector<std::string> deny, seen;
};

}  // namespace

TEST_CASE("scale reads and writes replicas") {
  ApiFixture api;
  REQUIRE(api.post(kDeployments, deployment("d")).status == 201);
  const std::string url = std::string(kDeployments) + "/d/scale";
  const auto got = api.get(url);
  CHECK(got.at("kind") == "Scale");
  CHECK(got.at("apiVersion") == "autoscaling/v1");
  CHECK(got.at("spec.replicas") == "2");
  CHECK(got.at("status.selector") == "a=b");
  const auto put = api.put(url, R"({"metadata":{"name":"d"},"spec":{"replicas":5}})");
  CHECK(put.status == 200);
  CHECK(put.at("spec.replicas") == "5");
  const auto owner = api.get(std::string(kDeployments) + "/d");
  CHECK(owner.at("spec.replicas") == "5");
  CHECK(owner.at("metadata.generation") == "2");
  CHECK(api.patch(url, kMerge, R"({"spec":{"replicas":1}})").at("spec.replicas") == "1");
  CHECK(api.patch(url, kMerge, R"({"spec":{"replicas":-1}})").status == 422);
  CHECK(api.put(url, R"({"metadata":{"name":"d","resourceVersion":"1"},"spec":{"replicas":5}})")
            .status == 409);
  CHECK(api.get(std::string(kConfigMaps) + "/x/scale").status == 404);
  const auto table = api.get(url, "application/json;as=Table;v=v1;g=meta.k8s.io");
  CHECK(table.at("kind") == "Table");
  CHECK(table.body.find(R"({"name":"Desired","type":"integer")") != std::string::npos);
  CHECK(table.body.find(R"("cells":["d",1,0,"0s"],"object":{"kind":"PartialObjectMetadata")") !=
        std::string::npos);
  CHECK(api.get(url, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").at("kind") ==
        "PartialObjectMetadata");
  CHECK(api.get(url, "application/vnd.kubernetes.protobuf").body.substr(0, 4) ==
        std::string("k8s\0", 4));
}

TEST_CASE("binding schedules a Pod once") {
  ApiFixture api;
  api.post(kPods, pod("p"));
  const std::string url = std::string(kPods) + "/p/binding";
  CHECK(api.post(url, R"({"target":{"kind":"Node"}})").status == 500);  // as upstream
  const auto bound =
      api.post(url, R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})");
  CHECK(bound.status == 201);
  CHECK(bound.at("status") == "Success");
  const auto got = api.get(std::string(kPods) + "/p");
  CHECK(got.at("spec.nodeName") == "n1");
  CHECK(got.body.find(R"("type":"PodScheduled","status":"True")") != std::string::npos);
  const auto again = api.post(url, R"({"target":{"kind":"Node","name":"n2"}})");
  CHECK(again.status == 409);
  CHECK(again.at("message") ==
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node "
        "\"n1\"");
  CHECK(api.post(std::string(kPods) + "/none/binding", R"({"target":{"name":"n"}})").status == 404);
}

TEST_CASE("a Binding posted to the namespace binds the Pod it names") {
  ApiFixture api;
  REQUIRE(api.post(kPods, pod("p")).status == 201);
  const std::string url = "/api/v1/namespaces/default/bindings";
  CHECK(api.post(url, R"({"metadata":{"name":"p"},"target":{}})").status == 500);
  CHECK(api.post(url, R"({"metadata":{"name":"none"},"target":{"name":"n"}})").status == 404);
  const auto bound = api.post(url, R"({"metadata":{"name":"p"},"target":{"name":"n1"}})");
  CHECK(bound.status == 201);
  CHECK(bound.at("status") == "Success");
  CHECK(api.get(std::string(kPods) + "/p").at("spec.nodeName") == "n1");
  CHECK(api.post(url, R"({"metadata":{"name":"p"},"target":{"name":"n2"}})").status == 409);
  CHECK(api.get(url).status == 405);
}

TEST_CASE("eviction asks the disruption budget") {
  ApiFixture api;
  api.post(kPods, pod("p", R"(,"nodeName":"n1")", R"(,"labels":{"a":"b"})"));
  api.patch(std::string(kPods) + "/p/status", kMerge,
            R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})");
  const std::string budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  REQUIRE(api.post(budgets, R"({"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":)"
                            R"({"matchLabels":{"a":"b"}}}})")
              .status == 201);
  api.patch(budgets + "/b/status", kMerge,
            R"({"status":{"observedGeneration":1,"disruptionsAllowed":0,"desiredHealthy":1,)"
            R"("currentHealthy":1}})");
  const std::string url = std::string(kPods) + "/p/eviction";
  const auto refused = api.post(url, R"({"metadata":{"name":"p"}})");
  CHECK(refused.status == 429);
  CHECK(refused.at("message") ==
        "Cannot evict pod as it would violate the pod's disruption budget.");
  CHECK(refused.body.find("The disruption budget b needs 1 healthy pods and has 1 currently") !=
        std::string::npos);
  CHECK(api.get(std::string(kPods) + "/p").at("metadata.deletionTimestamp").empty());
  api.patch(budgets + "/b/status", kMerge, R"({"status":{"disruptionsAllowed":1}})");
  // Clients of old still send the version of old.
  CHECK(api.post(url, R"({"apiVersion":"policy/v1beta1","kind":"Eviction","metadata":{"name":"p"}})")
            .status == 201);
  CHECK(!api.get(std::string(kPods) + "/p").at("metadata.deletionTimestamp").empty());
  const auto spent = api.get(budgets + "/b");
  CHECK(spent.at("status.disruptionsAllowed") == "0");
  CHECK(!spent.at("status.disruptedPods.p").empty());
}

TEST_CASE("ephemeral containers are added and stay") {
  ApiFixture api;
  api.post(kPods, pod("p"));
  const std::string url = std::string(kPods) + "/p/ephemeralcontainers";
  const auto added = api.patch(url, "application/strategic-merge-patch+json",
                               R"({"spec":{"ephemeralContainers":[{"name":"d","image":"i"}]}})");
  CHECK(added.status == 200);
  CHECK(added.body.find(R"("ephemeralContainers":[{"name":"d")") != std::string::npos);
  const auto removed = api.patch(url, kMerge, R"({"spec":{"ephemeralContainers":[]}})");
  CHECK(removed.status == 422);
  const auto bad = api.patch(url, "application/strategic-merge-patch+json",
                             R"({"spec":{"ephemeralContainers":[{"name":"c","image":"i"}]}})");
  CHECK(bad.status == 422);
}

TEST_CASE("tokens are bound to what exists") {
  StubIssuer issuer;
  ApiFixture api({.token_issuer = &issuer});
  api.post("/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"sa"}})");
  const std::string url = "/api/v1/namespaces/default/serviceaccounts/sa/token";
  const auto plain = api.post(url, R"({"spec":{"audiences":["x"]}})");
  CHECK(plain.status == 201);
  CHECK(plain.at("status.token") == "t");
  CHECK(plain.at("kind") == "TokenRequest");
  CHECK(issuer.last.service_account == "sa");
  CHECK(issuer.last.service_account_uid.size() == 36);
  CHECK(api.post(url, R"({"spec":{"boundObjectRef":{"kind":"ConfigMap","apiVersion":"v1"}}})")
            .at("message") == "cannot bind token to object of type /v1, Kind=ConfigMap");
  const auto made = api.post(kPods, pod("p", R"(,"serviceAccountName":"sa","nodeName":"n")"));
  const auto bound =
      api.post(url, R"({"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}}})");
  CHECK(bound.status == 201);
  CHECK(issuer.last.pod_uid == made.at("metadata.uid"));
  CHECK(issuer.last.node_name == "n");
  const auto stale = api.post(
      url, R"({"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p","uid":"x"}}})");
  CHECK(stale.status == 409);
  CHECK(api.post("/api/v1/namespaces/default/serviceaccounts/no/token", "{}").status == 404);
}

TEST_CASE("access reviews ask the authorizer") {
  StubAuthorizer authorizer;
  authorizer.deny = {"delete "};
  ApiFixture api({.authorizer = &authorizer});
  const std::string base = "/apis/authorization.k8s.io/v1";
  const auto yes = api.post(base + "/selfsubjectaccessreviews",
                            R"({"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})");
  CHECK(yes.status == 201);
  CHECK(yes.at("status.allowed") == "true");
  const auto no = api.post(base + "/subjectaccessreviews",
                           R"({"spec":{"user":"u","resourceAttributes":{"verb":"delete",)"
                           R"("resource":"pods"}}})");
  CHECK(no.at("status.allowed") == "false");
  CHECK(api.post(base + "/subjectaccessreviews", R"({"spec":{"user":"u"}})").status == 422);
  const auto local = api.post(base + "/namespaces/default/localsubjectaccessreviews",
                              R"({"spec":{"user":"u","resourceAttributes":{"namespace":"other",)"
                              R"("verb":"get","resource":"pods"}}})");
  CHECK(local.status == 400);
  const auto rules =
      api.post(base + "/selfsubjectrulesreviews", R"({"spec":{"namespace":"default"}})");
  CHECK(rules.body.find(R"("nonResourceURLs":["/healthz"])") != std::string::npos);
  const auto self = api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
  CHECK(self.status == 201);
  CHECK(self.at("kind") == "SelfSubjectReview");
}

TEST_CASE("exec needs create, whatever the method") {
  StubAuthorizer authorizer;
  ApiFixture api({.authorizer = &authorizer});
  authorizer.seen.clear();
  const auto plain = api.get(std::string(kPods) + "/p/exec?command=ls");
  CHECK(plain.status == 404);
  CHECK(plain.at("message") == "pods \"p\" not found");
  CHECK(authorizer.seen == std::vector<std::string>{"create pods/exec p"});
}

}  // namespace orch::server::test
