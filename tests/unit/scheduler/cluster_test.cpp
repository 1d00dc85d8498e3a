// The scheduler against the real API server over the memory store, in virtual time.
#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "orch/base/metrics.h"
#include "server/scheduler/scheduler.h"
#include "unit/server/api_fixture.h"

namespace orch::server::scheduler {
namespace corev1 = api::corev1;
namespace {

struct Cluster : test::ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:kube-scheduler", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  std::unique_ptr<client::EventRecorder> events =
      client::make_event_recorder(env, *transport, "default-scheduler");
  Scheduler scheduler;

  explicit Cluster(SchedulerConfig config = {})
      : scheduler(env, client, informers, *events, std::move(config)) {
    scheduler.start();
    informers.start_all();
    executor->run_until_idle();
  }
  ~Cluster() {
    scheduler.stop();
    informers.stop();
    executor->run_until_idle();
    events.reset();
  }

  void add_node(const std::string& name, const std::string& cpu = "2") {
    const auto answer =
        post("/api/v1/nodes", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name +
                                  R"(","labels":{"kubernetes.io/hostname":")" + name +
                                  R"("}},"status":{"allocatable":{"cpu":")" + cpu +
                                  R"(","memory":"8Gi","pods":"110"},"capacity":{"cpu":")" + cpu +
                                  R"(","memory":"8Gi","pods":"110"}}})");
    INFO(answer.body);
    REQUIRE(answer.status == 201);
  }
  void add_pod(const std::string& name, const std::string& cpu = "",
               const std::string& spec_more = "") {
    const std::string resources =
        cpu.empty() ? "" : R"(,"resources":{"requests":{"cpu":")" + cpu + "\"}}";
    const auto answer =
        post(test::kPods, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                              R"("},"spec":{"containers":[{"name":"c","image":"i")" + resources +
                              "}]" + spec_more + "}}");
    INFO(answer.body);
    REQUIRE(answer.status == 201);
  }
  std::string node_of(const std::string& pod) {
    return get(std::string(test::kPods) + "/" + pod).at("spec.nodeName");
  }
  corev1::Pod pod(const std::string& name) {
    auto found = client.get<corev1::Pod>("default", name);
    REQUIRE(found);
    return *found;
  }
  // "reason: message" of the pod's PodScheduled condition.
  std::string verdict(const std::string& name) {
    for (const auto& c : pod(name).status.conditions) {
      if (c.type == "PodScheduled") return c.status + " " + c.reason + ": " + c.message;
    }
    return "";
  }
  std::vector<std::string> events_of(const std::string& pod) {
    std::vector<std::string> out;
    auto list = client.list<corev1::Event>("default");
    REQUIRE(list);
    for (const auto& event : list->items) {
      if (event->involvedObject.name != pod) continue;
      out.push_back(event->type_ + " " + event->reason + ": " + event->message);
    }
    return out;
  }
  void remove_now(const std::string& name) {
    del(std::string(test::kPods) + "/" + name + "?gracePeriodSeconds=0");
  }
};

TEST_CASE("a pod is bound to a node, with event and condition") {
  Cluster c;
  c.add_node("n1");
  c.add_pod("web", "1");
  CHECK(c.node_of("web") == "n1");
  CHECK(c.verdict("web").starts_with("True"));
  CHECK(c.events_of("web") ==
        std::vector<std::string>{"Normal Scheduled: Successfully assigned default/web to n1"});
}

TEST_CASE("pods of other schedulers are left alone") {
  Cluster c;
  c.add_node("n1");
  c.add_pod("web", "", R"(,"schedulerName":"mine")");
  CHECK(c.node_of("web").empty());
}

TEST_CASE("a pod without a node waits, says why, and goes where room appears") {
  Cluster c;
  c.add_pod("web", "1");
  CHECK(c.verdict("web") == "False Unschedulable: no nodes available to schedule pods");
  CHECK(c.events_of("web") ==
        std::vector<std::string>{"Warning FailedScheduling: no nodes available to schedule pods"});
  c.advance(Seconds{3});
  c.add_node("small", "500m");
  c.advance(Seconds{20});
  CHECK(c.node_of("web").empty());
  c.add_node("big", "2");
  c.advance(Seconds{11});
  CHECK(c.node_of("web") == "big");

  // Room that a deleted pod leaves.
  c.add_pod("next", "2");
  CHECK(c.node_of("next").empty());
  CHECK(
      c.verdict("next").starts_with("False Unschedulable: 0/2 nodes are available: 2 Insufficient "
                                    "cpu. preemption: 0/2 nodes are available: "));
  c.advance(Seconds{3});
  c.remove_now("web");
  c.advance(Seconds{2});
  CHECK(c.node_of("next") == "big");
}

