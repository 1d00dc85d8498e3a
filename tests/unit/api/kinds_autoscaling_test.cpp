#include "kinds_support.h"
#include "orch/api/autoscalingv1.h"
#include "orch/api/autoscalingv2.h"
#include "orch/api/storage_version.h"

namespace orch::api::test {
namespace {

using V1 = autoscalingv1::HorizontalPodAutoscaler;
using V2 = autoscalingv2::HorizontalPodAutoscaler;

const StorageVersion& between() { return *storage_version(resource_of<V1>()); }

V1 in_v1(const V2& object) { return static_cast<V1&>(*between().from_stored(object)); }
V2 in_v2(const V1& object) { return static_cast<V2&>(*between().to_stored(object)); }

constexpr const char* kRich = R"({
  "metadata": {"name": "web", "namespace": "default", "annotations": {"a": "b"}},
  "spec": {
    "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
    "minReplicas": 2, "maxReplicas": 9,
    "metrics": [
      {"type": "Resource", "resource":
        {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
      {"type": "Resource", "resource":
        {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
      {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
        "target": {"type": "Utilization", "averageUtilization": 70}}},
      {"type": "Pods", "pods": {"metric": {"name": "rps", "selector": {"matchLabels": {"x": "y"}}},
        "target": {"type": "AverageValue", "averageValue": "100"}}},
      {"type": "Object", "object": {"metric": {"name": "hits"},
        "describedObject": {"kind": "Ingress", "name": "in", "apiVersion": "networking.k8s.io/v1"},
        "target": {"type": "AverageValue", "averageValue": "5"}}},
      {"type": "Object", "object": {"metric": {"name": "hits"},
        "describedObject": {"kind": "Service", "name": "s"},
        "target": {"type": "Value", "value": "2k"}}},
      {"type": "External", "external": {"metric": {"name": "queue"},
        "target": {"type": "Value", "value": "30"}}}],
    "behavior": {
      "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]},
      "scaleDown": {"selectPolicy": "Disabled",
        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}}},
  "status": {
    "observedGeneration": 3, "lastScaleTime": "2024-01-01T00:00:00Z",
    "currentReplicas": 3, "desiredReplicas": 4,
    "currentMetrics": [
      {"type": "Resource", "resource":
        {"name": "cpu", "current": {"averageUtilization": 5, "averageValue": "10m"}}},
      {"type": "Pods", "pods": {"metric": {"name": "rps"}, "current": {"averageValue": "7"}}},
      {"type": "External", "external":
        {"metric": {"name": "queue"}, "current": {"value": "0", "averageValue": "2"}}}],
    "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale",
      "message": "m", "lastTransitionTime": "2024-01-01T00:00:00Z"}]}})";

TEST_CASE("autoscalers: v1 carries all of v2, partly in annotations") {
  const auto full = decoded<V2>(kRich);
  const auto v1 = in_v1(full);
  CHECK(v1.spec.targetCPUUtilizationPercentage == 60);
  CHECK(v1.status.currentCPUUtilizationPercentage == 5);
  const auto annotation = [&](const std::string& name) {
    const auto it = v1.metadata.annotations.find("autoscaling.alpha.kubernetes.io/" + name);
    return it == v1.metadata.annotations.end() ? "" : it->second;
  };
  CHECK(annotation("metrics").starts_with(
      R"([{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},)"
      R"({"type":"ContainerResource","containerResource":{"name":"cpu",)"
      R"("targetAverageUtilization":70,"container":"app"}},)"));
  CHECK(annotation("behavior") ==
        R"({"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max",)"
        R"("Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}]},)"
        R"("ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Disabled",)"
        R"("Policies":[{"Type":"Percent","Value":10,"PeriodSeconds":60}]}})");
  CHECK(annotation("conditions") ==
        R"([{"type":"AbleToScale","status":"True","lastTransitionTime":"2024-01-01T00:00:00Z",)"
        R"("reason":"ReadyForNewScale","message":"m"}])");
  CHECK(annotation("current-metrics")
            .starts_with(R"([{"type":"Resource","resource":{"name":"cpu",)"
                         R"("currentAverageUtilization":5,"currentAverageValue":"10m"}},)"));
  CHECK(v1.metadata.annotations.at("a") == "b");
  CHECK(first_difference(V2::type_info(), &full, std::make_unique<V2>(in_v2(v1)).get()) == "");
}

