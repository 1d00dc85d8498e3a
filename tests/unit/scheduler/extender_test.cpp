// Extenders against a small HTTP server of the test's own.
#include "server/scheduler/extenders.h"

#include <mutex>

#include "orch/api/json_value.h"
#include "orch/net/http.h"
#include "orch/net/tls.h"
#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;
using api::JsonValue;

class Webhook {
 public:
  using Answers = std::map<std::string, std::pair<int, std::string>>;
  explicit Webhook(Answers answers, std::shared_ptr<net::TlsServerContext> tls = nullptr)
      : answers_(std::move(answers)) {
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    options.tls = std::move(tls);
    auto started = net::HttpServer::start(
        options, [this](const net::HttpRequest& request, net::HttpResponse& response) {
          std::lock_guard lock(mutex_);
          asked_[request.path] = request.body;
          auto at = answers_.find(request.path);
          response.status = at == answers_.end() ? 404 : at->second.first;
          response.body = at == answers_.end() ? "" : at->second.second;
        });
    REQUIRE(started);
    server_ = std::move(*started);
  }
  ~Webhook() { server_->stop(Millis{200}); }
  std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(server_->port()) + "/sched";
  }
  JsonValue asked(const std::string& path) {
    std::lock_guard lock(mutex_);
    return JsonValue::parse(asked_[path]).value_or(JsonValue());
  }

 private:
  const Answers answers_;
  std::mutex mutex_;
  std::map<std::string, std::string> asked_;
  std::unique_ptr<net::HttpServer> server_;
};

std::unique_ptr<Extenders> make(const std::vector<ExtenderConfig>& configs) {
  auto made = Extenders::create(configs);
  INFO((made ? "" : made.error()));
  REQUIRE(made);
  return std::move(*made);
}

Decision decide_with(Extenders& extenders, const Snapshot& snapshot, const PodBuilder& pod) {
  auto random = seeded_random(1);
  return schedule(default_framework(), snapshot, *pod.info(), *random, {.extenders = &extenders});
}

ExtenderConfig at(const std::string& url) {
  ExtenderConfig out;
  out.url_prefix = url;
  return out;
}

std::vector<NodeBuilder> three() { return {NodeBuilder("a"), NodeBuilder("b"), NodeBuilder("c")}; }

TEST_CASE("filter by names and prioritize") {
  Webhook hook(
      {{"/sched/filter", {200, R"({"nodenames":["a","b"],"failedNodes":{"c":"no license"}})"}},
       {"/sched/prioritize", {200, R"([{"host":"a","score":1},{"host":"b","score":10}])"}}});
  ExtenderConfig config = at(hook.url());
  config.filter_verb = "filter";
  config.prioritize_verb = "prioritize";
  config.weight = 100;
  config.node_cache_capable = true;
  auto extenders = make({config});
  const Snapshot snapshot = snapshot_of(three());
  CHECK(decide_with(*extenders, snapshot, PodBuilder("p")).node == "b");
  const JsonValue asked = hook.asked("/sched/filter");
  CHECK(asked.at("pod.metadata.name").text() == "p");
  CHECK(asked.get("nodenames").size() == 3);
  CHECK_FALSE(asked.has("nodes"));
}

TEST_CASE("whole nodes; why none is left") {
  Webhook hook({{"/sched/filter",
                 {200, R"({"nodes":{"items":[]},"failedNodes":{"a":"no license","b":"no license"},)"
                       R"("failedAndUnresolvableNodes":{"c":"wrong rack"}})"}}});
  ExtenderConfig config = at(hook.url() + "/");
  config.filter_verb = "filter";
  auto extenders = make({config});
  const Decision decision = decide_with(*extenders, snapshot_of(three()), PodBuilder("p"));
  CHECK(decision.status.rejected());
  CHECK(decision.status.message().find("0/3 nodes are available: 1 wrong rack, 2 no license.") ==
        0);
  // Nobody knows what changes an extender's mind.
  CHECK(decision.rejected_by.contains("Extender"));
  CHECK(default_framework().may_help({}, *PodBuilder("p").info(), decision.rejected_by));
  CHECK(hook.asked("/sched/filter").at("nodes.items").size() == 3);
}

TEST_CASE("a failing extender fails the pod unless it may be ignored") {
  Webhook hook({{"/sched/filter", {500, "boom"}}});
  ExtenderConfig config = at(hook.url());
  config.filter_verb = "filter";
  auto strict = make({config});
  const Decision failed = decide_with(*strict, snapshot_of(three()), PodBuilder("p"));
  CHECK(failed.status.code == Code::kError);
  CHECK(failed.status.message().find("failed filter with extender at URL") == 0);
  config.ignorable = true;
  auto lax = make({config});
  CHECK(decide_with(*lax, snapshot_of(three()), PodBuilder("p")).status.ok());

  Webhook wrong({{"/sched/filter", {200, R"({"error":"license server is down"})"}},
                 {"/sched/garbage", {200, "<html>"}}});
  config = at(wrong.url());
  config.filter_verb = "filter";
  auto says = make({config});
  CHECK(decide_with(*says, snapshot_of(three()), PodBuilder("p")).status.message() ==
        "license server is down");
  config.filter_verb = "garbage";
  auto babbles = make({config});
  CHECK(decide_with(*babbles, snapshot_of(three()), PodBuilder("p")).status.code == Code::kError);
}

