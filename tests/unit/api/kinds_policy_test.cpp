// ResourceQuota, LimitRange, RuntimeClass, FlowSchema, PriorityLevelConfiguration.
#include "kinds_support.h"
#include "orch/api/corev1.h"
#include "orch/api/flowcontrolv1.h"
#include "orch/api/nodev1.h"

namespace orch::api {
namespace {

using namespace test;
using corev1::LimitRange;
using corev1::ResourceQuota;
using flowcontrolv1::FlowSchema;
using flowcontrolv1::PriorityLevelConfiguration;
using nodev1::RuntimeClass;

TEST_CASE("resource quotas") {
  const std::string json =
      R"({"metadata":{"name":"q","namespace":"default"},"spec":{"hard":{"pods":"2","cpu":"500m",)"
      R"("count/deployments.apps":"3","requests.example.com/gpu":"1"}}})";
  check_rules<ResourceQuota>(
      json,
      {{"/spec/hard/things",
        "\"1\"",
        {R"(spec.hard[things]: Invalid value: "things": must be a standard resource for quota)"}},
       {"/spec/hard/pods",
        "\"1500m\"",
        {R"(spec.hard[pods]: Invalid value: "1500m": must be an integer)"}},
       {"/spec/hard/cpu",
        "\"-1\"",
        {R"(spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0)"}},
       {"/spec/scopes",
        R"(["NotBestEffort","Often"])",
        {R"(spec.scopes: Invalid value: []core.ResourceQuotaScope{"NotBestEffort", "Often"}: )"
         R"(unsupported scope)"}},
       {"/spec/scopes",
        R"(["BestEffort"])",
        {R"(spec.scopes: Invalid value: []core.ResourceQuotaScope{"BestEffort"}: unsupported )"
         R"(scope applied to resource)"}},
       {"/spec/scopes",
        R"(["Terminating","NotTerminating"])",
        {R"(spec.scopes: Invalid value: []core.ResourceQuotaScope{"Terminating", )"
         R"("NotTerminating"}: conflicting scopes)"}},
       {"/spec/scopeSelector",
        R"({"matchExpressions":[{"scopeName":"PriorityClass","operator":"In"}]})",
        {"spec.scopeSelector.matchExpressions.values: Required value: must be atleast one value "
         "when `operator` is 'In' or 'NotIn' for scope selector"}}});
  check_changes<ResourceQuota>(
      json, {{"/spec/hard/pods", "\"5\"", {}},
             {"/spec/scopes",
              R"(["NotBestEffort"])",
              {R"(spec.scopes: Invalid value: []core.ResourceQuotaScope{"NotBestEffort"}: field )"
               R"(is immutable)"}}});
  auto quota = made<ResourceQuota>(json);
  quota.status.hard = {{"pods", Quantity::of(2)}, {"limits.cpu", Quantity::of(4)}};
  quota.status.used = {{"pods", Quantity::of(1)}};
  CHECK(cells(quota) == Texts{"q", "pods: 1/2", "limits.cpu: 0/4", "<unknown>"});
}

TEST_CASE("limit ranges: defaults follow from one another") {
  auto range = decoded<LimitRange>(
      R"({"metadata":{"name":"l","namespace":"default"},"spec":{"limits":[)"
      R"({"type":"Container","max":{"cpu":"2"},"min":{"cpu":"1","memory":"1Mi"},)"
      R"("default":{"memory":"4Mi"}},{"type":"Pod","max":{"cpu":"4"}}]}})");
  const auto& item = range.spec.limits[0];
  CHECK(item.default_.at("cpu").str() == "2");
  CHECK(item.defaultRequest.at("cpu").str() == "2");
  CHECK(item.defaultRequest.at("memory").str() == "4Mi");
  CHECK(range.spec.limits[1].default_.empty());
  CHECK(complaints(range) == Texts{});
}

TEST_CASE("limit ranges: what may be created") {
  const std::string json = R"({"metadata":{"name":"l","namespace":"default"},"spec":{"limits":[)"
                           R"({"type":"Pod","max":{"cpu":"2"},"min":{"cpu":"1"}}]}})";
  check_rules<LimitRange>(
      json,
      {{"/spec/limits/0/type",
        "\"Room\"",
        {R"(spec.limits[0].type: Invalid value: "Room": must be a standard limit type or fully )"
         R"(qualified)"}},
       {"/spec/limits/1", R"({"type":"Pod"})", {R"(spec.limits[1].type: Duplicate value: "Pod")"}},
       {"/spec/limits/0/default",
        R"({"cpu":"1"})",
        {"spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"}},
       {"/spec/limits/0/min/cpu",
        "\"3\"",
        {R"(spec.limits[0].min[cpu]: Invalid value: "3": min value 3 is greater than max value 2)"}},
       {"/spec/limits/0/max/things",
        "\"1\"",
        {R"(spec.limits[0].max[things]: Invalid value: "things": must be a standard resource for )"
         R"(containers)"}},
       {"/spec/limits/0/maxLimitRequestRatio",
        R"({"cpu":"500m"})",
        {R"(spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less )"
         R"(than 1)"}},
       {"/spec/limits/0/maxLimitRequestRatio",
        R"({"cpu":"5"})",
        {R"(spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "5": ratio 5 is greater )"
         R"(than max/min = 2.000000)"}},
       {"/spec/limits/1",
        R"({"type":"PersistentVolumeClaim"})",
        {"spec.limits[1].limits: Required value: either minimum or maximum storage value is "
         "required, but neither was provided"}}});
}

TEST_CASE("runtime classes") {
  const std::string json = R"({"metadata":{"name":"r"},"handler":"kata"})";
  check_rules<RuntimeClass>(
      json, {{"/overhead",
              R"({"podFixed":{"cpu":"-1"}})",
              {R"(overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0)"}},
             {"/scheduling",
              R"({"tolerations":[{"operator":"Perhaps","key":"a"}]})",
              {R"(scheduling.tolerations[0].operator: Unsupported value: "Perhaps": supported )"
               R"(values: "Equal", "Exists")"}}});
  check_changes<RuntimeClass>(
      json,
      {{"/handler", "\"other\"", {R"(handler: Invalid value: "other": field is immutable)"}}});
  CHECK(cells(made<RuntimeClass>(json)) == Texts{"r", "kata", "<unknown>"});
}

TEST_CASE("flow schemas") {
  const std::string json =
      R"({"metadata":{"name":"f"},"spec":{"priorityLevelConfiguration":{"name":"p"},"rules":[)"
      R"({"subjects":[{"kind":"User","user":{"name":"*"}}],)"
      R"("resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"namespaces":["*"]}],)"
      R"("nonResourceRules":[{"verbs":["get"],"nonResourceURLs":["/healthz"]}]}]}})";
  const auto made_one = made<FlowSchema>(json);
  CHECK(made_one.metadata.generation == 1);
  CHECK(cells(made_one) == Texts{"f", "p", "1000", "<none>", "<unknown>", "?"});
  check_rules<FlowSchema>(
      json,
      {{"/spec/matchingPrecedence",
        "1",
        {"spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have "
         "matchingPrecedence 1"}},
       {"/spec/matchingPrecedence",
        "10001",
        {"spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"}},
       {"/spec/priorityLevelConfiguration/name",
        "\"\"",
        {"spec.priorityLevelConfiguration.name: Required value: must reference a priority level"}},
       {"/spec/rules/0/subjects/0/kind",
        "\"Group\"",
        {"spec.rules[0].subjects[0].user: Forbidden: user is forbidden when subject kind is not "
         "'User'",
         "spec.rules[0].subjects[0].group: Required value: group is required when subject kind is "
         "'Group'"}},
       {"/spec/rules/0/resourceRules/0/verbs",
        R"(["*","get"])",
        {R"(spec.rules[0].resourceRules[0].verbs: Invalid value: []string{"*", "get"}: if '*' is )"
         R"(present, must not specify other verbs)"}},
       {"/spec/rules/0/nonResourceRules/0/nonResourceURLs",
        R"(["/a*"])",
        {R"(spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*": wildcard )"
         R"(can only do suffix matching)"}}});
}

