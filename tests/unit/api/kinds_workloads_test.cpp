#include "kinds_support.h"
#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"

namespace orch::api::test {
namespace {

using appsv1::DaemonSet;
using appsv1::Deployment;
using appsv1::StatefulSet;
using corev1::ReplicationController;

constexpr const char* kWorkload = R"({"metadata":{"name":"w","namespace":"default"},"spec":{
    "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{
    "containers":[{"name":"c","image":"i"}]}}}})";

TEST_CASE("workloads: selectors and templates") {
  const std::string empty =
      "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
      "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for ";
  const std::string deadline =
      "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ";
  const Rule restarts{"/spec/template/spec/restartPolicy",
                      "\"Never\"",
                      {"spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported "
                       "values: \"Always\""}};
  const Rule labels{
      "/spec/template/metadata/labels",
      R"({"x":"y"})",
      {"spec.template.metadata.labels: Invalid value: map[string]string{\"x\":\"y\"}: "
       "`selector` does not match template `labels`"}};
  const auto rules = [&](const std::string& kind, const std::string& name) {
    return std::vector<Rule>{restarts,
                             labels,
                             {"/spec/selector", "{}", {empty + kind}},
                             {"/spec/selector", "", {"spec.selector: Required value"}},
                             {"/spec/template/spec/activeDeadlineSeconds",
                              "5",
                              {deadline + name + " is not Supported"}}};
  };
  check_rules<Deployment>(kWorkload, rules("deployment", "ReplicaSet"));
  check_rules<StatefulSet>(kWorkload, rules("statefulset", "StatefulSet"));
  check_rules<DaemonSet>(kWorkload, rules("daemonset", "DaemonSet"));
  check_changes<Deployment>(
      kWorkload, {{"/spec/selector/matchLabels",
                   R"({"a":"c"})",
                   {"spec.template.metadata.labels: Invalid value: map[string]string{\"a\":\"b\"}: "
                    "`selector` does not match template `labels`",
                    "spec.selector: Invalid value: "
                    "v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"c\"}, "
                    "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"}}});
}

TEST_CASE("stateful and daemon sets: strategies") {
  check_rules<StatefulSet>(
      kWorkload,
      {{"/spec/podManagementPolicy",
        "\"x\"",
        {"spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'"}},
       {"/spec/updateStrategy",
        R"({"rollingUpdate":{"partition":-1}})",
        {"spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or "
         "equal to 0"}},
       {"/spec/persistentVolumeClaimRetentionPolicy",
        R"({"whenDeleted":"x"})",
        {"spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: \"x\": "
         "supported values: \"Retain\", \"Delete\""}},
       {"/spec/ordinals",
        R"({"start":-1})",
        {"spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"}}});
  check_changes<StatefulSet>(
      kWorkload, {{"/spec/replicas", "3", {}},
                  {"/spec/serviceName",
                   "\"x\"",
                   {"spec: Forbidden: updates to statefulset spec for fields other than "
                    "'replicas', 'ordinals', 'template', 'updateStrategy', "
                    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
                    "forbidden"}}});
  const std::string rolling = "spec.updateStrategy.rollingUpdate";
  check_rules<DaemonSet>(
      kWorkload,
      {{"/spec/updateStrategy",
        R"({"rollingUpdate":{"maxUnavailable":0}})",
        {rolling + ".maxUnavailable: Required value: cannot be 0 when maxSurge is 0"}},
       {"/spec/updateStrategy",
        R"({"rollingUpdate":{"maxUnavailable":1,"maxSurge":"5%"}})",
        {rolling + ".maxSurge: Invalid value: intstr.IntOrString{Type:1, IntVal:0, StrVal:\"5%\"}: "
                   "may not be set when maxUnavailable is non-zero"}},
       {"/spec/updateStrategy",
        R"({"rollingUpdate":{"maxUnavailable":"x"}})",
        {rolling + ".maxUnavailable: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
                   "StrVal:\"x\"}: a valid percent string must be a numeric string followed by an "
                   "ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"}},
       {"/spec/updateStrategy",
        R"({"type":"x"})",
        {"spec.updateStrategy.type: Unsupported value: \"x\": supported values: "
         "\"RollingUpdate\", \"OnDelete\""}}});
}

TEST_CASE("replication controllers: rules") {
  const std::string json = R"({"metadata":{"name":"w","namespace":"default"},"spec":{
      "selector":{"a":"b"},"template":{"metadata":{"labels":{"a":"b"}},"spec":{
      "containers":[{"name":"c","image":"i"}]}}}})";
  check_rules<ReplicationController>(
      json, {{"/spec/selector",
              R"({"a":"c"})",
              {"spec.template.metadata.labels: Invalid value: map[string]string{\"a\":\"b\"}: "
               "`selector` does not match template `labels`"}},
             {"/spec/template", "", {"spec.template: Required value"}}});
}

TEST_CASE("workloads: counts of a status") {
  auto deployment = made<Deployment>(kWorkload);
  auto now = deployment;
  now.status.replicas = 1;
  now.status.updatedReplicas = 2;
  now.status.availableReplicas = 1;
  now.status.collisionCount = 1;
  deployment.status.collisionCount = 2;
  FieldErrors errors;
  resource_of<Deployment>().validate_status(now, deployment, errors);
  Texts said;
  for (const auto& cause : errors.take()) said.push_back(cause.field + ": " + cause.message);
  CHECK(said ==
        Texts{"status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas",
              "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
              "status.collisionCount: Invalid value: 1: cannot be decremented"});
}

TEST_CASE("revisions: the same data in another order is no change, and stays as it was written") {
  const auto old = decoded<appsv1::ControllerRevision>(
      R"({"metadata":{"name":"r","namespace":"default"},"data":{"b":{"d":null,"c":1},"a":2}})");
  auto now = old;
  now.data.text = R"({"a":2,"b":{"c":1,"d":null}})";
  resource_of<appsv1::ControllerRevision>().prepare(now, &old, {WallTime{}});
  CHECK(now.data.text == old.data.text);
  CHECK(complaints(now, &old).empty());
  now.data.text = R"({"a":2,"b":{"c":1}})";
  resource_of<appsv1::ControllerRevision>().prepare(now, &old, {WallTime{}});
  CHECK(complaints(now, &old) ==
        Texts{"data: Invalid value: {\"a\":2,\"b\":{\"c\":1}}: field is immutable"});
}

}  // namespace
}  // namespace orch::api::test
