// ServiceAccount tokens against the real API server: what is bound to must exist.
#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"
#include "server/auth/authenticator.h"
#include "server/auth/service_account_tokens.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;
using api::authenticationv1::TokenRequest;

const std::string kIssuer = "https://kubernetes.default.svc.cluster.local";
constexpr const char* kAccounts = "/api/v1/namespaces/default/serviceaccounts";

struct TokenFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  std::string key = *net::make_signing_key();
  ServiceAccountTokens tokens{env, key, kIssuer, {kIssuer, "orch"}, client};
  std::string account_uid =
      post(kAccounts, R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"sa"}})")
          .at("metadata.uid");

  TokenSubject subject() const {
    TokenSubject out;
    out.namespace_ = "default";
    out.service_account = "sa";
    out.service_account_uid = account_uid;
    return out;
  }
  std::string issue(const TokenSubject& who, std::vector<std::string> audiences = {},
                    int64_t seconds = 600) {
    TokenRequest request;
    request.spec.audiences = std::move(audiences);
    request.spec.expirationSeconds = seconds;
    auto issued = tokens.issue(who, request);
    REQUIRE(issued);
    return request.status.token;
  }
  std::string refused(const std::string& token, std::vector<std::string> audiences = {}) const {
    auto verified = tokens.verify(token, std::move(audiences));
    return verified ? "accepted" : verified.error();
  }
};

// Header and claims of the caller's making, signed with `key`.
std::string forge(const std::string& header, const std::string& claims, const std::string& key) {
  const std::string text = base64url_encode(header) + "." + base64url_encode(claims);
  return text + "." + base64url_encode(*net::es256_sign(key, text));
}

TEST_CASE("a token names its account, and only with the audiences it is for") {
  TokenFixture f;
  const std::string token = f.issue(f.subject());
  auto verified = f.tokens.verify(token, {});
  REQUIRE(verified);
  CHECK(verified->user.name == "system:serviceaccount:default:sa");
  CHECK(verified->user.uid == f.account_uid);
  CHECK(verified->user.groups == std::vector<std::string>{"system:serviceaccounts",
                                                          "system:serviceaccounts:default",
                                                          "system:authenticated"});
  CHECK(
      verified->user.extra.at("authentication.kubernetes.io/credential-id")[0].starts_with("JTI="));
  CHECK(verified->audiences == std::vector<std::string>{kIssuer, "orch"});

  const std::string vault = f.issue(f.subject(), {"vault"});
  CHECK(f.refused(vault) == "token audiences do not match");
  CHECK(f.refused(token, {"vault"}) == "token audiences do not match");
  auto for_vault = f.tokens.verify(vault, {"other", "vault"});
  REQUIRE(for_vault);
  CHECK(for_vault->audiences == std::vector<std::string>{"vault"});
}

TEST_CASE("a token ends with its time; its lifetime has bounds") {
  TokenFixture f;
  const std::string token = f.issue(f.subject());
  f.advance(Seconds{599});
  CHECK(f.refused(token) == "accepted");
  f.advance(Seconds{1});
  CHECK(f.refused(token) == "token has expired");

  TokenRequest request;
  request.spec.expirationSeconds = 599;
  auto refused = f.tokens.issue(f.subject(), request);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == 422);
  CHECK(refused.error().message.find("spec.expirationSeconds: Invalid value: 599: may not specify "
                                     "a duration less than 10 minutes") != std::string::npos);
  request.spec.expirationSeconds = (int64_t{1} << 32) + 1;
  CHECK_FALSE(f.tokens.issue(f.subject(), request));
  request.spec.expirationSeconds.reset();
  REQUIRE(f.tokens.issue(f.subject(), request));
  CHECK(request.spec.expirationSeconds == 3600);
  CHECK(request.spec.audiences == std::vector<std::string>{kIssuer, "orch"});
}