TEST_CASE("priority levels") {
  const std::string json =
      R"({"metadata":{"name":"p"},"spec":{"type":"Limited","limited":{"limitResponse":)"
      R"({"type":"Queue","queuing":{}}}}})";
  CHECK(cells(made<PriorityLevelConfiguration>(json)) ==
        Texts{"p", "Limited", "30", "64", "8", "50", "<unknown>"});
  check_rules<PriorityLevelConfiguration>(
      json,
      {{"/spec/type",
        "\"Exempt\"",
        {R"(spec.type: Invalid value: "Exempt": type must be 'Exempt' if and only if name is )"
         R"('exempt')",
         "spec.limited: Forbidden: must be nil if the type is not Limited"}},
       {"/spec/limited/nominalConcurrencyShares",
        "-1",
        {"spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative "
         "integer"}},
       {"/spec/limited/lendablePercent",
        "101",
        {"spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, "
         "inclusive"}},
       {"/spec/limited/limitResponse/queuing",
        R"({"queues":4,"handSize":5})",
        {"spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater "
         "than queues (4)"}},
       {"/spec/limited/limitResponse/queuing",
        R"({"queues":512,"handSize":8})",
        {"spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of "
         "deckSize 512 and handSize 8 should not be greater than 60"}}});
}

}  // namespace
}  // namespace orch::api