TEST_CASE("autoscalers: annotations that cannot be read are dropped") {
  V1 v1;
  v1.spec.targetCPUUtilizationPercentage = 7;
  for (const char* name : {"metrics", "current-metrics", "conditions", "behavior"}) {
    for (const char* bad : {"", "{", "[1]", "{}", "null", R"([{"type":7}])", R"({"ScaleUp":3})"}) {
      INFO(name << " = " << bad);
      v1.metadata.annotations = {{"autoscaling.alpha.kubernetes.io/" + std::string(name), bad}};
      const auto v2 = in_v2(v1);
      CHECK(v2.metadata.annotations.empty());
      CHECK(v2.spec.metrics.size() == 1);
      CHECK(v2.status.conditions.empty());
      CHECK(v2.status.currentMetrics.empty());
    }
  }
}

TEST_CASE("autoscalers: defaults of both versions") {
  const auto v2 = decoded<V2>(R"({"spec":{"maxReplicas":3,"behavior":{"scaleUp":
      {"policies":[{"type":"Pods","value":1,"periodSeconds":9}]}}}})");
  CHECK(to_json(v2.spec) ==
        R"({"scaleTargetRef":{"kind":"","name":""},"minReplicas":1,"maxReplicas":3,"metrics":)"
        R"([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization",)"
        R"("averageUtilization":80}}}],"behavior":{"scaleUp":{"stabilizationWindowSeconds":0,)"
        R"("selectPolicy":"Max","policies":[{"type":"Pods","value":1,"periodSeconds":9}]},)"
        R"("scaleDown":{"selectPolicy":"Max","policies":[{"type":"Percent","value":100,)"
        R"("periodSeconds":15}]}}})");
  const auto v1 = decoded<V1>(R"({"spec":{"maxReplicas":3}})");
  CHECK(v1.spec.targetCPUUtilizationPercentage == 80);
  CHECK(v1.spec.minReplicas == 1);
}

TEST_CASE("autoscalers: rows, the same for both versions") {
  auto full = decoded<V2>(kRich);
  const Texts wanted = {
      "web", "Deployment/web", "cpu: 5%/60%, memory: <unknown>/1Gi + 5 more...", "2", "9",
      "3",   "<unknown>"};
  CHECK(cells(full) == wanted);
  CHECK(cells(in_v1(full)) == wanted);
  full.spec.metrics.erase(full.spec.metrics.begin(), full.spec.metrics.begin() + 4);
  full.spec.metrics.erase(full.spec.metrics.begin() + 1);
  full.status.currentMetrics.erase(full.status.currentMetrics.begin());
  full.status.currentMetrics.erase(full.status.currentMetrics.begin());
  full.status.currentMetrics.emplace(full.status.currentMetrics.begin());
  CHECK(cells(full)[2] == "<unknown>/5 (avg), 0/30");
}

TEST_CASE("autoscalers: the status is not the client's, however it is given") {
  auto old = decoded<V2>(kRich);
  V1 v1 = in_v1(old);
  v1.metadata.annotations["autoscaling.alpha.kubernetes.io/conditions"] = "[]";
  v1.status.currentReplicas = 77;
  const V1 before = in_v1(old);
  resource_of<V1>().prepare(v1, &before, {});
  CHECK(in_v2(v1).status.conditions.size() == 1);
  CHECK(v1.status.currentReplicas == 3);
  V1 made = in_v1(old);
  resource_of<V1>().prepare(made, nullptr, {});
  CHECK(in_v2(made).status.conditions.empty());
  CHECK(in_v2(made).spec.metrics.size() == 7);
  V1 reported = in_v1(old);
  reported.spec.maxReplicas = 1;
  reported.status.currentReplicas = 8;
  resource_of<V1>().prepare_status(reported, before);
  CHECK(reported.spec.maxReplicas == 9);
  CHECK(reported.status.currentReplicas == 8);
}

