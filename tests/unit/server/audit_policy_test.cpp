// Audit: what a policy chooses, and where events go.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "orch/base/file.h"
#include "orch/net/http.h"
#include "server/api/call.h"
#include "server/audit/sink.h"
#include "unit/server/audit_support.h"

namespace orch::server::test {
namespace {

namespace fs = std::filesystem;

std::string_view level(const AuditPolicy& p, std::string_view method, std::string_view target,
                       const UserInfo& who = {"jane", "", {"devs"}, {}}) {
  return to_text(p.decide(parse_request(method, target, {}), who).level);
}

TEST_CASE("audit policy: the first rule that fits decides") {
  const struct {
    const char *rule, *method, *target, *wanted;
  } cases[] = {
      {"users: [jane]", "GET", "/api/v1/pods", "Request"},
      {"users: [joe]", "GET", "/api/v1/pods", "None"},
      {"userGroups: [ops, devs]", "GET", "/version", "Request"},
      {"userGroups: [ops]", "GET", "/version", "None"},
      {"verbs: [list]", "GET", "/api/v1/pods", "Request"},
      {"verbs: [watch]", "GET", "/api/v1/pods", "None"},
      {"verbs: ['*']", "PUT", "/api/v1/nodes/n", "Request"},
      {"namespaces: [a]", "GET", "/api/v1/namespaces/a/pods", "Request"},
      {"namespaces: [a]", "GET", "/api/v1/namespaces/b/pods", "None"},
      {"namespaces: ['']", "GET", "/api/v1/nodes", "Request"},
      {"namespaces: [a]", "GET", "/healthz", "None"},
      {"resources: [{group: '', resources: [pods]}]", "GET", "/api/v1/pods", "Request"},
      {"resources: [{group: '', resources: [pods]}]", "GET", "/api/v1/namespaces/a/pods/p/log",
       "None"},
      {"resources: [{group: '', resources: [pods/log]}]", "GET", "/api/v1/namespaces/a/pods/p/log",
       "Request"},
      {"resources: [{group: '', resources: ['pods/*']}]", "GET", "/api/v1/namespaces/a/pods/p/log",
       "Request"},
      {"resources: [{group: '', resources: ['*/log']}]", "GET", "/api/v1/namespaces/a/pods/p/log",
       "Request"},
      {"resources: [{group: '', resources: ['*']}]", "GET", "/api/v1/namespaces/a/pods/p/log",
       "Request"},
      {"resources: [{group: apps}]", "GET", "/apis/apps/v1/deployments", "Request"},
      {"resources: [{group: apps}]", "GET", "/api/v1/pods", "None"},
      {"resources: [{group: '', resources: [pods], resourceNames: [p]}]", "GET",
       "/api/v1/namespaces/a/pods/p", "Request"},
      {"resources: [{group: '', resources: [pods], resourceNames: [p]}]", "GET",
       "/api/v1/namespaces/a/pods/q", "None"},
      {"nonResourceURLs: ['/healthz*', /version]", "GET", "/healthz/ping", "Request"},
      {"nonResourceURLs: ['/healthz*', /version]", "GET", "/version", "Request"},
      {"nonResourceURLs: [/version]", "GET", "/versions", "None"},
      {"nonResourceURLs: ['*']", "GET", "/api/v1/pods", "None"},
  };
  for (const auto& c : cases) {
    INFO(c.rule << " and " << c.method << " " << c.target);
    CHECK(level(policy(std::string("- {level: Request, ") + c.rule + "}\n"), c.method, c.target) ==
          c.wanted);
  }
  const auto ordered = policy("- {level: None, users: [jane]}\n- {level: Metadata}\n");
  CHECK(level(ordered, "GET", "/api/v1/pods") == "None");
  CHECK(level(ordered, "GET", "/api/v1/pods", {"joe", "", {}, {}}) == "Metadata");
  const auto stages = policy("- {level: Metadata, omitStages: [Panic], omitManagedFields: false}\n",
                             "omitStages: [RequestReceived]\nomitManagedFields: true\n");
  const auto decision = stages.decide(parse_request("GET", "/version", {}), {});
  CHECK(decision.omits(AuditStage::kRequestReceived));
  CHECK(decision.omits(AuditStage::kPanic));
  CHECK_FALSE(decision.omits(AuditStage::kResponseComplete));
  CHECK_FALSE(decision.omit_managed_fields);
}

TEST_CASE("audit policy: what is wrong is named") {
  const auto said = [](const std::string& text) {
    const auto parsed = AuditPolicy::parse(text);
    return parsed ? std::string() : parsed.error();
  };
  CHECK(said(policy_text("- {level: Loud}\n")) ==
        "rules[0].level: Unsupported value: \"Loud\": supported values: \"None\", \"Metadata\", "
        "\"Request\", \"RequestResponse\"");
  CHECK(said(policy_text("- {users: [a]}\n")) == "rules[0].level: Required value");
  CHECK(
      said(policy_text("- {level: None, nonResourceURLs: [healthz, '/a*b']}\n")) ==
      "rules[0].nonResourceURLs[0]: Invalid value: \"healthz\": non-resource URL rules must begin "
      "with a '/' character; rules[0].nonResourceURLs[1]: Invalid value: \"/a*b\": non-resource "
      "URL wildcards '*' must be the final character of the rule");
  CHECK(said(policy_text("- {level: None, namespaces: [a], nonResourceURLs: [/a]}\n"))
            .find("rules cannot apply to both") != std::string::npos);
  CHECK(said(policy_text("- {level: None, resources: [{group: '', resourceNames: [a]}]}\n"))
            .find("rules[0].resources[0].resourceNames: Invalid value: [\"a\"]") == 0);
  CHECK(said(policy_text("- {level: None, omitStages: [Late]}\n"))
            .find("rules[0].omitStages[0]: Unsupported value") == 0);
  CHECK(said(policy_text("- {level: None, verb: [get]}\n")) ==
        "rules[0].verb: Forbidden: unknown field");
  CHECK(said(policy_text("- {level: None, users: jane}\n")).find("rules[0].users: ") == 0);
  CHECK(said("apiVersion: v1\nkind: Policy\nrules: [{level: None}]\n").find("apiVersion: ") == 0);
  CHECK(said("apiVersion: audit.k8s.io/v1\nkind: Policy\n").find("rules: Required value") == 0);
  CHECK_FALSE(said("- a").empty());
  CHECK_FALSE(said("{").empty());
  CHECK_FALSE(said("").empty());
}

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

TEST_CASE("audit log: mode 600, renamed when long, old ones removed, full disks survived") {
  TempDir dir;
  ManualClock clock;
  const std::string path = dir.path + "/logs/audit.log";
  AuditFileOptions options;
  options.path = path;
  options.bytes_max = 100;
  options.backups_max = 2;
  auto sink = make_audit_file(options, clock);
  REQUIRE(sink);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  std::ofstream(dir.path + "/logs/audit-notes.log") << "mine";
  for (int i = 0; i < 10; ++i) CHECK((*sink)->write({std::string(60, static_cast<char>('a' + i))}));
  size_t backups = 0;
  for (const auto& entry : fs::directory_iterator(dir.path + "/logs")) {
    const std::string name = entry.path().filename();
    if (name.starts_with("audit-") && name != "audit-notes.log") ++backups;
  }
  CHECK(backups == 2);
  CHECK(fs::exists(dir.path + "/logs/audit-notes.log"));
  CHECK(*read_file(path) == std::string(60, 'j') + "\n");
  AuditFileOptions full;
  full.path = "/dev/full";
  auto lost = make_audit_file(full, clock);
  REQUIRE(lost);
  CHECK_FALSE((*lost)->write({"x"}));
  AuditFileOptions nowhere;
  nowhere.path = "/proc/none/audit.log";
  CHECK_FALSE(make_audit_file(nowhere, clock));
}

TEST_CASE("audit batches: written in the background, in order, all at the end; bounded") {
  std::vector<std::string> events;
  {
    const auto batches = make_audit_batches(std::make_unique<Kept>(events), {1000, 10, Millis{5}});
    for (int i = 0; i < 500; ++i) CHECK(batches->write({std::to_string(i)}));
  }
  REQUIRE(events.size() == 500);
  for (int i = 0; i < 500; ++i) CHECK(events[static_cast<size_t>(i)] == std::to_string(i));
  std::vector<std::string> none;
  const auto small = make_audit_batches(std::make_unique<Kept>(none), {3, 100, Seconds{1}});
  bool kept = true;
  for (int i = 0; i < 200; ++i) kept = small->write({"x"}) && kept;
  CHECK_FALSE(kept);
}

TEST_CASE("audit webhook: lists of events, again after failures") {
  TempDir dir;
  std::mutex mutex;
  std::vector<std::string> bodies, tokens;
  int failures = 1;
  net::HttpServerOptions options;
  options.address = "127.0.0.1";
  auto server = net::HttpServer::start(
      options, [&](const net::HttpRequest& request, net::HttpResponse& response) {
        std::lock_guard lock(mutex);
        bodies.push_back(request.method + " " + request.target + " " + request.body);
        tokens.emplace_back(net::header(request.headers, "Authorization"));
        response.status = failures-- > 0 ? 503 : 200;
      });
  REQUIRE(server);
  const std::string path = dir.path + "/kubeconfig";
  std::ofstream(path) << "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                         "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
                         "users: [{name: u, user: {token: secret}}]\n"
                         "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:"
                      << (*server)->port() << "/audit'}}]\n";
  auto sink = make_audit_webhook(path);
  INFO((sink ? "" : sink.error()));
  REQUIRE(sink);
  CHECK((*sink)->write({R"({"a":1})", R"({"a":2})"}));
  (*server)->stop();
  REQUIRE(bodies.size() == 2);
  CHECK(bodies[1] ==
        R"(POST /audit {"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":)"
        R"([{"a":1},{"a":2}]})");
  CHECK(tokens[1] == "Bearer secret");
  std::ofstream(path) << "current-context: x\n";
  CHECK(make_audit_webhook(path).error() == path + ": contexts: there is none called \"x\"");
  CHECK_FALSE(make_audit_webhook(dir.path + "/none"));
}

}  // namespace
}  // namespace orch::server::test
