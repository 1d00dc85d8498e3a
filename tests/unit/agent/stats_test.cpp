#include "agent/stats/stats.h"

#include <catch2/catch.hpp>

#include "orch/api/json_value.h"

using namespace orch;
using namespace orch::agent;

namespace {

constexpr WallTime kAt{std::chrono::seconds{1'700'000'000}};

NodeStats sample() {
  NodeStats stats;
  stats.name = "n1";
  stats.boot = kAt - Seconds{1000};
  stats.cpu = {kAt, 5'000'000'000, 250'000'000};
  stats.memory = {4096, 2048, 1024, 6144};
  stats.fs = {100, 60, 40, 10, 6, 4};
  stats.image_fs = stats.fs;
  stats.interfaces = {{"eth0", 1, 2, 3, 4, 5, 6, 7, 8}};
  PodStats pod;
  pod.namespace_ = "default";
  pod.name = "web";
  pod.uid = "u1";
  pod.cgroup = "/orch/x/kubepods/podu1";
  pod.cpu = {kAt, 2'000'000'000, std::nullopt};
  pod.memory = {300, 200, 100, std::nullopt};
  pod.network = InterfaceStats{"eth0", 10, 1, 0, 0, 20, 2, 0, 0};
  pod.processes = 3;
  ContainerStats c;
  c.name = "main";
  c.id = "c1";
  c.image = "a\"b";
  c.start = kAt - Seconds{10};
  c.cpu = {kAt, 1'500'000'000, 5};
  c.memory = {200, 150, 90, 50};
  c.layer_bytes = 7;
  c.cpu_limit_milli = 500;
  c.cgroup = pod.cgroup + "/c1";
  c.throttling = CpuThrottling{10, 4, 2'000'000'000};
  pod.containers = {c};
  stats.pods = {pod};
  return stats;
}

bool has(const std::string& text, const std::string& line) {
  return text.find(line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("/stats/summary has the kubelet's fields") {
  const auto json = api::JsonValue::parse(render_summary(sample()));
  REQUIRE(json);
  CHECK(json->at("node.nodeName").text() == "n1");
  CHECK(json->at("node.cpu.usageNanoCores").number() == 250'000'000);
  CHECK(json->at("node.cpu.time").text() == "2023-11-14T22:13:20Z");
  CHECK(json->at("node.memory.workingSetBytes").number() == 2048);
  CHECK(json->at("node.memory.availableBytes").number() == 6144);
  CHECK(json->at("node.network.rxBytes").number() == 1);
  CHECK(json->at("node.fs.usedBytes").number() == 40);
  CHECK(json->at("node.runtime.imageFs.capacityBytes").number() == 100);
  const auto pods = json->get("pods").items();
  REQUIRE(pods.size() == 1);
  CHECK(pods[0].at("podRef.uid").text() == "u1");
  CHECK_FALSE(pods[0].get("cpu").has("usageNanoCores"));  // measured once
  CHECK(pods[0].at("network.txBytes").number() == 20);
  CHECK(pods[0].at("process_stats.process_count").number() == 3);
  const auto container = pods[0].get("containers").items().at(0);
  CHECK(container.at("cpu.usageCoreNanoSeconds").number() == 1'500'000'000);
  CHECK(container.at("memory.rssBytes").number() == 90);
  CHECK(container.at("rootfs.usedBytes").number() == 7);
}

TEST_CASE("/metrics/resource has the kubelet's series") {
  const std::string text = render_resource_metrics(sample());
  const std::string labels = R"(container="main",namespace="default",pod="web")";
  CHECK(has(text, "container_cpu_usage_seconds_total{" + labels + "} 1.5 1700000000000"));
  CHECK(has(text, "container_memory_working_set_bytes{" + labels + "} 150 1700000000000"));
  CHECK(has(text, "container_start_time_seconds{" + labels + "} 1699999990"));
  CHECK(has(text, "node_cpu_usage_seconds_total 5 1700000000000"));
  CHECK(has(text, R"(pod_memory_working_set_bytes{namespace="default",pod="web"} 200 )"
                  "1700000000000"));
  CHECK(has(text, "resource_scrape_error 0"));
  CHECK(has(render_failed_scrape(), "resource_scrape_error 1"));
}

TEST_CASE("/metrics/cadvisor: values with labels, quotes escaped") {
  const std::string text = render_cadvisor_metrics(sample());
  const std::string c =
      R"(id="/orch/x/kubepods/podu1/c1",image="a\"b",name="c1",namespace="default",pod="web"})";
  CHECK(has(text, R"(container_cpu_usage_seconds_total{container="main",cpu="total",)" + c +
                      " 1.5 1700000000000"));
  CHECK(has(text, R"(container_memory_cache{container="main",)" + c + " 110 1700000000000"));
  CHECK(has(text, R"(container_spec_cpu_quota{container="main",)" + c + " 50000 1700000000000"));
  CHECK(has(text, R"(container_cpu_cfs_throttled_seconds_total{container="main",)" + c +
                      " 2 1700000000000"));
  CHECK(text.find(R"(container_network_transmit_bytes_total{id="/orch/x/kubepods/podu1")") !=
        std::string::npos);
  CHECK(text.find(R"(container_memory_rss{container="",id="/",)") != std::string::npos);
  // Every family is described once, before its samples.
  std::string last;
  std::set<std::string> families;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("# TYPE ")) {
      last = line.substr(7, line.find(' ', 7) - 7);
      CHECK(families.insert(last).second);
    } else if (!line.starts_with("#")) {
      CHECK(line.substr(0, line.find_first_of("{ ")) == last);
    }
  }
}

TEST_CASE("/metrics/probes counts by result") {
  ProbeCount count{"default", "web", "u1", "main", "Liveness", 3, 1, 0};
  const std::string text = render_probe_metrics({count});
  const std::string labels =
      R"(container="main",namespace="default",pod="web",pod_uid="u1",probe_type="Liveness")";
  CHECK(has(text, "prober_probe_total{" + labels + R"(,result="successful"} 3)"));
  CHECK(has(text, "prober_probe_total{" + labels + R"(,result="failed"} 1)"));
  CHECK(text.find("unknown") == std::string::npos);
}

TEST_CASE("/proc/net/dev") {
  const auto interfaces = parse_net_dev(
      "Inter-|   Receive                            |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs\n"
      "    lo:     100       1    0    0    0     0          0         0      100       1    0    0"
      "    0     0       0          0\n"
      "  eth0:1234 10 2 3 0 0 0 0 5678 20 4 5 0 0 0 0\n"
      "broken: 1 2\n");
  REQUIRE(interfaces.size() == 2);
  CHECK(interfaces[1].name == "eth0");
  CHECK(interfaces[1].received_bytes == 1234);
  CHECK(interfaces[1].receive_drops == 3);
  CHECK(interfaces[1].sent_bytes == 5678);
  CHECK(interfaces[1].send_errors == 4);
}

TEST_CASE("rates need some time and a counter that grows") {
  CHECK(nanocores_between(kAt, 0, kAt + Seconds{2}, 1'000'000'000) == 500'000'000u);
  CHECK_FALSE(nanocores_between(kAt, 0, kAt + Millis{1}, 1'000'000'000));
  CHECK_FALSE(nanocores_between(kAt, 5, kAt + Seconds{2}, 4));
  CHECK_FALSE(nanocores_between(kAt, 0, kAt - Seconds{2}, 4));
}
