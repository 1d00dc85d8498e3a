// What users get wrong: answered by conditions and events, and never by a loop that does not rest.
#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

constexpr const char* kPdbs = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
constexpr const char* kCronJobs = "/apis/batch/v1/namespaces/default/cronjobs";
constexpr const char* kHpas = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

struct BadInput : Cluster {
  // Writes per minute once things have settled.
  int64_t writes_in(Micros time) {
    const int64_t before = std::stoll(revision());
    advance(time);
    return std::stoll(revision()) - before;
  }
  bool has_event(const std::string& name, const std::string& part) {
    for (const auto& event : events_of(name)) {
      if (event.find(part) != std::string::npos) return true;
      UNSCOPED_INFO(event);
    }
    return false;
  }
  // "False Reason: message" of an object's condition.
  std::string condition(const std::string& path, const std::string& type) {
    const std::string body = get(path).body;
    const auto list = json_path(body, "status.conditions");
    std::string text = std::string(list.value_or("no conditions"));
    const size_t at = text.find("\"type\":\"" + type + "\"");
    if (at == std::string::npos) return text;
    const size_t begin = text.rfind('{', at), end = text.find('}', at);
    const std::string one = text.substr(begin, end - begin + 1);
    const auto field = [&](const char* name) {
      const auto raw = json_path(one, name);
      return raw ? json_string(*raw).value_or("") : std::string();
    };
    return field("status") + " " + field("reason") + ": " + field("message");
  }
};

TEST_CASE("bad input: selectors that match nothing or everything") {
  BadInput cluster;
  // An empty selector of a workload would take in every Pod of the namespace.
  auto everything = cluster.post(
      kReplicaSets,
      R"({"metadata":{"name":"all"},"spec":{"selector":{},"template":{"metadata":{"labels":{"a":"b"}},)"
      R"("spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  CHECK(everything.status == 422);
  CHECK(everything.body.find("empty selector is invalid for") != std::string::npos);
  // One that does not match its own template would make Pods for ever.
  auto nothing = cluster.post(
      kDeployments,
      R"({"metadata":{"name":"none"},"spec":{"selector":{"matchLabels":{"a":"x"}},"template":)"
      R"({"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  CHECK(nothing.status == 422);
  CHECK(nothing.body.find("`selector` does not match template `labels`") != std::string::npos);
  // A budget over everything, or over nothing, is fine and at rest.
  cluster.must_post(kDeployments, deployment("web", 2));
  cluster.settle();
  cluster.agents_act();
  cluster.must_post(kPdbs,
                    R"({"metadata":{"name":"all"},"spec":{"minAvailable":1,"selector":{}}})");
  cluster.must_post(kPdbs, R"({"metadata":{"name":"none"},"spec":{"minAvailable":1,"selector":)"
                           R"({"matchLabels":{"nobody":"has"}}}})");
  cluster.settle();
  CHECK(cluster.get(std::string(kPdbs) + "/all").at("status.expectedPods") == "2");
  CHECK(cluster.get(std::string(kPdbs) + "/none").at("status.expectedPods") == "0");
  cluster.check_quiet();
}

TEST_CASE("bad input: two ReplicaSets over the same Pods share them out and come to rest") {
  BadInput cluster;
  for (const char* name : {"one", "two"}) {
    cluster.must_post(
        kReplicaSets,
        std::string(R"({"metadata":{"name":")") + name +
            R"("},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"same"}},"template":)"
            R"({"metadata":{"labels":{"app":"same"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  }
  cluster.settle();
  cluster.agents_act();
  CHECK(cluster.pods().size() == 4);  // each its own: owners, not selectors, decide
  std::map<std::string, int> by_owner;
  for (const auto& pod : cluster.pods()) {
    REQUIRE(pod->metadata.ownerReferences.size() == 1);
    ++by_owner[pod->metadata.ownerReferences[0].name];
  }
  CHECK(by_owner == std::map<std::string, int>{{"one", 2}, {"two", 2}});
  cluster.check_quiet();
}

