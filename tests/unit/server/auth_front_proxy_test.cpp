// Users whom an authenticating proxy vouches for, and those who only say that one does.
#include <catch2/catch.hpp>

#include "orch/net/tls.h"
#include "server/auth/authenticator.h"
#include "server/bootstrap_objects.h"
#include "server/http/filters.h"
#include "unit/server/auth_fixture.h"

namespace orch::server {
namespace {

using namespace test;

struct FrontProxyFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  ServiceAccountTokens tokens{env, *net::make_signing_key(), "https://i", {"https://i"}, client};
  RequestHeaderOptions options{.allowed_names = {"system:auth-proxy"},
                               .username_headers = {"X-Remote-User", "X-Remote-Name"},
                               .uid_headers = {"X-Remote-Uid"},
                               .group_headers = {"X-Remote-Group"},
                               .extra_headers_prefix = {"X-Remote-Extra-"}};

  api::ApiResult<UserInfo> ask(const net::PeerCertificate& peer, const net::Headers& headers) {
    DefaultAuthenticator authenticator(tokens, {}, {.request_header = options});
    Hooks hooks;
    hooks.authenticator = &authenticator;
    net::HttpRequest request;
    request.method = "GET";
    request.path = "/api/v1/pods";
    request.headers = headers;
    request.peer = peer;
    Call call;
    ORCH_CHECK(authenticate(hooks, request, call));
    return call.user;
  }
};

net::PeerCertificate proxy(const std::string& name) {
  net::PeerCertificate peer;
  peer.front_proxy = name;
  peer.error = "x509: certificate signed by unknown authority";
  return peer;
}

const net::Headers kClaim = {{"X-Remote-User", "jane"},
                             {"X-Remote-Group", "dev"},
                             {"x-remote-group", "ops"},
                             {"X-Remote-Uid", "u1"},
                             {"X-Remote-Extra-Scopes", "read"},
                             {"X-Remote-Extra-Scopes", "write"},
                             {"X-Remote-Extra-Acme.com%2fProject", "one"}};

TEST_CASE("front proxy: the user is the one that the headers name") {
  FrontProxyFixture f;
  auto user = f.ask(proxy("system:auth-proxy"), kClaim);
  REQUIRE(user);
  CHECK(user->name == "jane");
  CHECK(user->uid == "u1");
  CHECK(user->groups == std::vector<std::string>{"dev", "ops", "system:authenticated"});
  CHECK(user->extra.at("scopes") == std::vector<std::string>{"read", "write"});
  CHECK(user->extra.at("acme.com/project") == std::vector<std::string>{"one"});
  CHECK(user->extra.size() == 2);
  // The first header that is there counts; blanks are no name.
  user = f.ask(proxy("system:auth-proxy"), {{"X-Remote-User", " "}, {"X-Remote-Name", "joe"}});
  REQUIRE(user);
  CHECK(user->name == "joe");
  user = f.ask(proxy("system:auth-proxy"),
               {{"X-Remote-User", "system:anonymous"}, {"X-Remote-Group", "dev"}});
  REQUIRE(user);
  CHECK(user->groups == std::vector<std::string>{"dev"});  // nobody is authenticated as nobody
  f.options.uid_headers.clear();
  user = f.ask(proxy("system:auth-proxy"), kClaim);
  REQUIRE(user);
  CHECK(user->uid.empty());
}

TEST_CASE("front proxy: who is none is not believed") {
  FrontProxyFixture f;
  // Another name, or none, of the right authority; the right name of the clients' authority.
  CHECK_FALSE(f.ask(proxy("mallory"), kClaim));
  CHECK_FALSE(f.ask(proxy(""), kClaim));
  CHECK_FALSE(f.ask(proxy("SYSTEM:AUTH-PROXY"), kClaim));
  net::PeerCertificate client;
  client.common_name = "system:auth-proxy";
  auto user = f.ask(client, kClaim);
  REQUIRE(user);
  CHECK(user->name == "system:auth-proxy");
  CHECK(user->groups == std::vector<std::string>{"system:authenticated"});
  CHECK(user->extra.count("scopes") == 0);
  net::PeerCertificate stranger;
  stranger.error = "x509: certificate signed by unknown authority";
  CHECK_FALSE(f.ask(stranger, kClaim));
  // Without a certificate the headers are nothing.
  user = f.ask({}, kClaim);
  REQUIRE(user);
  CHECK(user->name == "system:anonymous");
  CHECK(user->groups == std::vector<std::string>{"system:unauthenticated"});
  // A proxy that names nobody is nobody itself.
  CHECK_FALSE(f.ask(proxy("system:auth-proxy"), {}));
  CHECK_FALSE(f.ask(proxy("system:auth-proxy"), {{"X-Remote-Group", "system:masters"}}));
  // Any name, where none is demanded.
  f.options.allowed_names.clear();
  user = f.ask(proxy("mallory"), kClaim);
  REQUIRE(user);
  CHECK(user->name == "jane");
}

TEST_CASE("front proxy: a token counts beside a certificate that does not") {
  FrontProxyFixture f;
  REQUIRE(f.post("/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"sa"}})")
              .status == 201);
  auto uid = f.get("/api/v1/namespaces/default/serviceaccounts/sa").at("metadata.uid");
  TokenSubject subject;
  subject.namespace_ = "default";
  subject.service_account = "sa";
  subject.service_account_uid = uid;
  api::authenticationv1::TokenRequest request;
  REQUIRE(f.tokens.issue(subject, request));
  const net::Headers bearer = {{"Authorization", "Bearer " + request.status.token}};
  net::PeerCertificate stranger;
  stranger.error = "x509: certificate signed by unknown authority";
  for (const auto& peer : {stranger, proxy("system:auth-proxy"), proxy("mallory")}) {
    auto user = f.ask(peer, bearer);
    REQUIRE(user);
    CHECK(user->name == "system:serviceaccount:default:sa");
  }
  CHECK_FALSE(f.ask(stranger, {{"Authorization", "Bearer x"}}));
  // Whom the proxy names goes before what it passes on.
  net::Headers both = bearer;
  both.emplace("X-Remote-User", "jane");
  auto user = f.ask(proxy("system:auth-proxy"), both);
  REQUIRE(user);
  CHECK(user->name == "jane");
}

TEST_CASE("front proxy: what extension servers trust is brought back") {
  AuthFixture f(false);
  const BootstrapFacts facts{.client_ca_pem = "CLIENTS",
                             .request_header_ca_pem = "PROXIES",
                             .request_header = {.allowed_names = {"a"}}};
  REQUIRE(ensure_authentication_facts(f.client, facts));
  keep_authentication_facts(f.env, f.client, f.informers, facts);
  f.informers.start_all();
  f.executor->run_until_idle();
  const std::string map =
      "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
  const auto version = f.get(map).at("metadata.resourceVersion");
  f.advance(Seconds{60});
  CHECK(f.get(map).at("metadata.resourceVersion") == version);
  f.patch(map, "application/merge-patch+json",
          R"({"data":{"requestheader-client-ca-file":"EVIL","more":"stays"}})");
  CHECK(f.get(map).at("data.requestheader-client-ca-file") == "PROXIES");
  CHECK(f.get(map).at("data.more") == "stays");
  f.del(map);
  CHECK(f.get(map).at("data.client-ca-file") == "CLIENTS");
  CHECK(f.get(map).at("data.requestheader-allowed-names") == R"(["a"])");
}

}  // namespace
}  // namespace orch::server