TEST_CASE("a token bound to a pod ends with that very pod") {
  TokenFixture f;
  auto who = f.subject();
  who.pod_name = "web";
  who.pod_uid = f.post(kPods, pod("web")).at("metadata.uid");
  who.node_name = "n1";
  who.node_uid = "node-uid";
  const std::string token = f.issue(who);
  auto verified = f.tokens.verify(token, {});
  REQUIRE(verified);  // the node of a pod's token need not exist
  const auto& extra = verified->user.extra;
  CHECK(extra.at("authentication.kubernetes.io/pod-name") == std::vector<std::string>{"web"});
  CHECK(extra.at("authentication.kubernetes.io/pod-uid") == std::vector<std::string>{who.pod_uid});
  CHECK(extra.at("authentication.kubernetes.io/node-name") == std::vector<std::string>{"n1"});

  f.del(std::string(kPods) + "/web?gracePeriodSeconds=0");
  CHECK(f.refused(token) == "pod is gone");
  REQUIRE(f.post(kPods, pod("web")).status == 201);
  CHECK(f.refused(token) == "pod is gone");
}

TEST_CASE("a token ends with its account, its secret, its node") {
  TokenFixture f;
  auto secret = f.subject();
  secret.secret_name = "none";
  secret.secret_uid = "u";
  CHECK(f.refused(f.issue(secret)) == "secret is gone");
  auto node = f.subject();
  node.node_name = "none";
  node.node_uid = "u";
  node.bound_to_node = true;
  CHECK(f.refused(f.issue(node)) == "node is gone");

  const std::string token = f.issue(f.subject());
  f.del(std::string(kAccounts) + "/sa");
  CHECK(f.refused(token) == "service account is gone");
  f.post(kAccounts, R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"sa"}})");
  CHECK(f.refused(token) == "service account is gone");
}

TEST_CASE("a token kept in its Secret: use is noted, one marked unused is refused") {
  TokenFixture f;
  const std::string secrets = "/api/v1/namespaces/default/secrets";
  const auto made = f.post(secrets, R"({"metadata":{"name":"kept","annotations":{)"
                                    R"("kubernetes.io/service-account.name":"sa"}},)"
                                    R"("type":"kubernetes.io/service-account-token"})");
  auto subject = f.subject();
  subject.secret_name = "kept";
  subject.secret_uid = made.at("metadata.uid");
  const std::string token = f.issue(subject);
  const auto last_used = [&] {
    auto secret = f.client.get<api::corev1::Secret>("default", "kept");
    REQUIRE(secret);
    return secret->metadata.labels[api::kTokenLastUsed];
  };
  CHECK(f.refused(token) == "accepted");
  CHECK(last_used() == "");  // bound to the Secret, but not kept in it
  const auto patch = [&](const std::string& body) {
    f.patch(secrets + "/kept", "application/merge-patch+json", body);
  };
  patch(R"({"data":{"token":")" + base64_encode(token) + "\"}}");
  CHECK(f.refused(token) == "accepted");
  CHECK(last_used() == api::Time(f.env.clock.now()).str().substr(0, 10));
  patch(R"({"metadata":{"labels":{")" + std::string(api::kTokenInvalidSince) +
        R"(":"2024-01-01"}}})");
  CHECK(f.refused(token).find("secret default/kept for service account default/sa has been marked "
                              "invalid") != std::string::npos);
}

TEST_CASE("forged tokens are refused") {
  TokenFixture f;
  const std::string token = f.issue(f.subject());
  const auto parts = split(token, '.');
  const std::string header = *base64url_decode(parts[0]), claims = *base64url_decode(parts[1]);
  REQUIRE(f.refused(forge(header, claims, f.key)) == "accepted");

  std::string other_claims = claims;
  other_claims.replace(other_claims.find("default:sa"), 10, "default:zz");
  CHECK(f.refused(parts[0] + "." + base64url_encode(other_claims) + "." + parts[2]) ==
        "invalid signature");
  std::string signature = *base64url_decode(parts[2]);
  signature[10] = static_cast<char>(signature[10] ^ 1);
  CHECK(f.refused(parts[0] + "." + parts[1] + "." + base64url_encode(signature)) ==
        "invalid signature");
  CHECK(f.refused(parts[0] + "." + parts[1] + ".") == "invalid signature");
  CHECK(f.refused(forge(header, claims, *net::make_signing_key())) == "invalid signature");

  const std::string kid = f.tokens.key_id();
  for (const char* algorithm : {"none", "HS256", "ES384", ""}) {
    INFO(algorithm);
    const std::string odd = R"({"alg":")" + std::string(algorithm) + R"(","kid":")" + kid + "\"}";
    CHECK(f.refused(forge(odd, claims, f.key)) == "unknown algorithm or key");
    CHECK(f.refused(base64url_encode(odd) + "." + parts[1] + ".") == "unknown algorithm or key");
  }
  CHECK(f.refused(forge(R"({"alg":"ES256","kid":"other"})", claims, f.key)) ==
        "unknown algorithm or key");
  ServiceAccountTokens stranger(f.env, f.key, "https://elsewhere", {kIssuer}, f.client);
  TokenRequest request;
  REQUIRE(stranger.issue(f.subject(), request));
  request.spec.audiences = {kIssuer};
  CHECK(f.refused(request.status.token) == "another issuer's");
}

