// metrics.k8s.io: what the agents say, over time, as NodeMetrics and PodMetrics.
#include <catch2/catch.hpp>

#include "server/api/metrics_window.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr int64_t kStart = 1'700'000'000'000;

std::string text_at(int64_t ms, double node_cpu, double web_cpu) {
  const std::string web = R"({container="c",namespace="default",pod="web"} )";
  const std::string at = " " + std::to_string(ms) + "\n";
  return "# TYPE node_cpu_usage_seconds_total counter\nnode_cpu_usage_seconds_total " +
         std::to_string(node_cpu) + at + "node_memory_working_set_bytes 1e+06" + at +
         "container_cpu_usage_seconds_total" + web + std::to_string(web_cpu) + at +
         "container_memory_working_set_bytes" + web + "2097152" + at +
         "pod_cpu_usage_seconds_total{namespace=\"default\",pod=\"web\"} 99" + at;
}

UsageSample sample(int64_t ms, double cpu, uint64_t memory = 1) { return {cpu, memory, ms}; }

}  // namespace

TEST_CASE("the agents' text is read") {
  const NodeSample got = parse_resource_metrics(
      text_at(kStart, 2.5, 1) +
      "container_memory_working_set_bytes{container=\"a\\\"},b\",namespace=\"n\",pod=\"p\"} 7 5\n"
      "container_cpu_usage_seconds_total{broken\nnonsense\n\n# x\n");
  CHECK(got.node.cpu_seconds == 2.5);
  CHECK(got.node.memory_bytes == 1'000'000);
  CHECK(got.node.time_ms == kStart);
  CHECK(got.pods.at({"default", "web"}).at("c").memory_bytes == 2097152);
  CHECK(got.pods.at({"n", "p"}).at("a\"},b").memory_bytes == 7);
  CHECK(got.pods.size() == 2);
}

TEST_CASE("use is what was added between two samples") {
  const auto usage = usage_between(sample(kStart, 1), sample(kStart + 2000, 1.5, 77));
  REQUIRE(usage);
  CHECK(usage->cpu_nanocores == 250'000'000);
  CHECK(usage->memory_bytes == 77);
  CHECK(usage->window == Seconds{2});
  CHECK_FALSE(usage_between(sample(0, 1), sample(kStart, 2)));
  CHECK_FALSE(usage_between(sample(kStart, 1), sample(kStart, 2)));
  CHECK_FALSE(usage_between(sample(kStart, 5), sample(kStart + 1000, 1)));  // restarted
}

