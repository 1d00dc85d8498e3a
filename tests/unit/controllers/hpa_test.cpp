// The autoscaler: its arithmetic alone, then a round against the API server.
#include "server/controllers/hpa.h"

#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;
using api::Quantity;
using api::Time;
using api::autoscalingv2::HorizontalPodAutoscalerSpec;
using corev1::Pod;

const WallTime kNow{Seconds{1'700'000'000}};

// A pod that runs since long, with one container that requests a CPU.
std::shared_ptr<Pod> running(const std::string& name) {
  auto pod = std::make_shared<Pod>();
  pod->metadata.name = name;
  auto& container = pod->spec.containers.emplace_back();
  container.name = "c";
  container.resources.requests["cpu"] = Quantity::of(1);
  pod->status.phase = "Running";
  pod->status.startTime = Time(kNow - Seconds{3600});
  auto& ready = pod->status.conditions.emplace_back();
  ready.type = "Ready";
  ready.status = "True";
  ready.lastTransitionTime = Time(kNow - Seconds{3500});
  return pod;
}
HpaPods pods(int count) {
  HpaPods out{{}, count, kNow};
  for (int i = 0; i < count; ++i) out.pods.push_back(running("p" + std::to_string(i)));
  return out;
}
PodSamples samples(const std::vector<int64_t>& millis) {
  PodSamples out;
  for (size_t i = 0; i < millis.size(); ++i) {
    out["p" + std::to_string(i)] = {millis[i], kNow - Seconds{10}, Seconds{30}};
  }
  return out;
}
int32_t by_utilization(const HpaPods& in, const PodSamples& of, int32_t target) {
  auto proposal = replicas_for_utilization(in, of, target, "cpu", "");
  INFO((proposal ? "" : proposal.error()));
  REQUIRE(proposal);
  return proposal->replicas;
}

TEST_CASE("hpa: utilization up, down, within tolerance") {
  CHECK(by_utilization(pods(3), samples({300, 500, 700}), 30) == 5);
  CHECK(by_utilization(pods(5), samples({100, 300, 500, 250, 250}), 50) == 3);
  CHECK(by_utilization(pods(3), samples({1010, 1030, 1020}), 100) == 3);
  const auto shown = replicas_for_utilization(pods(3), samples({300, 500, 700}), 30, "cpu", "");
  CHECK(shown->utilization == 50);
  CHECK(shown->value == 500);
}

TEST_CASE("hpa: pods without samples are taken for idle going up and for busy going down") {
  CHECK(by_utilization(pods(4), samples({800, 800, 800}), 50) == 5);  // 2400 of 4000: ratio 1.2
  CHECK(by_utilization(pods(4), samples({100, 100, 100}), 50) == 3);  // 1300 of 4000: ratio 0.64
  CHECK(by_utilization(pods(2), samples({1000}), 60) == 2);           // the direction would turn
}

TEST_CASE("hpa: pods that start are not trusted, those that go are left out") {
  auto in = pods(3);
  auto starting = std::make_shared<Pod>(*in.pods[2]);
  starting->status.startTime = Time(kNow - Seconds{60});
  starting->status.conditions[0].lastTransitionTime = Time(kNow - Seconds{20});
  in.pods[2] = starting;
  // The sample's window began before the pod was ready: 1200 of 3000 instead of 9900 of 3000.
  CHECK(by_utilization(in, samples({600, 600, 9000}), 30) == 4);
  auto going = std::make_shared<Pod>(*in.pods[2]);
  going->metadata.deletionTimestamp = Time(kNow);
  in.pods[2] = going;
  CHECK(by_utilization(in, samples({600, 600, 9000}), 30) == 4);
  auto pending = std::make_shared<Pod>(*in.pods[2]);
  pending->metadata.deletionTimestamp.reset();
  pending->status.phase = "Pending";
  in.pods = {pending};
  const auto none = replicas_for_utilization(in, {{"p2", {}}}, 30, "cpu", "");
  REQUIRE_FALSE(none);
  CHECK(none.error() == "did not receive metrics for targeted pods (pods might be unready)");
}

TEST_CASE("hpa: what is missing is said") {
  auto in = pods(1);
  auto vague = std::make_shared<Pod>(*in.pods[0]);
  vague->spec.containers[0].resources.requests.clear();
  in.pods[0] = vague;
  CHECK(replicas_for_utilization(in, samples({1}), 30, "cpu", "").error() ==
        "missing request for cpu in container c of Pod p0");
  in.pods.clear();
  CHECK(replicas_for_average(in, samples({1}), 30, false).error() ==
        "no pods returned by selector while calculating replica count");
}

TEST_CASE("hpa: averages and single values") {
  CHECK(replicas_for_average(pods(3), samples({20000, 10000, 30000}), 15000, false)->replicas == 4);
  CHECK(replicas_for_average(pods(3), samples({20000, 20000}), 30000, false)->replicas == 3);
  CHECK(replicas_for_value(pods(3), 20000, 15000).replicas == 4);
  CHECK(replicas_for_value(pods(3), 15500, 15000).replicas == 3);
  CHECK(replicas_for_shared(3, 8600, 1000).replicas == 9);
  CHECK(replicas_for_shared(3, 8600, 1000).value == 2867);
  CHECK(replicas_for_shared(0, 2500, 1000).replicas == 3);
}

HorizontalPodAutoscalerSpec spec(int32_t min, int32_t max) {
  HorizontalPodAutoscalerSpec out;
  out.minReplicas = min;
  out.maxReplicas = max;
  return out;
}

TEST_CASE("hpa: limits without behavior") {
  const auto limited = [](int32_t current, int32_t desired) {
    HpaHistory history;
    return limit_scaling(spec(2, 30), current, desired, history, kNow);
  };
  CHECK(limited(10, 12).replicas == 12);
  CHECK(limited(10, 12).limited.reason == "DesiredWithinRange");
  CHECK(limited(10, 25).replicas == 20);
  CHECK(limited(10, 25).limited.reason == "ScaleUpLimit");
  CHECK(limited(1, 9).replicas == 4);
  CHECK(limited(20, 50).replicas == 30);
  CHECK(limited(20, 50).limited.message ==
        "the desired replica count is more than the maximum replica count");
  CHECK(limited(5, 0).replicas == 2);
  CHECK(limited(5, 0).limited.reason == "TooFewReplicas");
  CHECK(limited(5, 0).limited.status == "True");
}

TEST_CASE("hpa: shrinking waits five minutes for the highest recommendation to pass") {
  HpaHistory history;
  const auto plain = spec(1, 100);
  limit_scaling(plain, 10, 10, history, kNow);
  auto verdict = limit_scaling(plain, 10, 3, history, kNow + Seconds{299});
  CHECK(verdict.replicas == 10);
  CHECK(verdict.able.reason == "ScaleDownStabilized");
  verdict = limit_scaling(plain, 10, 3, history, kNow + Seconds{301});
  CHECK(verdict.replicas == 3);
  CHECK(verdict.able.reason == "ReadyForNewScale");
  // Nothing is remembered for ever.
  limit_scaling(plain, 10, 3, history, kNow + Seconds{9000});
  CHECK(history.recommendations.size() == 1);
}

api::autoscalingv2::HPAScalingPolicy policy(const std::string& type, int32_t value,
                                            int32_t period) {
  api::autoscalingv2::HPAScalingPolicy out;
  out.type = type;
  out.value = value;
  out.periodSeconds = period;
  return out;
}

TEST_CASE("hpa: behavior limits the rate, chooses among policies, forbids a direction") {
  auto ruled = spec(1, 1000);
  auto& behavior = ruled.behavior.ensure();
  behavior.scaleUp.ensure().policies = {policy("Pods", 4, 60), policy("Percent", 50, 60)};
  behavior.scaleDown.ensure().policies = {policy("Percent", 10, 60)};
  behavior.scaleDown->stabilizationWindowSeconds = 0;
  HpaHistory history;
  CHECK(limit_scaling(ruled, 10, 500, history, kNow).replicas == 15);
  remember_scaling(ruled, 10, 15, history, kNow);
  auto verdict = limit_scaling(ruled, 15, 500, history, kNow + Seconds{30});
  CHECK(verdict.replicas == 15);
  CHECK(verdict.limited.reason == "ScaleUpLimit");
  CHECK(limit_scaling(ruled, 15, 500, history, kNow + Seconds{61}).replicas == 23);
  behavior.scaleUp->selectPolicy = "Min";
  CHECK(limit_scaling(ruled, 15, 500, history, kNow + Seconds{61}).replicas == 19);
  verdict = limit_scaling(ruled, 100, 1, history, kNow + Seconds{500});
  CHECK(verdict.replicas == 90);
  CHECK(verdict.limited.reason == "ScaleDownLimit");
  behavior.scaleDown->selectPolicy = "Disabled";
  CHECK(limit_scaling(ruled, 100, 1, history, kNow + Seconds{500}).replicas == 100);
}

TEST_CASE("hpa: a window for growing keeps the lowest recommendation") {
  auto ruled = spec(1, 1000);
  ruled.behavior.ensure().scaleUp.ensure().stabilizationWindowSeconds = 60;
  HpaHistory history;
  limit_scaling(ruled, 10, 11, history, kNow);
  const auto verdict = limit_scaling(ruled, 10, 14, history, kNow + Seconds{30});
  CHECK(verdict.replicas == 11);
  CHECK(verdict.able.reason == "ScaleUpStabilized");
  CHECK(limit_scaling(ruled, 10, 14, history, kNow + Seconds{91}).replicas == 14);
}

constexpr const char* kHpas = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

std::string hpa(const std::string& kind, int32_t min, int32_t max) {
  return R"({"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},)"
         R"("spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":")" +
         kind + R"(","name":"web"},"minReplicas":)" + std::to_string(min) + R"(,"maxReplicas":)" +
         std::to_string(max) +
         R"(,"metrics":[{"type":"Pods","pods":{"metric":{"name":"rps"},)"
         R"("target":{"type":"AverageValue","averageValue":"10"}}}]}})";
}

