// The request filters: authentication, impersonation, authorization, limits.
#include <catch2/catch.hpp>

#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

class Tokens final : public Authenticator {
 public:
  api::ApiResult<UserInfo> authenticate(const Credentials& credentials) override {
    if (credentials.bearer_token.empty()) {
      return UserInfo{"system:anonymous", "", {"system:unauthenticated"}, {}};
    }
    if (credentials.bearer_token == "bad") return Err(api::unauthorized());
    return UserInfo{credentials.bearer_token, "", {"system:authenticated"}, {}};
  }
  void review(api::authenticationv1::TokenReview& review) override {
    review.status.authenticated = review.spec.token != "bad";
    review.status.user.username = review.spec.token;
  }
};

// "root" may do everything, "boss" may impersonate "ann", "ann" may read.
class Rules final : public Authorizer {
 public:
  Authorization authorize(const Attributes& a) override {
    last = a.user->name + " " + a.verb + " " + a.resource;
    const bool reads = a.verb == "get" || a.verb == "list";
    const bool allowed = a.user->name == "root" || (a.user->name == "ann" && reads) ||
                         (a.user->name == "boss" && a.verb == "impersonate" && a.name == "ann") ||
                         (!a.resource_request && a.path == "/healthz");
    return {allowed ? Decision::kAllow : Decision::kNoOpinion, "", ""};
  }
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override { return {}; }
  std::string last;
};

struct Secured {
  Tokens tokens;
  Rules rules;
  ApiFixture api{{.authenticator = &tokens, .authorizer = &rules}, false};

  Answer as(const std::string& token, std::string method, std::string target, std::string body = "",
            std::vector<std::pair<std::string, std::string>> headers = {}) {
    if (!token.empty()) headers.emplace_back("Authorization", "Bearer " + token);
    return api.send(std::move(method), std::move(target), std::move(body), std::move(headers));
  }
};

}  // namespace

TEST_CASE("authentication and authorization") {
  Secured s;
  const auto bad = s.as("bad", "GET", "/api/v1/pods");
  CHECK(bad.status == 401);
  CHECK(bad.at("reason") == "Unauthorized");
  CHECK(bad.at("message") == "Unauthorized");
  const auto anonymous = s.as("", "GET", "/api/v1/namespaces/default/pods");
  CHECK(anonymous.status == 403);
  CHECK(anonymous.at("message") ==
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group "
        "\"\" in the namespace \"default\"");
  const auto cluster = s.as("x", "GET", "/apis/apps/v1/deployments");
  CHECK(cluster.at("message") ==
        "deployments.apps is forbidden: User \"x\" cannot list resource \"deployments\" in API "
        "group \"apps\" at the cluster scope");
  const auto path = s.as("x", "GET", "/version");
  CHECK(path.status == 403);
  CHECK(path.at("message") == "forbidden: User \"x\" cannot get path \"/version\"");
  CHECK(s.as("", "GET", "/healthz").status == 200);
  CHECK(s.as("ann", "GET", "/api/v1/pods").status == 200);
  CHECK(s.as("ann", "POST", "/api/v1/namespaces", R"({"metadata":{"name":"a"}})").status == 403);
  CHECK(s.as("root", "POST", "/api/v1/namespaces", R"({"metadata":{"name":"a"}})").status == 201);
}

TEST_CASE("impersonation") {
  Secured s;
  const auto ann = s.as("boss", "GET", "/api/v1/pods", "", {{"Impersonate-User", "ann"}});
  CHECK(ann.status == 200);
  CHECK(s.rules.last == "ann list pods");
  const auto root = s.as("boss", "GET", "/api/v1/pods", "", {{"Impersonate-User", "root"}});
  CHECK(root.status == 403);
  CHECK(root.at("message").find("cannot impersonate resource \"users\"") != std::string::npos);
  const auto masters = s.as("boss", "GET", "/api/v1/pods", "",
                            {{"Impersonate-User", "ann"}, {"Impersonate-Group", "system:masters"}});
  CHECK(masters.status == 403);
  CHECK(s.as("boss", "GET", "/api/v1/pods", "", {{"Impersonate-Uid", "1"}}).status == 400);
  CHECK(s.as("boss", "GET", "/api/v1/pods", "",
             {{"Impersonate-User", "ann"}, {"Impersonate-Extra-a", "b"}})
            .status == 403);
}

TEST_CASE("token reviews") {
  Secured s;
  const std::string url = "/apis/authentication.k8s.io/v1/tokenreviews";
  const auto good = s.as("root", "POST", url, R"({"spec":{"token":"ann"}})");
  CHECK(good.status == 201);
  CHECK(good.at("status.authenticated") == "true");
  CHECK(good.at("status.user.username") == "ann");
  CHECK(good.body.find("\"token\"") == std::string::npos);
  CHECK(s.as("root", "POST", url, R"({"spec":{"token":"bad"}})").at("status.authenticated") !=
        "true");
  CHECK(s.as("root", "POST", url, R"({"spec":{}})").status == 400);
}

TEST_CASE("labels of metrics are bounded") {
  ApiFixture api;
  for (int i = 0; i < 50; ++i) {
    api.get("/apis/evil" + std::to_string(i) + "/v1/things");
    api.send("GET", "/api/v1/namespaces/default/pods/p/sub" + std::to_string(i));
  }
  CHECK(api.get("/metrics").body.find("evil") == std::string::npos);
  CHECK(api.get("/metrics").body.find("sub4") == std::string::npos);
}

TEST_CASE("what requests wait for, and refusals") {
  using Waits = net::HttpServerOptions::Waits;
  CHECK(request_waits("POST", "/api/v1/namespaces/n/pods") == Waits::kNothing);
  CHECK(request_waits("POST", "/api/v1/namespaces/n/pods/p/binding") == Waits::kDisk);
  CHECK(request_waits("PUT", "/api/v1/namespaces/n/pods/p") == Waits::kDisk);
  CHECK(request_waits("POST", "/api/v1/namespaces/n/pods/p/exec") == Waits::kPeer);
  CHECK(request_waits("POST", "/api/v1/namespaces/n/services/s/proxy/x") == Waits::kPeer);
  CHECK(request_waits("GET", "/api/v1/namespaces/n/pods/p/log") == Waits::kPeer);
  CHECK(request_waits("GET", "/api/v1/namespaces/n/pods/p/exec") == Waits::kPeer);
  CHECK(request_waits("GET", "/api/v1/nodes/n/proxy/metrics") == Waits::kPeer);
  CHECK(request_waits("GET", "/api/v1/namespaces/n/pods/p") == Waits::kNothing);
  CHECK(request_waits("GET", "/api/v1/watch/pods") == Waits::kNothing);
  const auto large = refusal_body(413, "too large");
  CHECK(json_path(large, "reason") == "\"RequestEntityTooLarge\"");
  CHECK(json_path(large, "message") == "\"Request entity too large: limit is 3145728\"");
  CHECK(json_path(refusal_body(408, "slow"), "code") == "408");
}

}  // namespace orch::server::test