TEST_CASE("pods are spread over equal nodes and never beyond their room") {
  Cluster c;
  c.add_node("n1");
  c.add_node("n2");
  for (int i = 0; i < 10; ++i) c.add_pod("p" + std::to_string(i), "500m");
  std::map<std::string, int> per_node;
  for (int i = 0; i < 10; ++i) ++per_node[c.node_of("p" + std::to_string(i))];
  CHECK(per_node == std::map<std::string, int>{{"n1", 4}, {"n2", 4}, {"", 2}});
}

TEST_CASE("gates hold a pod back until the last is gone") {
  Cluster c;
  c.add_node("n1");
  c.add_pod("web", "", R"(,"schedulingGates":[{"name":"example.com/wait"}])");
  c.advance(Seconds{30});
  CHECK(c.node_of("web").empty());
  CHECK(c.verdict("web") ==
        "False SchedulingGated: Scheduling is blocked due to non-empty scheduling gates");
  const auto answer = c.patch(std::string(test::kPods) + "/web", "application/merge-patch+json",
                              R"({"spec":{"schedulingGates":null}})");
  INFO(answer.body);
  CHECK(answer.status == 200);
  CHECK(c.node_of("web") == "n1");
}

TEST_CASE("preemption deletes the victim, nominates, then binds") {
  Cluster c;
  c.add_node("n1", "1");
  c.add_pod("low", "1");
  REQUIRE(c.node_of("low") == "n1");
  c.add_pod("high", "1", R"(,"priority":1000)");
  CHECK(c.pod("high").status.nominatedNodeName == "n1");
  const corev1::Pod victim = c.pod("low");
  CHECK(victim.metadata.deletionTimestamp);
  CHECK(c.events_of("low").back() ==
        "Normal Preempted: Preempted by pod " + c.pod("high").metadata.uid + " on node n1");
  // Nobody takes the place that is being freed.
  c.add_pod("late", "1", R"(,"priority":500)");
  c.advance(Seconds{5});
  c.remove_now("low");
  c.advance(Seconds{15});
  CHECK(c.node_of("high") == "n1");
  CHECK(c.node_of("late").empty());
}

// What the scheduler counted so far.
double counted(const std::string& line) {
  const std::string all = metrics::render();
  const size_t at = all.find(line + " ");
  return at == std::string::npos ? 0 : std::strtod(all.c_str() + at + line.size(), nullptr);
}

constexpr const char* kRefused =
    "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"unschedulable\"}";

TEST_CASE("a preemptor waits for all of its victims, chooses no others and is bound at once") {
  Cluster c;
  for (const char* node : {"n1", "n2"}) c.add_node(node, "4");
  for (int i = 0; i < 8; ++i) c.add_pod("low" + std::to_string(i), "900m");
  c.add_pod("high", "3", R"(,"priority":10)");
  const std::string node = c.pod("high").status.nominatedNodeName;
  REQUIRE(!node.empty());
  std::vector<std::string> victims;
  std::string elsewhere;
  for (int i = 0; i < 8; ++i) {
    const std::string name = "low" + std::to_string(i);
    if (c.pod(name).metadata.deletionTimestamp) {
      victims.push_back(name);
      CHECK(c.node_of(name) == node);
    } else if (c.node_of(name) != node) {
      elsewhere = name;
    }
  }
  REQUIRE(victims.size() == 3);
  const double before = counted(kRefused);
  c.remove_now(victims[0]);
  c.advance(Seconds{15});
  c.remove_now(victims[1]);
  c.remove_now(elsewhere);  // no room for it there either
  c.advance(Seconds{15});
  CHECK(counted(kRefused) == before);
  c.remove_now(victims[2]);
  CHECK(c.node_of("high") == node);  // no back-off
  for (int i = 0; i < 8; ++i) {
    const std::string name = "low" + std::to_string(i);
    if (name == elsewhere || std::count(victims.begin(), victims.end(), name)) continue;
    CHECK_FALSE(c.pod(name).metadata.deletionTimestamp);
  }
}

TEST_CASE("victims without a grace period make room in the same instant") {
  Cluster c;
  c.add_node("n1", "4");
  for (int i = 0; i < 4; ++i) {
    c.add_pod("low" + std::to_string(i), "900m", R"(,"terminationGracePeriodSeconds":0)");
  }
  const double before = counted(kRefused);
  c.add_pod("high", "3", R"(,"priority":10)");
  CHECK(c.node_of("high") == "n1");
  CHECK(counted(kRefused) == before + 1);
  int left = 0;
  for (int i = 0; i < 4; ++i) left += c.node_of("low" + std::to_string(i)) == "n1" ? 1 : 0;
  CHECK(left == 1);
}

TEST_CASE("room that is freed elsewhere is taken by a preemptor that still waits") {
  Cluster c;
  for (const char* node : {"n1", "n2"}) {
    c.add_node(node, "1");
    c.add_pod("low-" + std::string(node), "1");
  }
  c.add_pod("high", "1", R"(,"priority":10)");
  const std::string node = c.pod("high").status.nominatedNodeName;
  const std::string other = node == "n1" ? "n2" : "n1";
  c.remove_now("low-" + other);
  c.advance(Seconds{2});
  CHECK(c.node_of("high") == other);
}