std::string condition(Cluster& c, const std::string& type) {
  auto found = c.client.get<api::autoscalingv2::HorizontalPodAutoscaler>("default", "h");
  REQUIRE(found);
  for (const auto& each : found->status.conditions) {
    if (each.type == type) return each.status + " " + each.reason + ": " + each.message;
  }
  return "";
}

TEST_CASE("hpa: a target below the minimum grows; without metrics nothing moves, and it is said") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 1));
  c.settle();
  c.must_post(kHpas, hpa("Deployment", 2, 5));
  c.settle();
  CHECK(c.get(std::string(kDeployments) + "/web").at("spec.replicas") == "2");
  CHECK(condition(c, "AbleToScale") ==
        "True SucceededRescale: the HPA controller was able to update the target scale to 2");
  CHECK(c.events_of("h").back() ==
        "SuccessfulRescale: New size: 2; reason: Current number of replicas below "
        "Spec.MinReplicas");
  c.agents_act();
  c.advance(Seconds{16});
  CHECK(c.get(std::string(kDeployments) + "/web").at("spec.replicas") == "2");
  CHECK(condition(c, "ScalingActive")
            .starts_with("False FailedGetPodsMetric: the HPA was unable to compute the replica "
                         "count: unable to get metric rps: unable to fetch metrics from custom "
                         "metrics API: "));
  CHECK(c.get(std::string(kHpas) + "/h").at("status.currentReplicas") == "2");
  c.patch(std::string(kDeployments) + "/web/scale", "application/merge-patch+json",
          R"({"spec":{"replicas":0}})");
  c.advance(Seconds{16});
  CHECK(condition(c, "ScalingActive") ==
        "False ScalingDisabled: scaling is disabled since the replica count of the target is zero");
}

