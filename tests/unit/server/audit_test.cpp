// Audit: what events say, and the flags.

#include <catch2/catch.hpp>
#include <fstream>

#include "orch/api/json_value.h"
#include "orch/base/file.h"
#include "server/admission/admission.h"
#include "server/audit/audit.h"
#include "unit/server/api_fixture.h"
#include "unit/server/audit_support.h"

namespace orch::server::test {
namespace {

using api::JsonValue;

class Kept final : public AuditSink {
 public:
  explicit Kept(std::vector<std::string>& events, bool full = false)
      : events_(events), full_(full) {}
  bool write(const std::vector<std::string>& events) override {
    if (full_) return false;
    events_.insert(events_.end(), events.begin(), events.end());
    return true;
  }

 private:
  std::vector<std::string>& events_;
  bool full_;
};

class Names final : public Authenticator {
 public:
  api::ApiResult<UserInfo> authenticate(const Credentials& credentials) override {
    if (credentials.bearer_token == "bad") return Err(api::unauthorized());
    return UserInfo{credentials.bearer_token, "u1", {"g"}, {{"k", {"v"}}}};
  }
  void review(api::authenticationv1::TokenReview&) override {}
};
class Allows final : public Authorizer {
 public:
  Authorization authorize(const Attributes& a) override {
    if (a.user->name == "nobody") return {Decision::kNoOpinion, "", ""};
    return {Decision::kAllow, "because", ""};
  }
  std::vector<HeldRule> rules_for(const UserInfo&, std::string_view) override { return {}; }
};

struct Audited {
  explicit Audited(const std::string& rules, bool strict = false, bool full = false) {
    std::vector<std::unique_ptr<AuditSink>> sinks;
    sinks.push_back(std::make_unique<Kept>(events, full));
    auditor = std::make_unique<Auditor>(policy(rules), std::move(sinks), strict, api.env.clock);
    api.server->set_hooks({.authenticator = &names, .authorizer = &allows});
    api.handler = make_http_handler(*api.server, {.audit = auditor.get()});
    events.clear();
  }
  Answer as(const std::string& who, const std::string& method, const std::string& target,
            const std::string& body = "",
            std::vector<std::pair<std::string, std::string>> headers = {}) {
    headers.emplace_back("Authorization", "Bearer " + who);
    headers.emplace_back("User-Agent", "test/1");
    return api.send(method, target, body, headers);
  }
  JsonValue event(size_t i) {
    REQUIRE(i < events.size());
    CHECK(events[i].find('\n') == std::string::npos);
    auto parsed = JsonValue::parse(events[i]);
    INFO(events[i]);
    REQUIRE(parsed);
    return *parsed;
  }
  std::vector<std::string> events;
  Names names;
  Allows allows;
  ApiFixture api;
  std::unique_ptr<Auditor> auditor;
};

TEST_CASE("audit events: who, what, when and how it was answered") {
  Audited a("- {level: Metadata}\n");
  const auto made =
      a.as("jane", "POST", kConfigMaps, "{\"metadata\":\n {\"name\":\"m\"},\"data\":{\"k\":\"v\"}}",
           {{"Content-Type", "application/json"}, {"X-Forwarded-For", "10.1.1.1, 10.1.1.2"}});
  CHECK(made.status == 201);
  REQUIRE(a.events.size() == 2);
  const auto received = a.event(0), done = a.event(1);
  CHECK(received.at("stage").text() == "RequestReceived");
  CHECK(received.at("responseStatus").is_null());
  CHECK(done.at("kind").text() == "Event");
  CHECK(done.at("apiVersion").text() == "audit.k8s.io/v1");
  CHECK(done.at("level").text() == "Metadata");
  CHECK(done.at("auditID").text() == made.header("Audit-Id"));
  CHECK(received.at("auditID").text() == made.header("Audit-Id"));
  CHECK(done.at("stage").text() == "ResponseComplete");
  CHECK(done.at("requestURI").text() == kConfigMaps);
  CHECK(done.at("verb").text() == "create");
  CHECK(done.at("user").dump() ==
        R"({"username":"jane","uid":"u1","groups":["g"],"extra":{"k":["v"]}})");
  CHECK(done.at("sourceIPs").dump() == R"(["10.1.1.1","10.1.1.2"])");
  CHECK(done.at("userAgent").text() == "test/1");
  CHECK(done.at("objectRef").dump() ==
        R"({"resource":"configmaps","namespace":"default","name":"m","apiVersion":"v1"})");
  CHECK(done.at("responseStatus").dump() == R"({"metadata":{},"code":201})");
  CHECK(done.get("annotations").dump() ==
        R"({"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"because"})");
  CHECK(done.at("requestReceivedTimestamp").text().size() == 27);
  CHECK(done.at("requestObject").is_null());
  CHECK(done.at("responseObject").is_null());