TEST_CASE("an extender that nobody answers for") {
  std::string url;
  {
    Webhook gone({});
    url = gone.url();
  }
  ExtenderConfig config = at(url);
  config.filter_verb = "filter";
  config.timeout = Seconds{2};
  auto extenders = make({config});
  CHECK(decide_with(*extenders, snapshot_of(three()), PodBuilder("p")).status.code == Code::kError);
}

TEST_CASE("managed resources: other pods do not concern it") {
  ExtenderConfig config = at("http://127.0.0.1:1/none");
  config.filter_verb = "filter";
  config.bind_verb = "bind";
  config.timeout = Seconds{1};
  config.managed_resources = {{"example.com/gpu", true}};
  auto extenders = make({config});
  CHECK(decide_with(*extenders, snapshot_of(three()), PodBuilder("p")).status.ok());
  CHECK_FALSE(extenders->bind(*PodBuilder("p").info(), "a"));
  CHECK(extenders->bind(*PodBuilder("p").request("example.com/gpu", "1").info(), "a"));
}

TEST_CASE("preempt: the extender chooses among the victims, or forbids") {
  const Snapshot snapshot = snapshot_of({NodeBuilder("a", "2")
                                             .with(PodBuilder("v1").request("cpu", "1"))
                                             .with(PodBuilder("v2").request("cpu", "1"))});
  const PodBuilder pod = PodBuilder("p").priority(10).request("cpu", "2");
  Webhook hook({{"/sched/preempt",
                 {200, R"({"nodeNameToMetaVictims":{"a":{"pods":[{"uid":"uid-v1"}]}}})"}}});
  ExtenderConfig config = at(hook.url());
  config.preempt_verb = "preempt";
  auto extenders = make({config});
  const Decision decision = decide_with(*extenders, snapshot, pod);
  CHECK(decision.nominated_node == "a");
  REQUIRE(decision.victims.size() == 1);
  CHECK(decision.victims[0]->name() == "v1");
  CHECK(hook.asked("/sched/preempt").at("nodeNameToMetaVictims.a.pods").size() == 2);

  Webhook never({{"/sched/preempt", {200, R"({"nodeNameToMetaVictims":{}})"}}});
  config = at(never.url());
  config.preempt_verb = "preempt";
  auto forbids = make({config});
  const Decision refused = decide_with(*forbids, snapshot, pod);
  CHECK(refused.victims.empty());
  CHECK(refused.nominated_node.empty());
}

TEST_CASE("bind") {
  Webhook hook({{"/sched/bind", {200, "{}"}}, {"/sched/refuse", {200, R"({"error":"no"})"}}});
  ExtenderConfig config = at(hook.url());
  config.bind_verb = "bind";
  auto extenders = make({config});
  auto answer = extenders->bind(*PodBuilder("p").info(), "a");
  REQUIRE(answer);
  CHECK(answer->ok());
  const JsonValue asked = hook.asked("/sched/bind");
  CHECK(asked.get("podName").text() == "p");
  CHECK(asked.get("podNamespace").text() == "default");
  CHECK(asked.get("podUID").text() == "uid-p");
  CHECK(asked.get("node").text() == "a");
  config.bind_verb = "refuse";
  auto refuses = make({config});
  CHECK(refuses->bind(*PodBuilder("p").info(), "a")->message() == "no");
}

TEST_CASE("over TLS, with the authority checked") {
  const WallTime now = system_clock().now();
  auto ca = net::make_ca("test-ca", now - Seconds{60}, Seconds{3600});
  REQUIRE(ca);
  net::CertificateRequest request;
  request.common_name = "extender";
  request.ip_addresses = {"127.0.0.1"};
  request.server_auth = true;
  request.not_before = now - Seconds{60};
  request.not_after = now + Seconds{3600};
  auto pair = net::issue(*ca, request);
  REQUIRE(pair);
  auto tls = net::TlsServerContext::create({.key_pair = *pair});
  REQUIRE(tls);
  Webhook hook({{"/sched/bind", {200, "{}"}}}, *tls);
  ExtenderConfig config = at(hook.url("https"));
  config.bind_verb = "bind";
  config.enable_https = true;
  config.tls.ca_pem = ca->certificate_pem;
  auto trusting = make({config});
  CHECK(trusting->bind(*PodBuilder("p").info(), "a")->ok());
  auto other = net::make_ca("other-ca", now - Seconds{60}, Seconds{3600});
  REQUIRE(other);
  config.tls.ca_pem = other->certificate_pem;
  auto wary = make({config});
  CHECK_FALSE(wary->bind(*PodBuilder("p").info(), "a")->ok());
}

TEST_CASE("an extender that cannot be made says which and why") {
  CHECK(Extenders::create({at("ftp://x")}).error() ==
        "extenders[0]: urlPrefix: must begin with http:// or https://");
  ExtenderConfig config = at("https://127.0.0.1:1");
  config.tls.ca_file = "/nonexistent/ca.crt";
  auto failed = Extenders::create({config});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().find("/nonexistent/ca.crt") != std::string::npos);
}

}  // namespace
}  // namespace orch::server::scheduler
