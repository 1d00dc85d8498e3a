// The API server with the real authorizers and the check against escalation in front of it, its
// default roles in place.
#pragma once

#include <catch2/catch.hpp>
#include <map>

#include "server/auth/authorizer.h"
#include "server/auth/escalation.h"
#include "server/bootstrap.h"
#include "server/bootstrap_roles.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {

// Bearer tokens are names of users; nobody else is let in.
class TestAuthenticator final : public Authenticator {
 public:
  api::ApiResult<UserInfo> authenticate(const Credentials& credentials) override {
    auto it = users.find(credentials.bearer_token);
    if (it == users.end()) return Err(api::unauthorized());
    return it->second;
  }
  void review(api::authenticationv1::TokenReview&) override {}
  std::map<std::string, UserInfo> users;  // by token
};

class NoAdmission final : public AdmissionChain {
 public:
  api::ApiResult<Unit> admit(AdmissionRequest&) override { return Unit{}; }
  api::ApiResult<Unit> validate(const AdmissionRequest&) override { return Unit{}; }
};

struct AuthFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  DefaultAuthorizer authorizer{informers};
  TestAuthenticator authenticator;
  NoAdmission no_admission;
  EscalationGuard guard{authorizer, no_admission};

  explicit AuthFixture(bool with_roles = true) {
    informers.start_all();
    for (const char* name : {"kube-system", "kube-public"}) {
      post("/api/v1/namespaces", std::string(R"({"metadata":{"name":")") + name + "\"}}");
    }
    if (with_roles) {
      auto made = reconcile_bootstrap_roles(client);
      INFO((made ? "" : made.error()));
      REQUIRE(made);
    }
    executor->run_until_idle();
  }
  ~AuthFixture() {
    informers.stop();
    executor->run_until_idle();
  }

  // From here on every request is checked.
  void close() {
    Hooks hooks;
    hooks.authenticator = &authenticator;
    hooks.authorizer = &authorizer;
    hooks.admission = &guard;
    server->set_hooks(hooks);
  }
  UserInfo user(const std::string& name, std::vector<std::string> groups = {}) {
    groups.emplace_back("system:authenticated");
    return authenticator.users[name] = UserInfo{.name = name, .groups = std::move(groups)};
  }
  // `name` is the user's token too.
  Answer as(const std::string& name, const std::string& method, const std::string& target,
            const std::string& body = "",
            std::vector<std::pair<std::string, std::string>> headers = {}) {
    headers.emplace_back("Authorization", "Bearer " + name);
    if (method == "PATCH") headers.emplace_back("Content-Type", "application/merge-patch+json");
    auto answer = send(method, target, body, std::move(headers));
    executor->run_until_idle();
    return answer;
  }

  Authorization ask(const UserInfo& user, const std::string& verb, const std::string& group,
                    const std::string& resource, const std::string& ns = "",
                    const std::string& name = "", const std::string& field_selector = "") {
    Attributes a;
    a.user = &user;
    a.verb = verb;
    a.group = group;
    const size_t slash = resource.find('/');
    a.resource = resource.substr(0, slash);
    if (slash != std::string::npos) a.subresource = resource.substr(slash + 1);
    a.namespace_ = ns;
    a.name = name;
    a.field_selector = field_selector;
    return authorizer.authorize(a);
  }
  bool may(const UserInfo& user, const std::string& verb, const std::string& group,
           const std::string& resource, const std::string& ns = "", const std::string& name = "") {
    return ask(user, verb, group, resource, ns, name).decision == Decision::kAllow;
  }
};

}  // namespace orch::server::test