  const auto refused = a.as("nobody", "GET", std::string(kConfigMaps) + "/m");
  CHECK(refused.status == 403);
  const auto denied = a.event(3);
  CHECK(denied.at("responseStatus.code").number() == 403);
  CHECK(denied.at("responseStatus.reason").text() == "Forbidden");
  CHECK(denied.get("annotations").get("authorization.k8s.io/decision").text() == "forbid");
  CHECK(a.as("bad", "GET", "/api/v1/pods").status == 401);
  REQUIRE(a.events.size() == 5);
  CHECK(a.event(4).at("stage").text() == "ResponseStarted");
  CHECK(a.event(4).at("responseStatus.code").number() == 401);
  CHECK(a.event(4).at("responseStatus.message").text() ==
        "Authentication failed, attempted: bearer");
  CHECK(a.events[4].find("\"bad\"") == std::string::npos);

  a.as("jane", "GET", "/version", "", {{"Impersonate-User", "joe"}});
  CHECK(a.event(6).at("user.username").text() == "jane");
  CHECK(a.event(6).at("impersonatedUser.username").text() == "joe");
  CHECK(a.event(6).at("objectRef").is_null());
}

TEST_CASE("audit events: what admission notes about Pods") {
  Audited a("- {level: Metadata, omitStages: [RequestReceived]}\n");
  const auto transport = a.api.server->local_transport({.name = "system:apiserver"});
  client::Client client(*transport);
  client::InformerSet informers(a.api.env, *transport);
  AdmissionSettings settings;
  settings.disabled = {"ServiceAccount"};
  settings.configuration["PodSecurity"] =
      R"({"apiVersion":"pod-security.admission.config.k8s.io/v1","kind":"PodSecurityConfiguration",)"
      R"("defaults":{"enforce":"baseline","audit":"restricted"},)"
      R"("exemptions":{"usernames":["root"]}})";
  const auto chain = PluginChain::create({informers, *a.api.random, client}, settings);
  REQUIRE(chain);
  a.api.server->set_hooks(
      {.authenticator = &a.names, .authorizer = &a.allows, .admission = chain->get()});
  informers.start_all();
  a.api.executor->run_until_idle();

  const auto noted = [&](const std::string& who, const std::string& spec, int status) {
    a.events.clear();
    const auto answer =
        a.as(who, "POST", kPods,
             R"({"metadata":{"generateName":"p"},"spec":{"containers":[{"name":"a","image":"i"}])" +
                 spec + "}}",
             {{"Content-Type", "application/json"}});
    INFO(answer.body);
    CHECK(answer.status == status);
    std::map<std::string, std::string> out;
    const std::string prefix = "pod-security.kubernetes.io/";
    for (const auto& [key, value] : a.event(0).get("annotations").members()) {
      if (key.starts_with(prefix)) out[key.substr(prefix.size())] = value.text();
    }
    return out;
  };
  auto notes = noted("jane", "", 201);
  CHECK(notes.size() == 2);
  CHECK(notes["enforce-policy"] == "baseline:latest");
  CHECK(notes["audit-violations"].starts_with(
      R"(would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false)"));
  notes = noted("jane", R"(,"hostNetwork":true)", 403);
  CHECK(notes["enforce-policy"] == "baseline:latest");
  CHECK(notes["audit-violations"].find("host namespaces (hostNetwork=true)") != std::string::npos);
  notes = noted("root", R"(,"hostNetwork":true)", 201);
  CHECK(notes == std::map<std::string, std::string>{{"exempt", "user"}});
  // A request without Pods says nothing of them.
  a.events.clear();
  a.as("jane", "GET", kConfigMaps);
  CHECK_FALSE(a.event(0).get("annotations").has("pod-security.kubernetes.io/enforce-policy"));
  informers.stop();
  a.api.executor->run_until_idle();
}

TEST_CASE("audit events: objects by level, without managed fields if so decided") {
  Audited a(
      "- {level: Metadata, resources: [{group: '', resources: [secrets]}]}\n"
      "- {level: Request, verbs: [update]}\n"
      "- {level: RequestResponse, omitStages: [RequestReceived], omitManagedFields: true}\n");
  const std::string secrets = "/api/v1/namespaces/default/secrets";
  a.as("jane", "POST", secrets, R"({"metadata":{"name":"s"},"stringData":{"k":"hidden"}})",
       {{"Content-Type", "application/json"}});
  for (const auto& event : a.events) CHECK(event.find("hidden") == std::string::npos);
  a.events.clear();
  a.as("jane", "POST", kConfigMaps, "metadata: {name: m}\ndata: {k: v}\n",
       {{"Content-Type", "application/yaml"}});
  REQUIRE(a.events.size() == 1);
  const auto made = a.event(0);
  CHECK(made.at("requestObject.data.k").text() == "v");
  CHECK(made.at("responseObject.kind").text() == "ConfigMap");
  CHECK(made.at("responseObject.metadata.uid").text().size() == 36);
  CHECK_FALSE(made.at("responseObject.metadata").has("managedFields"));
  CHECK(made.at("objectRef.name").text() == "m");
  a.events.clear();
  a.as("jane", "GET", kConfigMaps);
  const auto listed = a.event(0).at("responseObject.items").items();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].at("data.k").text() == "v");
  CHECK_FALSE(listed[0].at("metadata").has("managedFields"));
  a.events.clear();
  a.as("jane", "PUT", std::string(kConfigMaps) + "/m", R"({"metadata":{"name":"m"}})",
       {{"Content-Type", "application/json"}});
  CHECK(a.event(1).at("requestObject.metadata.name").text() == "m");
  CHECK(a.event(1).at("responseObject").is_null());
}

