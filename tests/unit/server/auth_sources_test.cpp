// Tokens that are not ServiceAccounts': bootstrap tokens, JWTs of issuers, and the files that
// configure who is asked. Attacks with their answers.
#include <catch2/catch.hpp>

#include "orch/base/strings.h"
#include "orch/net/tls.h"
#include "server/auth/access_files.h"
#include "server/auth/authenticator.h"
#include "server/auth/bootstrap_tokens.h"
#include "server/auth/jwt_issuer.h"
#include "server/auth/webhook.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;
using api::JsonValue;

struct BootstrapFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  BootstrapTokens tokens{clock, client};
  BootstrapFixture() { post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})"); }
  void secret(const std::string& id, const std::string& more,
              const std::string& type = "bootstrap.kubernetes.io/token") {
    const auto made = post("/api/v1/namespaces/kube-system/secrets",
                           R"({"metadata":{"name":"bootstrap-token-)" + id + R"("},"type":")" +
                               type + R"(","stringData":{"token-id":")" + id +
                               R"(","token-secret":"0123456789abcdef")" + more + "}}");
    INFO(made.body);
    REQUIRE(made.status == 201);
  }
  // The user's name and groups, "" = not a bootstrap token, else the error.
  std::string who(const std::string& token) {
    auto verified = tokens.verify(token, {});
    if (!verified) return verified.error();
    if (!*verified) return "";
    return (*verified)->user.name + " " + join((*verified)->user.groups, ",");
  }
};

TEST_CASE("bootstrap tokens: what their Secret says, until it expires") {
  BootstrapFixture f;
  const std::string use = R"(,"usage-bootstrap-authentication":"true")";
  f.secret("aaaaaa",
           use + R"(,"auth-extra-groups":"system:bootstrappers:kubeadm:default-node-token")");
  f.secret("bbbbbb", R"(,"usage-bootstrap-signing":"true")");
  f.secret("cccccc", use + R"(,"expiration":"2024-12-18T01:00:00Z")");
  f.secret("dddddd", use + R"(,"auth-extra-groups":"system:masters")");
  f.secret("eeeeee", use, "Opaque");
  f.secret("ffffff", use + R"(,"expiration":"soon")");
  const std::string secret = ".0123456789abcdef";
  CHECK(f.who("aaaaaa" + secret) ==
        "system:bootstrap:aaaaaa system:bootstrappers:kubeadm:default-node-token,"
        "system:bootstrappers");
  CHECK(f.who("aaaaaa.0123456789abcdee") == "bootstrap token: wrong secret");
  CHECK(f.who("bbbbbb" + secret) == "bootstrap token: not for authentication");
  f.clock.advance(Micros{Seconds{3599}});
  CHECK(f.who("cccccc" + secret) == "system:bootstrap:cccccc system:bootstrappers");
  f.clock.advance(Micros{Seconds{1}});
  CHECK(f.who("cccccc" + secret) == "bootstrap token expired");
  CHECK(f.who("dddddd" + secret) == R"(auth-extra-groups: "system:masters" is not allowed)");
  CHECK(f.who("eeeeee" + secret) == "bootstrap token: the secret is not one of its kind");
  CHECK(f.who("ffffff" + secret) == "bootstrap token expired");
  CHECK(f.who("gggggg" + secret).find("not found") != std::string::npos);
  for (const char* none : {"", "aaaaaa", "AAAAAA.0123456789abcdef", "aaaaaa.0123456789abcdef0",
                           "aaaaa/.0123456789abcdef", "../..x.0123456789abcdef"}) {
    CHECK(f.who(none) == "");
  }
}

// A key set of the one key, and tokens signed with it.
struct Issuer {
  std::string key = *net::make_signing_key();
  JwtIssuerConfig config;
  Issuer() {
    config.url = "https://issuer.example";
    config.audiences = {"orch"};
    config.username = {"sub", "oidc:"};
    config.groups = {"groups", "g:"};
  }
  std::string key_set() const {
    const auto point = *net::ec_public_point(key);
    return R"({"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":")" + base64url_encode(point.x) +
           R"(","y":")" + base64url_encode(point.y) +
           R"("},{"kty":"oct","kid":"h","k":"AAAA"},)"
           R"({"kty":"EC","crv":"P-256","kid":"e","use":"enc","x":"","y":""}]})";
  }
  std::string sign(const std::string& claims,
                   const std::string& header = R"({"alg":"ES256","kid":"k"})") const {
    const std::string text = base64url_encode(header) + "." + base64url_encode(claims);
    return text + "." + base64url_encode(*net::es256_sign(key, text));
  }
};