TEST_CASE("bad input: negative and absurd counts are refused by name") {
  BadInput cluster;
  CHECK(cluster.post(kDeployments, deployment("minus", -1)).status == 422);
  const auto absurd = cluster.post(
      kDeployments,
      R"({"metadata":{"name":"absurd"},"spec":{"replicas":4294967296,"selector":{"matchLabels":)"
      R"({"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[]}}}})");
  CHECK(absurd.status == 400);
  CHECK(absurd.body.find("replicas") != std::string::npos);
}

TEST_CASE("bad input: cron nonsense is refused; a day that never comes costs nothing") {
  BadInput cluster;
  const auto cron_job = [](const std::string& name, const std::string& schedule,
                           const std::string& more = "") {
    return R"({"metadata":{"name":")" + name + R"("},"spec":{"schedule":")" + schedule + "\"" +
           more +
           R"(,"jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never",)"
           R"("containers":[{"name":"c","image":"i"}]}}}}}})";
  };
  for (const char* bad : {"", "* * * *", "61 * * * *", "a b c d e", "@sometimes", "*/0 * * * *"}) {
    INFO(bad);
    CHECK(cluster.post(kCronJobs, cron_job("bad", bad)).status == 422);
  }
  CHECK(
      cluster.post(kCronJobs, cron_job("zone", "* * * * *", R"(,"timeZone":"Mars/Base")")).status ==
      422);
  cluster.must_post(kCronJobs, cron_job("never", "0 0 31 2 *"));
  cluster.settle();
  CHECK(cluster.writes_in(Seconds{3600}) == 0);
}

TEST_CASE("bad input: a budget that allows nothing blocks evictions with 429, at rest") {
  BadInput cluster;
  cluster.must_post(kDeployments, deployment("web", 1));
  cluster.settle();
  cluster.agents_act();
  cluster.must_post(kPdbs, R"({"metadata":{"name":"shut"},"spec":{"maxUnavailable":0,"selector":)"
                           R"({"matchLabels":{"app":"web"}}}})");
  cluster.settle();
  CHECK(cluster.condition(std::string(kPdbs) + "/shut", "DisruptionAllowed")
            .starts_with("False InsufficientPods"));
  const std::string pod = cluster.pods().front()->metadata.name;
  const auto evicted = cluster.post(
      "/api/v1/namespaces/default/pods/" + pod + "/eviction",
      R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":")" + pod + R"("}})");
  CHECK(evicted.status == 429);
  CHECK(evicted.body.find("Cannot evict pod as it would violate the pod's disruption budget.") !=
        std::string::npos);
  cluster.check_quiet();
}

TEST_CASE("bad input: autoscalers without metrics or target say so and wait") {
  BadInput cluster;
  const auto hpa = [](const std::string& name, const std::string& target) {
    return R"({"metadata":{"name":")" + name +
           R"("},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":")" +
           target +
           R"("},"maxReplicas":3,"metrics":[{"type":"Resource","resource":{"name":"cpu",)"
           R"("target":{"type":"Utilization","averageUtilization":50}}}]}})";
  };
  cluster.must_post(kDeployments, deployment("web", 1));
  cluster.settle();
  cluster.agents_act();
  cluster.must_post(kHpas, hpa("blind", "web"));
  cluster.must_post(kHpas, hpa("lost", "nothing"));
  cluster.advance(Seconds{20});
  const std::string blind = cluster.condition(std::string(kHpas) + "/blind", "ScalingActive");
  INFO(blind);
  CHECK(blind.starts_with("False FailedGetResourceMetric"));
  const std::string lost = cluster.condition(std::string(kHpas) + "/lost", "AbleToScale");
  INFO(lost);
  CHECK(lost.starts_with("False FailedGetScale"));
  CHECK(cluster.has_event("lost", "FailedGetScale"));
  // Once every 15 seconds, each with its events' counts; not more.
  CHECK(cluster.writes_in(Seconds{60}) <= 40);
  CHECK(cluster.get(std::string(kDeployments) + "/web").at("spec.replicas") == "1");
}

}  // namespace
}  // namespace orch::server::test