TEST_CASE("audit events: watches begin and end") {
  Audited a("- {level: Metadata, omitStages: [RequestReceived]}\n");
  auto watch = a.as("jane", "GET", std::string(kConfigMaps) + "?watch=1");
  REQUIRE(watch.stream);
  REQUIRE(a.events.size() == 1);
  CHECK(a.event(0).at("stage").text() == "ResponseStarted");
  CHECK(a.event(0).at("verb").text() == "watch");
  watch.stream->close();
  REQUIRE(a.events.size() >= 2);
  CHECK(a.event(1).at("stage").text() == "ResponseComplete");
}

TEST_CASE("audit: strict means that nothing is served unaudited") {
  Audited lax("- {level: Metadata}\n", false, true);
  CHECK(lax.as("jane", "GET", kConfigMaps).status == 200);
  Audited strict("- {level: Metadata}\n", true, true);
  CHECK(strict.as("jane", "GET", kConfigMaps).status == 500);
}

TEST_CASE("audit flags: what is missing or wrong is named") {
  TempDir dir;
  const auto said = [](const AuditConfig& config) {
    auto made = make_auditor(config, system_clock());
    return made ? std::string(*made ? "audits" : "off") : made.error();
  };
  AuditConfig config;
  CHECK(said(config) == "off");
  config.log_path = dir.path + "/audit.log";
  CHECK(said(config).starts_with("--audit-policy-file is missing"));
  config.policy_file = dir.path + "/policy.yaml";
  CHECK(said(config).starts_with("--audit-policy-file: "));
  std::ofstream(config.policy_file) << "a: b\n";
  CHECK(said(config).find("unknown field") != std::string::npos);
  std::ofstream(config.policy_file) << policy_text("- {level: Metadata}\n");
  CHECK(said(config) == "audits");
  config.log_mode = "odd";
  CHECK(said(config) == "--audit-log-mode: \"odd\" is none of batch, blocking, blocking-strict");
  config.log_mode = "batch";
  CHECK(said(config) == "audits");
  config.log_path.clear();
  CHECK(said(config) == "off");
}

}  // namespace
}  // namespace orch::server::test