std::string refused(const JwtIssuerConfig& config, const std::string& claims, int64_t now) {
  auto json = JsonValue::parse(claims);
  REQUIRE(json);
  auto read = read_claims(config, *json, WallTime{Seconds{now}});
  return read ? read->user.name + " " + join(read->user.groups, ",") : read.error();
}

TEST_CASE("claims: time, audience, required claims, mappings") {
  Issuer issuer;
  auto& config = issuer.config;
  const std::string good = R"({"exp":100,"aud":"orch","sub":"jane","groups":["a","b"])";
  CHECK(refused(config, good + "}", 50) == "oidc:jane g:a,g:b");
  CHECK(refused(config, good + "}", 100) == "expired");
  CHECK(refused(config, good + R"(,"nbf":351})", 50) == "not valid yet");
  CHECK(refused(config, good + R"(,"nbf":350})", 50) == "oidc:jane g:a,g:b");
  CHECK(refused(config, R"({"aud":"orch","sub":"jane"})", 50) == "expired");
  CHECK(refused(config, R"({"exp":"100","aud":"orch","sub":"jane"})", 50) == "expired");
  CHECK(refused(config, R"({"exp":100,"aud":["x"],"sub":"jane"})", 50) == "for another audience");
  CHECK(refused(config, R"({"exp":100,"aud":["x","orch"],"sub":"jane"})", 50) == "oidc:jane ");
  CHECK(refused(config, R"({"exp":100,"aud":"orch"})", 50) == "claim sub is missing");
  CHECK(refused(config, R"({"exp":100,"aud":"orch","sub":["root"]})", 50) ==
        "claim sub is missing");
  config.required_claims = {{"hd", "example.com"}};
  CHECK(refused(config, good + "}", 50) == "required claim hd is not as it must be");
  CHECK(refused(config, good + R"(,"hd":"example.com"})", 50) == "oidc:jane g:a,g:b");
  config.required_claims.clear();
  config.username = {"email", ""};
  CHECK(refused(config, good + R"(,"email":"j@x","email_verified":false})", 50) ==
        "email not verified");
  CHECK(refused(config, good + R"(,"email":"j@x","email_verified":true})", 50) == "j@x g:a,g:b");
}

TEST_CASE("JWTs: signatures, and headers that lie about them") {
  Issuer issuer;
  auto keys = read_key_set(issuer.key_set());
  REQUIRE(keys);
  REQUIRE(keys->size() == 1);  // neither the symmetric nor the encryption key
  const auto& key = *keys->at("k");
  const std::string claims = R"({"iss":"https://issuer.example","exp":100})";
  auto jwt = parse_jwt(issuer.sign(claims));
  REQUIRE(jwt);
  CHECK(key.verify(jwt->algorithm, jwt->signed_part, jwt->signature));
  CHECK_FALSE(key.verify("none", jwt->signed_part, ""));
  CHECK_FALSE(key.verify("HS256", jwt->signed_part, jwt->signature));
  CHECK_FALSE(key.verify("RS256", jwt->signed_part, jwt->signature));
  CHECK_FALSE(key.verify("ES384", jwt->signed_part, jwt->signature));
  CHECK_FALSE(key.verify("ES256", jwt->signed_part + "x", jwt->signature));
  CHECK_FALSE(key.verify("ES256", jwt->signed_part, std::string(64, '\0')));
  CHECK_FALSE(key.verify("ES256", jwt->signed_part, ""));
  CHECK_FALSE(parse_jwt(issuer.sign(claims, R"({"alg":"ES256","crit":["exp"]})")));
  for (const char* bad : {"", ".", "..", "a.b.c", "e30.e30", "e30.W10.", "W10.e30.", "e30.e30.!"}) {
    CHECK_FALSE(parse_jwt(bad));
  }
  CHECK_FALSE(parse_jwt(std::string(20000, 'a')));
  CHECK_FALSE(net::JoseKey::rsa(std::string(128, '\xff'), "\x01\x00\x01"));
  CHECK_FALSE(net::JoseKey::ec("P-256", std::string(32, '\x01'), std::string(32, '\x01')));
  CHECK_FALSE(read_key_set("[]"));
}