TEST_CASE("garbage for a token is refused, not fatal") {
  TokenFixture f;
  for (const std::string& token :
       {std::string(), std::string("a"), std::string("a.b"), std::string("a.b.c.d"),
        std::string("..."), std::string("e30.e30.e30"), std::string("!!.!!.!!"),
        std::string(20000, 'a'), std::string("e30.e30.") + std::string(86, 'A')}) {
    CHECK(f.refused(token) != "accepted");
  }
  CHECK(f.refused(forge("[]", "[]", f.key)) != "accepted");
  const std::string header = R"({"alg":"ES256","kid":")" + f.tokens.key_id() + "\"}";
  CHECK(f.refused(forge(header, "[]", f.key)) != "accepted");
  CHECK(f.refused(forge(header, R"({"iss":")" + kIssuer + R"(","exp":99999999999})", f.key)) !=
        "accepted");
}

TEST_CASE("who asks: certificate, token, nobody; wrong credentials are 401") {
  TokenFixture f;
  DefaultAuthenticator authenticator(f.tokens);
  Credentials certificate;
  certificate.certificate_common_name = "jane";
  certificate.certificate_organizations = {"dev"};
  certificate.certificate_fingerprint = "ab12";
  auto jane = authenticator.authenticate(certificate);
  REQUIRE(jane);
  CHECK(jane->name == "jane");
  CHECK(jane->groups == std::vector<std::string>{"dev", "system:authenticated"});
  CHECK(jane->extra.at("authentication.kubernetes.io/credential-id") ==
        std::vector<std::string>{"X509SHA256=ab12"});

  Credentials token;
  token.bearer_token = f.issue(f.subject());
  CHECK(authenticator.authenticate(token)->name == "system:serviceaccount:default:sa");
  token.bearer_token += "x";
  auto refused = authenticator.authenticate(token);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == 401);
  CHECK(refused.error().message == "Unauthorized");
  Credentials basic;
  basic.bad_authorization = "Basic abc";
  CHECK(authenticator.authenticate(basic).error().code == 401);
  auto nobody = authenticator.authenticate({});
  REQUIRE(nobody);
  CHECK(nobody->name == "system:anonymous");
  CHECK(nobody->groups == std::vector<std::string>{"system:unauthenticated"});

  api::authenticationv1::TokenReview review;
  review.spec.token = f.issue(f.subject(), {"vault"});
  review.spec.audiences = {"vault"};
  authenticator.review(review);
  CHECK(review.status.authenticated);
  CHECK(review.status.user.username == "system:serviceaccount:default:sa");
  CHECK(review.status.audiences == std::vector<std::string>{"vault"});
  review.spec.audiences.clear();
  authenticator.review(review);
  CHECK_FALSE(review.status.authenticated);
  CHECK(review.status.user.username.empty());
  CHECK_FALSE(review.status.error.empty());
}

TEST_CASE("a client certificate that does not verify is answered 401, token or not") {
  TokenFixture f;
  DefaultAuthenticator authenticator(f.tokens);
  Hooks hooks;
  hooks.authenticator = &authenticator;
  f.server->set_hooks(hooks);
  f.handler = make_http_handler(*f.server);
  const auto ask = [&](const std::string& error) {
    net::HttpRequest request;
    request.method = "GET";
    request.target = request.path = "/api/v1/namespaces/default/pods";
    request.peer.error = error;
    net::HttpResponse response;
    f.handler(request, response);
    return response.status;
  };
  CHECK(ask("") == 200);
  CHECK(ask("x509: certificate has expired or is not yet valid") == 401);
}

}  // namespace
}  // namespace orch::server
