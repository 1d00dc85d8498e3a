// Requests that try to get around authentication and authorization, through the HTTP handler.
#include "orch/net/tls.h"
#include "server/auth/authenticator.h"
#include "server/auth/jwt_issuer.h"
#include "server/issuer_discovery.h"
#include "unit/server/auth_fixture.h"

namespace orch::server {
namespace {

using namespace test;

const std::string kRbac = "/apis/rbac.authorization.k8s.io/v1";

// jane reads Pods of default, and what everybody reads.
struct AttackFixture : AuthFixture {
  AttackFixture() {
    post("/api/v1/namespaces/default/secrets",
         R"({"metadata":{"name":"s"},"stringData":{"k":"crown-jewels"}})");
    REQUIRE(post(kRbac + "/namespaces/default/roles",
                 R"({"metadata":{"name":"r"},"rules":[{"verbs":["get","list","watch"],)"
                 R"("apiGroups":[""],"resources":["pods"]}]})")
                .status == 201);
    REQUIRE(post(kRbac + "/namespaces/default/rolebindings",
                 R"({"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",)"
                 R"("kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"jane",)"
                 R"("apiGroup":"rbac.authorization.k8s.io"}]})")
                .status == 201);
    user("jane");
    close();
  }
};

TEST_CASE("attacks: no spelling of a path leads around authorization") {
  AttackFixture f;
  CHECK(f.as("jane", "GET", kPods).status == 200);
  const char* paths[] = {
      "/api/v1/namespaces/default/secrets",
      "/api/v1/namespaces/default/secrets/s",
      "/api/v1/namespaces/default/secrets/",
      "/api/v1/secrets",
      "/api/v1/watch/namespaces/default/secrets",
      "/api/v1/namespaces/default/%73ecrets/s",
      "/api/v1/namespaces/default/pods/../secrets/s",
      "/api/v1/namespaces/default/pods/%2e%2e/secrets/s",
      "/api/v1/namespaces/default/pods%2f..%2fsecrets%2fs",
      "/api/v1/./namespaces/default/secrets/s",
      "/api/v1/namespaces//default/secrets/s",
      "//api/v1/namespaces/default/secrets/s",
      "/api//v1/namespaces/default/secrets/s",
      "/api/v1//namespaces/default/secrets/s",
      "/healthz/../api/v1/namespaces/default/secrets/s",
      "/version/../api/v1/namespaces/default/secrets/s",
      "/openapi/v2/../../api/v1/namespaces/default/secrets/s",
      "/apis/../api/v1/namespaces/default/secrets/s",
      "/api/v1/namespaces/default/pods?/../secrets/s=1&resource=secrets",
      "/API/v1/namespaces/default/secrets/s",
      "/api/v1/namespaces/default/Secrets/s",
      "/api/v1/namespaces/default/secrets/s;a=b",
      "/api/v1/namespaces/default/secrets/s%00",
      "/api/v1/namespaces/default/secrets%20/s",
  };
  for (const char* path : paths) {
    for (const char* method : {"GET", "HEAD", "get"}) {
      INFO(method << " " << path);
      const auto answer = f.as("jane", method, path);
      CHECK(answer.body.find("crown-jewels") == std::string::npos);
      CHECK(answer.body.find("Y3Jvd24tamV3ZWxz") == std::string::npos);
    }
  }
  CHECK(f.as("jane", "GET", paths[0]).status == 403);
  CHECK(f.as("jane", "GET", "/api/v1/namespaces/default/%73ecrets/s").status == 403);
  // A method nobody knows is no way in either.
  CHECK(f.as("jane", "BREW", "/api/v1/namespaces/default/secrets/s").status >= 400);
}

TEST_CASE("attacks: headers that claim to be somebody") {
  AttackFixture f;
  ServiceAccountTokens tokens(f.env, *net::make_signing_key(), "https://i", {"https://i"},
                              f.client);
  DefaultAuthenticator real(tokens);
  Hooks hooks;
  hooks.authenticator = &real;
  hooks.authorizer = &f.authorizer;
  f.server->set_hooks(hooks);
  using Header = std::pair<std::string, std::string>;
  const std::vector<std::vector<Header>> claims = {
      {},
      {{"X-Remote-User", "root"}, {"X-Remote-Group", "system:masters"}},
      {{"X-Forwarded-User", "root"}},
      {{"Connection", "X-Remote-User"}, {"X-Remote-User", "system:admin"}},
      {{"Impersonate-User", "root"}, {"Impersonate-Group", "system:masters"}},
      {{"Authorization", "Basic cm9vdDpyb290"}},
      {{"Authorization", "Bearer "}},
      {{"Authorization", "Bearer undefined"}},
      {{"Authorization", "Bearer a.b.c"}},
      {{"Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."}},
      {{"Authorization", "Negotiate abcd"}},
  };
  for (const auto& headers : claims) {
    INFO((headers.empty() ? "nothing" : headers.back().first + ": " + headers.back().second));
    const auto answer = f.send("GET", "/api/v1/namespaces/default/secrets/s", "", headers);
    CHECK((answer.status == 401 || answer.status == 403));
    CHECK(answer.body.find("Y3Jvd24tamV3ZWxz") == std::string::npos);
    if (answer.status == 401) CHECK(answer.at("message") == "Unauthorized");
  }
  // Health and version are told to everybody.
  CHECK(f.send("GET", "/version").status == 200);
  CHECK(f.send("GET", "/apis").status == 403);
}

TEST_CASE("others verify ServiceAccount tokens by the published keys") {
  AttackFixture f;
  const std::string issuer = "https://kubernetes.default.svc.cluster.local";
  ServiceAccountTokens tokens(f.env, *net::make_signing_key(), issuer, {issuer}, f.client);
  add_issuer_discovery(*f.server, tokens, "192.0.2.1:6443");
  f.user("pod", {"system:serviceaccounts"});
  CHECK(f.as("jane", "GET", "/openid/v1/jwks").status == 403);
  const auto document = f.as("pod", "GET", "/.well-known/openid-configuration");
  REQUIRE(document.status == 200);
  CHECK(document.at("issuer") == issuer);
  CHECK(document.at("jwks_uri") == "https://192.0.2.1:6443/openid/v1/jwks");
  const auto published = f.as("pod", "GET", "/openid/v1/jwks");
  CHECK(published.header("Content-Type") == "application/jwk-set+json");
  CHECK(f.as("pod", "POST", "/openid/v1/jwks").status == 403);  // only "get" is granted
  auto keys = read_key_set(published.body);
  REQUIRE(keys);
  TokenSubject subject;
  subject.namespace_ = "default";
  subject.service_account = "sa";
  api::authenticationv1::TokenRequest request;
  REQUIRE(tokens.issue(subject, request));
  auto jwt = parse_jwt(request.status.token);
  REQUIRE(jwt);
  REQUIRE(keys->count(jwt->key_id) == 1);
  CHECK(keys->at(jwt->key_id)->verify(jwt->algorithm, jwt->signed_part, jwt->signature));
  CHECK_FALSE(
      keys->at(jwt->key_id)->verify(jwt->algorithm, jwt->signed_part + "x", jwt->signature));
}

TEST_CASE("attacks: impersonation takes the verb, for each thing that is put on") {
  AttackFixture f;
  using Headers = std::vector<std::pair<std::string, std::string>>;
  const auto ask = [&](const Headers& headers) { return f.as("jane", "GET", kPods, "", headers); };
  CHECK(ask({{"Impersonate-User", "root"}}).status == 403);
  CHECK(ask({{"Impersonate-User", "jane"}}).status == 403);
  CHECK(ask({{"Impersonate-User", "system:serviceaccount:default:x"}}).status == 403);
  CHECK(ask({{"Impersonate-Group", "system:masters"}}).status == 400);
  CHECK(ask({{"Impersonate-Uid", "1"}}).status == 400);
  CHECK(ask({{"Impersonate-Extra-Scopes", "all"}}).status == 400);
  // May she be bob, she may not be of a group, nor have a uid or extras with it.
  f.server->set_hooks({});
  REQUIRE(f.post(kRbac + "/clusterroles",
                 R"({"metadata":{"name":"bob"},"rules":[{"verbs":["impersonate"],)"
                 R"("apiGroups":[""],"resources":["users"],"resourceNames":["bob"]}]})")
              .status == 201);
  REQUIRE(f.post(kRbac + "/clusterrolebindings",
                 R"({"metadata":{"name":"bob"},"roleRef":{"apiGroup":)"
                 R"("rbac.authorization.k8s.io","kind":"ClusterRole","name":"bob"},"subjects":)"
                 R"([{"kind":"User","name":"jane","apiGroup":"rbac.authorization.k8s.io"}]})")
              .status == 201);
  f.close();
  const auto as_bob = ask({{"Impersonate-User", "bob"}});
  CHECK(as_bob.status == 403);
  CHECK(as_bob.at("message").find(R"(User "bob" cannot list resource "pods")") !=
        std::string::npos);
  for (const Headers& more : std::vector<Headers>{{{"Impersonate-Group", "system:masters"}},
                                                  {{"Impersonate-Uid", "1"}},
                                                  {{"Impersonate-Extra-Scopes", "all"}}}) {
    Headers headers = more;
    headers.emplace_back("Impersonate-User", "bob");
    const auto answer = ask(headers);
    INFO(more[0].first << ": " << answer.body);
    CHECK(answer.status == 403);
    CHECK(answer.at("message").find(R"(User "jane" cannot impersonate resource)") !=
          std::string::npos);
  }
}

}  // namespace
}  // namespace orch::server