TEST_CASE("a pod is shown when all of its containers were measured twice") {
  ClusterSample before, now;
  before["n1"].node = sample(kStart, 1);
  now["n1"].node = sample(kStart + 1000, 2);
  now["new"].node = sample(kStart + 1000, 2);
  before["n1"].pods[{"d", "web"}] = {{"a", sample(kStart, 0)}};
  now["n1"].pods[{"d", "web"}] = {{"a", sample(kStart + 1000, 1)}};
  before["n1"].pods[{"d", "half"}] = {{"a", sample(kStart, 0)}};
  now["n1"].pods[{"d", "half"}] = {{"a", sample(kStart + 1000, 1)},
                                   {"b", sample(kStart + 1000, 1)}};
  const UsageWindow window = window_between(before, now);
  CHECK(window.nodes.size() == 1);
  CHECK(window.pods.size() == 1);
  CHECK(window.pods.at({"d", "web"}).at("a").cpu_nanocores == 1'000'000'000);
}

TEST_CASE("agents are asked when someone asks, and not again within the window") {
  ManualClock clock;
  int fetched = 0;
  MetricsWindow window(
      clock,
      [&] {
        ++fetched;
        ClusterSample out;
        out["n1"].node = sample(kStart + fetched * 1000, fetched);
        return out;
      },
      Millis{0});
  const auto first = window.get();
  CHECK(fetched == 2);  // there was nothing to compare with
  CHECK(first->nodes.at("n1").cpu_nanocores == 1'000'000'000);
  clock.advance(Seconds{14});
  CHECK(window.get() == first);
  clock.advance(Seconds{2});
  CHECK(window.get() != first);
  CHECK(fetched == 3);
  clock.advance(Seconds{600});
  CHECK(window.get()->nodes.size() == 1);
  CHECK(fetched == 5);  // the last sample was too old
}

namespace {

// A node's kubelet that has used more with each question.
struct MetricsApi {
  MetricsApi() {
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    auto started = net::HttpServer::start(
        options, [this](const net::HttpRequest& request, net::HttpResponse& response) {
          target = request.target;
          const int n = ++asked;
          response.body = text_at(kStart + n * 1000, n * 0.5, n * 0.25);
        });
    if (!started) throw std::runtime_error(started.error());
    kubelet = std::move(*started);
    struct Connector final : NodeConnector {
      explicit Connector(std::string u) : url(std::move(u)) {}
      api::ApiResult<std::shared_ptr<net::HttpClient>> kubelet(std::string_view) override {
        return peer(url);
      }
      api::ApiResult<std::shared_ptr<net::HttpClient>> peer(const std::string&) override {
        net::HttpClientOptions to;
        to.base_url = url;
        return std::shared_ptr<net::HttpClient>(net::HttpClient::create(to));
      }
      std::string url;
    };
    api.server->set_node_connector(
        std::make_shared<Connector>("http://127.0.0.1:" + std::to_string(kubelet->port())));
    api.post("/api/v1/nodes", R"({"metadata":{"name":"n1","labels":{"zone":"a"}}})");
    api.patch("/api/v1/nodes/n1/status", "application/merge-patch+json",
              R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})");
    api.post(kPods, R"({"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"nodeName":"n1",)"
                    R"("containers":[{"name":"c","image":"i"}]}})");
    api.post(kPods, pod("other"));
  }
  ~MetricsApi() {
    api.server->stop();
    kubelet->stop();
  }
  std::atomic<int> asked{0};
  std::string target;
  std::unique_ptr<net::HttpServer> kubelet;
  ApiFixture api;
};

}  // namespace

TEST_CASE("NodeMetrics and PodMetrics are got and listed, with selectors") {
  MetricsApi m;
  const std::string base = "/apis/metrics.k8s.io/v1beta1";
  const auto nodes = m.api.get(base + "/nodes");
  CHECK(nodes.status == 200);
  CHECK(m.target == "/metrics/resource");
  CHECK(json_path(nodes.body, "kind") == "\"NodeMetricsList\"");
  CHECK(nodes.body.find(R"("usage":{"cpu":"500m","memory":"1000000"})") != std::string::npos);
  CHECK(nodes.body.find(R"("window":"1s")") != std::string::npos);
  CHECK(nodes.body.find(R"("labels":{"zone":"a"})") != std::string::npos);
  const auto pods = m.api.get(base + "/namespaces/default/pods?labelSelector=app%3Dweb");
  CHECK(json_path(pods.body, "kind") == "\"PodMetricsList\"");
  CHECK(pods.body.find(R"("name":"c","usage":{"cpu":"250m","memory":"2Mi"})") != std::string::npos);
  CHECK(m.api.get(base + "/pods?labelSelector=app%3Dx").body.find(R"("items":[])") !=
        std::string::npos);
  CHECK(m.api.get(base + "/namespaces/default/pods/web").status == 200);
  const auto none = m.api.get(base + "/namespaces/default/pods/other");
  CHECK(none.status == 404);
  CHECK(json_string(*json_path(none.body, "message")) ==
        "pods.metrics.k8s.io \"default/other\" not found");
  CHECK(m.api.get(base + "/nodes/n2").status == 404);
  CHECK(m.asked == 2);  // one window for all of these
  CHECK(m.api.post(base + "/nodes", "{}").status == 405);
  CHECK(m.api.get("/apis/metrics.k8s.io/v1beta1").body.find("\"NodeMetrics\"") !=
        std::string::npos);
}

}  // namespace orch::server::test
