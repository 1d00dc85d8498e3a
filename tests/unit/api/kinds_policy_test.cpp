#include "kinds_support.h"
#include "orch/api/policyv1.h"
#include "orch/api/schedulingv1.h"

namespace orch::api::test {
namespace {

using policyv1::PodDisruptionBudget;
using schedulingv1::PriorityClass;

TEST_CASE("disruption budgets: rules") {
  check_rules<PodDisruptionBudget>(
      R"({"metadata":{"name":"b","namespace":"default"},"spec":{"minAvailable":1}})",
      {{"/spec/minAvailable",
        "-1",
        {"spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"}},
       {"/spec/minAvailable",
        "\"101%\"",
        {"spec.minAvailable: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
         "StrVal:\"101%\"}: must not be greater than 100%"}},
       {"/spec/unhealthyPodEvictionPolicy",
        "\"x\"",
        {"spec.unhealthyPodEvictionPolicy: Unsupported value: \"x\": supported values: "
         "\"AlwaysAllow\", \"IfHealthyBudget\""}}});
  auto both = made<PodDisruptionBudget>(
      R"({"metadata":{"name":"b","namespace":"default"},"spec":{"minAvailable":1,)"
      R"("maxUnavailable":1}})");
  const auto said = complaints(both);
  REQUIRE(said.size() == 1);
  CHECK(said[0].starts_with("spec: Invalid value: policy.PodDisruptionBudgetSpec{MinAvailable:"));
  CHECK(said[0].ends_with(": minAvailable and maxUnavailable cannot be both set"));
}

TEST_CASE("priority classes: rules") {
  const std::string json = R"({"metadata":{"name":"p"},"value":5})";
  check_rules<PriorityClass>(
      json, {{"/value",
              "1000000001",
              {"value: Forbidden: maximum allowed value of a user defined priority is "
               "1000000000"}},
             {"/preemptionPolicy",
              "\"x\"",
              {"preemptionPolicy: Unsupported value: \"x\": supported values: "
               "\"PreemptLowerPriority\", \"Never\""}}});
  check_changes<PriorityClass>(
      json, {{"/value", "6", {"value: Forbidden: may not be changed in an update."}},
             {"/preemptionPolicy",
              "\"Never\"",
              {"preemptionPolicy: Invalid value: \"Never\": field is immutable"}}});
}

}  // namespace
}  // namespace orch::api::test