TEST_CASE("an issuer that cannot be reached lets nobody in, and is not asked for each token") {
  ManualClock clock;
  Issuer issuer;
  issuer.config.url = "https://127.0.0.1:1";
  auto made = JwtIssuer::create(clock, issuer.config);
  REQUIRE(made);
  const std::string token =
      issuer.sign(R"({"iss":"https://127.0.0.1:1","exp":100,"aud":"orch","sub":"jane"})");
  auto first = (*made)->verify(token, {});
  REQUIRE_FALSE(first);
  CHECK(first.error() == "unknown key");
  auto other = (*made)->verify(issuer.sign(R"({"iss":"https://other","exp":100})"), {});
  REQUIRE(other);
  CHECK_FALSE(*other);  // not this issuer's to judge
  auto none =
      (*made)->verify(base64url_encode(R"({"alg":"none"})") + "." +
                          base64url_encode(R"({"iss":"https://127.0.0.1:1","exp":100})") + ".",
                      {});
  REQUIRE_FALSE(none);
  CHECK(none.error() == "unknown algorithm");
}

std::string authentication(const std::string& rest) {
  return "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\n" + rest;
}
std::string jwt(const std::string& issuer, const std::string& mappings) {
  return authentication("jwt:\n- issuer: {" + issuer + "}\n  claimMappings: {" + mappings + "}\n");
}

TEST_CASE("AuthenticationConfiguration: read, or refused with the field's name") {
  const std::string issuer = "url: 'https://a', audiences: [x]";
  const std::string mapping = "username: {claim: sub, prefix: 'a:'}";
  auto file = parse_authentication_file(
      jwt(issuer, mapping + ", groups: {claim: groups, prefix: ''}, uid: {claim: uid}") +
      "anonymous: {enabled: true, conditions: [{path: /livez}]}\n");
  INFO((file ? "" : file.error()));
  REQUIRE(file);
  REQUIRE(file->issuers.size() == 1);
  CHECK(file->issuers[0].url == "https://a");
  CHECK(file->issuers[0].username.prefix == "a:");
  CHECK(file->issuers[0].uid.claim == "uid");
  CHECK(file->anonymous == true);
  CHECK(file->anonymous_paths == std::vector<std::string>{"/livez"});
  struct Case {
    std::string yaml, error;
  };
  const std::vector<Case> cases = {
      {"kind: Pod\napiVersion: v1\n",
       "not an AuthenticationConfiguration of apiserver.config.k8s.io/v1beta1"},
      {authentication("jtw: []\n"), R"(: unknown field "jtw")"},
      {jwt("url: 'http://a', audiences: [x]", mapping),
       R"(jwt[0].issuer.url: Invalid value: "http://a": URL scheme must be https)"},
      {jwt("url: 'https://a'", mapping),
       "jwt[0].issuer.audiences: Required value: at least one audience is required"},
      {jwt("url: 'https://a', audiences: [x, y]", mapping),
       "jwt[0].issuer.audienceMatchPolicy: Invalid value: must be MatchAny for multiple audiences"},
      {jwt(issuer, "username: {claim: sub}"),
       "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is "
       "set. It can be set to an empty string to disable prefixing"},
      {jwt(issuer, "username: {expression: 'claims.sub'}"),
       "jwt[0].claimMappings.username.expression: Forbidden: CEL expressions are not evaluated "
       "here; use claims and prefixes"},
      {jwt(issuer, mapping + ", extra: [{key: a, valueExpression: b}]"),
       "jwt[0].claimMappings.extra[0].valueExpression: Forbidden: CEL expressions are not "
       "evaluated here; use claims and prefixes"},
  };
  for (const auto& c : cases) {
    INFO(c.yaml);
    auto refused_file = parse_authentication_file(c.yaml);
    REQUIRE_FALSE(refused_file);
    CHECK(refused_file.error() == c.error);
  }
}

TEST_CASE("AuthorizationConfiguration: read, or refused with the field's name") {
  const std::string head =
      "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n";
  const std::string webhook =
      "- type: Webhook\n  name: w\n  webhook:\n    timeout: 3s\n    subjectAccessReviewVersion: "
      "v1\n    failurePolicy: Deny\n    unauthorizedTTL: 0s\n    connectionInfo: {type: "
      "KubeConfigFile, kubeConfigFile: /k}\n";
  auto entries = parse_authorization_file(head + webhook +
                                          "- {type: Node, name: node}\n- {type: RBAC, name: r}\n");
  INFO((entries ? "" : entries.error()));
  REQUIRE(entries);
  REQUIRE(entries->size() == 3);
  CHECK(entries->at(0).kubeconfig == "/k");
  CHECK(entries->at(0).deny_on_failure);
  CHECK(entries->at(0).timeout == Micros{Seconds{3}});
  CHECK(entries->at(0).unauthorized_ttl == Micros{0});
  const auto error = [&](const std::string& rest) {
    auto parsed = parse_authorization_file(head + rest);
    return parsed ? std::string() : parsed.error();
  };
  CHECK(error("[]\n") ==
        "authorizers: Required value: at least one authorization mode must be defined");
  CHECK(error("- {type: ABAC, name: a}\n")
            .starts_with(R"(authorizers[0].type: Unsupported value: "ABAC")"));
  CHECK(error("- {type: RBAC, name: a}\n- {type: RBAC, name: b}\n") ==
        R"(authorizers[1].type: Duplicate value: "RBAC")");
  CHECK(error(webhook + "    matchConditions: [{expression: 'true'}]\n") ==
        "authorizers[0].webhook.matchConditions[0].expression: Forbidden: CEL expressions are not "
        "evaluated here");
}

TEST_CASE("webhooks: answers are kept, failures are not, and fail as configured") {
  ManualClock clock;
  int calls = 0;
  std::string answer =
      R"({"status":{"authenticated":true,"user":{"username":"jane","groups":["dev"]}}})";
  bool down = false;
  const WebhookCall call = [&](const std::string& body) -> Result<std::string, std::string> {
    ++calls;
    CHECK(body.find("\"TokenReview\"") != std::string::npos);
    if (down) return Err(std::string("connection refused"));
    return answer;
  };
  WebhookTokens tokens(clock, call, Micros{Seconds{120}});
  auto first = tokens.verify("t", {});
  REQUIRE(first);
  REQUIRE(*first);
  CHECK((*first)->user.name == "jane");
  down = true;
  CHECK(tokens.verify("t", {}));
  CHECK(calls == 1);
  CHECK_FALSE(tokens.verify("u", {}));
  clock.advance(Micros{Seconds{121}});
  CHECK_FALSE(tokens.verify("t", {}));
  down = false;
  CHECK_FALSE(tokens.verify("t", {"vault"}));  // vouches for no audience
  answer = R"({"status":{"authenticated":false}})";
  auto unknown = tokens.verify("v", {});
  REQUIRE(unknown);
  CHECK_FALSE(*unknown);

  const UserInfo user{.name = "jane", .groups = {"dev"}};
  Attributes asked;
  asked.user = &user;
  asked.verb = "get";
  asked.resource = "pods";
  std::string verdict = R"({"status":{"allowed":true,"reason":"because"}})";
  const WebhookCall review = [&](const std::string& body) -> Result<std::string, std::string> {
    CHECK(body.find(R"("resource":"pods")") != std::string::npos);
    if (down) return Err(std::string("connection refused"));
    return verdict;
  };
  WebhookAuthorizer lenient(clock, review, {});
  CHECK(lenient.authorize(asked).decision == Decision::kAllow);
  CHECK(lenient.authorize(asked).reason == "because");
  asked.verb = "list";
  verdict = R"({"status":{"allowed":true,"denied":true}})";
  CHECK(lenient.authorize(asked).decision == Decision::kNoOpinion);
  down = true;
  asked.verb = "watch";
  CHECK(lenient.authorize(asked).decision == Decision::kNoOpinion);
  WebhookAuthorizer strict(clock, review, {.deny_on_failure = true});
  CHECK(strict.authorize(asked).decision == Decision::kDeny);
}

TEST_CASE("anonymous callers are let in where that is allowed") {
  BootstrapFixture f;
  ServiceAccountTokens tokens(f.env, *net::make_signing_key(), "https://i", {"https://i"},
                              f.client);
  DefaultAuthenticator open(tokens);
  DefaultAuthenticator closed(tokens, {}, {.anonymous = false});
  DefaultAuthenticator some(tokens, {}, {.anonymous = true, .anonymous_paths = {"/livez"}});
  Credentials nobody;
  nobody.path = "/livez";
  CHECK(open.authenticate(nobody));
  CHECK_FALSE(closed.authenticate(nobody));
  CHECK(some.authenticate(nobody));
  nobody.path = "/api";
  CHECK(open.authenticate(nobody));
  CHECK_FALSE(some.authenticate(nobody));
  nobody.bad_authorization = "Basic eDp5";
  CHECK_FALSE(open.authenticate(nobody));
  Credentials garbage;
  garbage.bearer_token = "garbage";
  auto answer = open.authenticate(garbage);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == 401);
  CHECK(answer.error().message == "Unauthorized");
}

}  // namespace
}  // namespace orch::server