TEST_CASE("a preemptor that is deleted leaves its place to who waits") {
  Cluster c;
  c.add_node("n1", "1");
  c.add_pod("low", "1");
  c.add_pod("high", "1", R"(,"priority":10)");
  c.add_pod("late", "1", R"(,"priority":5)");
  REQUIRE(c.pod("high").status.nominatedNodeName == "n1");
  c.advance(Seconds{5});
  const double before = counted(kRefused);
  c.remove_now("high");
  c.advance(Seconds{12});
  CHECK(counted(kRefused) == before + 1);  // tried: it may preempt now
  c.remove_now("low");
  c.advance(Seconds{12});
  CHECK(c.node_of("late") == "n1");
}

TEST_CASE("profiles: each schedules its own pods, in its own way and name") {
  auto config = parse_scheduler_config(R"(
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
podInitialBackoffSeconds: 3
podMaxBackoffSeconds: 3
profiles:
- schedulerName: default-scheduler
- schedulerName: pack
  pluginConfig:
  - {name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}
  plugins:
    score: {disabled: [{name: NodeResourcesBalancedAllocation}]}
)");
  REQUIRE(config);
  Cluster c(std::move(*config));
  c.add_node("n1");
  c.add_node("n2");
  c.add_pod("first", "500m");
  const std::string packed = c.node_of("first");
  for (int i = 0; i < 3; ++i) {
    const std::string name = "p" + std::to_string(i);
    c.add_pod(name, "500m", R"(,"schedulerName":"pack")");
    CHECK(c.node_of(name) == packed);
  }
  c.add_pod("spread", "500m");
  CHECK(c.node_of("spread") != packed);
  c.add_pod("other", "500m", R"(,"schedulerName":"nobody")");
  CHECK(c.node_of("other").empty());
  // Who reports is the profile.
  auto list = c.client.list<corev1::Event>("default");
  REQUIRE(list);
  for (const auto& event : list->items) {
    const bool pack = event->involvedObject.name.starts_with("p");
    CHECK(event->source.component == (pack ? "pack" : "default-scheduler"));
  }
  // The back-off is the configured one: room comes at once, the try after three seconds.
  c.add_pod("big", "2");
  CHECK(c.node_of("big").empty());
  c.add_node("n3");
  c.advance(Seconds{2});
  CHECK(c.node_of("big").empty());
  c.advance(Seconds{2});
  CHECK(c.node_of("big") == "n3");
}

TEST_CASE("the same refusal is written once, and nothing is tried without a reason") {
  Cluster c;
  c.add_node("n1");
  c.add_pod("huge", "64");
  const std::string before = c.pod("huge").metadata.resourceVersion;
  for (int i = 0; i < 5; ++i) {
    c.add_pod("small" + std::to_string(i), "100m");
    c.advance(Seconds{20});
  }
  CHECK(c.pod("huge").metadata.resourceVersion == before);
  CHECK(c.events_of("huge").size() == 1);
  CHECK(c.verdict("huge") ==
        "False Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes "
        "are available: 1 Preemption is not helpful for scheduling.");
}

TEST_CASE("metrics say what happened") {
  Cluster c;
  c.add_node("n1", "1");
  c.add_pod("low", "1");
  c.add_pod("high", "1", R"(,"priority":1000)");
  const std::string all = metrics::render();
  for (const char* name :
       {"scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"}",
        "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"unschedulable\"}",
        "scheduler_scheduling_attempt_duration_seconds_count",
        "scheduler_pod_scheduling_attempts_sum",
        "scheduler_pod_scheduling_sli_duration_seconds_bucket{attempts=\"1\"",
        "scheduler_queue_incoming_pods_total{event=\"PodAdd\",queue=\"active\"}",
        "scheduler_preemption_victims_count", "scheduler_preemption_attempts_total",
        "scheduler_pending_pods{queue=\"unschedulable\"}",
        "scheduler_scheduler_cache_size{type=\"nodes\"} 1"}) {
    INFO(name);
    CHECK(all.find(name) != std::string::npos);
  }
}

TEST_CASE("a pod deleted while it waits is forgotten; a restart takes up what waits") {
  Cluster c;
  c.add_pod("gone", "1");
  c.remove_now("gone");
  c.add_pod("stays", "1");
  c.scheduler.stop();
  c.add_node("n1");
  c.advance(Seconds{30});
  CHECK(c.node_of("stays").empty());
  Scheduler second(c.env, c.client, c.informers, *c.events);
  second.start();
  c.executor->run_until_idle();
  CHECK(c.node_of("stays") == "n1");
  second.stop();
}

}  // namespace
}  // namespace orch::server::scheduler