TEST_CASE("autoscalers: rules") {
  const std::string json = R"({"metadata":{"name":"web","namespace":"default"},"spec":{
      "scaleTargetRef":{"kind":"Deployment","name":"web","apiVersion":"apps/v1"},"maxReplicas":9,
      "behavior":{}}})";
  const std::string metric = "spec.metrics[0]";
  check_rules<V2>(
      json,
      {{"/spec/minReplicas",
        "0",
        {"spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"}},
       {"/spec/maxReplicas",
        "0",
        {"spec.maxReplicas: Invalid value: 0: must be greater than 0",
         "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`"}},
       {"/spec/scaleTargetRef",
        R"({"kind":"a/b","apiVersion":"a/b/c"})",
        {"spec.scaleTargetRef.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion "
         "string: a/b/c",
         "spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
         "spec.scaleTargetRef.name: Required value"}},
       {"/spec/metrics",
        R"([{"type":"Resource"}])",
        {metric + ".resource: Required value: must populate information for the given metric "
                  "source"}},
       {"/spec/metrics",
        R"([{"type":"Odd","pods":{"metric":{"name":""},"target":{"type":"Odd"}}}])",
        {metric + ".type: Unsupported value: \"Odd\": supported values: \"ContainerResource\", "
                  "\"External\", \"Object\", \"Pods\", \"Resource\"",
         metric + ".pods.metric.name: Required value: must specify a metric name",
         metric + ".pods.target.type: Invalid value: \"Odd\": must be either Utilization, Value, "
                  "or AverageValue",
         metric + ".pods.target.averageValue: Required value: must specify a positive target "
                  "averageValue"}},
       {"/spec/metrics",
        R"([{"type":"ContainerResource","containerResource":{"name":"cpu",
          "target":{"type":"Utilization","averageUtilization":0,"averageValue":"1"}}}])",
        {metric + ".containerResource.target.averageUtilization: Invalid value: 0: must be "
                  "greater than 0",
         metric + ".containerResource.target.averageValue: Forbidden: may not set both a target "
                  "raw value and a target utilization",
         metric + ".containerResource.container: Required value: must specify a container"}},
       {"/spec/metrics",
        R"([{"type":"External","external":{"metric":{"name":"q"},"target":
          {"type":"Value"}},"resource":{"name":"cpu","target":{"type":"Utilization"}}}])",
        {metric + ".external.target.averageValue: Required value: must set either a target value "
                  "for metric or a per-pod target",
         metric + ".resource: Forbidden: must populate the given metric source only"}},
       {"/spec/behavior/scaleUp",
        R"({"stabilizationWindowSeconds":3601,"selectPolicy":"x",
          "policies":[{"type":"y","value":0,"periodSeconds":1801}]})",
        {"spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less "
         "than or equal to 3600",
         "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"x\": supported values: "
         "\"Disabled\", \"Max\", \"Min\"",
         "spec.behavior.scaleUp.policies[0].type: Unsupported value: \"y\": supported values: "
         "\"Percent\", \"Pods\"",
         "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
         "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than "
         "or equal to 1800"}}});
  check_rules<V1>(R"({"metadata":{"name":"web","namespace":"default"},"spec":{"maxReplicas":9,
      "scaleTargetRef":{"kind":"Deployment","name":"web"}}})",
                  {{"/spec/targetCPUUtilizationPercentage",
                    "0",
                    {"spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must "
                     "be greater than 0"}}});
}

}  // namespace
}  // namespace orch::api::test