// One metric at a time, as the APIs of metrics would answer; the size it leads to from 2.
struct MetricCase {
  const char* metric;   // of the spec
  const char* request;  // that asks for it
  const char* body;
  const char* replicas;
};

TEST_CASE("hpa: metrics of pods, objects, elsewhere, and of one container") {
  const MetricCase cases[] = {
      {R"({"type":"Pods","pods":{"metric":{"name":"rps","selector":{"matchLabels":{"verb":"GET"}}},)"
       R"("target":{"type":"AverageValue","averageValue":"10"}}})",
       "get custom.metrics.k8s.io/v1beta2 pods default/* rps labelSelector=app=web "
       "metricLabelSelector=verb=GET",
       R"({"items":[{"describedObject":{"name":"POD0"},"timestamp":"2024-01-01T00:00:00Z","value":"20"},)"
       R"({"describedObject":{"name":"POD1"},"timestamp":"2024-01-01T00:00:00Z","value":"20"}]})",
       "4"},
      {R"({"type":"Object","object":{"metric":{"name":"rps"},"describedObject":)"
       R"({"apiVersion":"v1","kind":"Service","name":"front"},"target":{"type":"Value","value":"10"}}})",
       "get custom.metrics.k8s.io/v1beta2 services default/front rps",
       R"({"items":[{"describedObject":{"name":"front"},"value":"15"}]})", "3"},
      {R"({"type":"Object","object":{"metric":{"name":"rps"},"describedObject":)"
       R"({"apiVersion":"v1","kind":"Service","name":"front"},"target":{"type":"AverageValue","averageValue":"10"}}})",
       "get custom.metrics.k8s.io/v1beta2 services default/front rps",
       R"({"items":[{"describedObject":{"name":"front"},"value":"45"}]})", "5"},
      {R"({"type":"External","external":{"metric":{"name":"queue","selector":{"matchLabels":{"of":"me"}}},)"
       R"("target":{"type":"AverageValue","averageValue":"10"}}})",
       "list external.metrics.k8s.io/v1beta1 queue default/  labelSelector=of=me",
       R"({"items":[{"value":"10"},{"value":"25"}]})", "4"},
      {R"({"type":"ContainerResource","containerResource":{"name":"cpu","container":"c",)"
       R"("target":{"type":"AverageValue","averageValue":"100m"}}})",
       "list metrics.k8s.io/v1beta1 pods default/  labelSelector=app=web",
       R"({"apiVersion":"metrics.k8s.io/v1beta1","kind":"PodMetricsList","metadata":{},"items":[)"
       R"({"metadata":{"name":"POD0"},"timestamp":"2024-01-01T00:00:00Z","window":"30s","containers":)"
       R"([{"name":"c","usage":{"cpu":"150m"}},{"name":"other","usage":{"cpu":"9"}}]},)"
       R"({"metadata":{"name":"POD1"},"timestamp":"2024-01-01T00:00:00Z","window":"30s","containers":)"
       R"([{"name":"c","usage":{"cpu":"150m"}}]}]})",
       "3"}};
  for (const auto& one : cases) {
    INFO(one.metric);
    Cluster c;
    c.must_post(kDeployments, deployment("web", 2));
    c.settle();
    c.agents_act();
    const auto pods = c.pods();
    REQUIRE(pods.size() == 2);
    for (const auto& pod : pods) {
      c.patch(std::string(kPods) + "/" + pod->metadata.name + "/status",
              "application/merge-patch+json", R"({"status":{"startTime":"2023-01-01T00:00:00Z"}})");
    }
    std::string body = one.body;
    for (const char* name : {"POD0", "POD1"}) {
      if (const size_t at = body.find(name); at != std::string::npos) {
        body.replace(at, 4, pods[name[3] == '0' ? 0 : 1]->metadata.name);
      }
    }
    std::set<std::string> asked;
    c.transport->answer = [&](const client::Request& r) -> std::optional<std::string> {
      if (r.group.find("metrics.k8s.io") == std::string::npos) return std::nullopt;
      std::string text = r.verb + " " + r.group + "/" + r.version + " " + r.resource + " " +
                         r.namespace_ + "/" + r.name + " " + r.subresource;
      for (const auto& [key, value] : r.query) text += " " + key + "=" + value;
      asked.insert(text);
      return body;
    };
    std::string wanted = hpa("Deployment", 1, 10);
    const size_t from = wanted.find("\"metrics\":[") + 11;
    wanted.replace(from, wanted.rfind(']') - from, one.metric);
    c.must_post(kHpas, wanted);
    c.advance(Seconds{16});
    CHECK(asked == std::set<std::string>{one.request});
    CHECK(condition(c, "ScalingActive").starts_with("True ValidMetricFound"));
    CHECK(c.get(std::string(kDeployments) + "/web").at("spec.replicas") == one.replicas);
  }
}

TEST_CASE("hpa: two autoscalers of the same pods stand still and say so") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 2));
  c.must_post(kHpas, hpa("Deployment", 1, 5));
  std::string twin = hpa("Deployment", 1, 5);
  twin.replace(twin.find("\"h\""), 3, "\"i\"");
  c.must_post(kHpas, twin);
  c.advance(Seconds{31});
  CHECK(condition(c, "ScalingActive") ==
        "False AmbiguousSelector: pods by selector app=web are controlled by multiple HPAs: "
        "[{h default} {i default}]");
  c.must_delete(std::string(kHpas) + "/i");
  c.advance(Seconds{16});
  CHECK(condition(c, "ScalingActive").starts_with("False FailedGetPodsMetric"));
}

TEST_CASE("hpa: a target that is not there, or no kind at all") {
  Cluster c;
  c.must_post(kHpas, hpa("Deployment", 1, 5));
  c.settle();
  CHECK(condition(c, "AbleToScale") ==
        "False FailedGetScale: the HPA controller was unable to get the target's current scale: "
        "deployments.apps \"web\" not found");
  c.check_quiet();
  c.patch(std::string(kHpas) + "/h", "application/merge-patch+json",
          R"({"spec":{"scaleTargetRef":{"kind":"Wagon"}}})");
  c.settle();
  CHECK(condition(c, "AbleToScale") ==
        "False FailedGetScale: the HPA controller was unable to get the target's current scale: "
        "no matches for kind \"Wagon\" in group \"apps\"");
}

}  // namespace
}  // namespace orch::server
