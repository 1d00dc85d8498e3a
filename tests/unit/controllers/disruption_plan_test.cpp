#include <catch2/catch.hpp>

#include "server/controllers/disruption.h"

namespace orch::server {
namespace {

using api::IntOrString;
using api::corev1::Pod;

struct Budget {
  api::policyv1::PodDisruptionBudget budget;
  std::vector<Pod> pods;
  std::map<std::string, int32_t> scales;
  WallTime now{Seconds{1'700'000'000}};

  explicit Budget(int healthy, int unhealthy = 0) {
    budget.metadata.generation = 3;
    for (int i = 0; i < healthy + unhealthy; ++i) {
      Pod& pod = pods.emplace_back();
      pod.metadata.name = "p" + std::to_string(i);
      pod.status.phase = "Running";
      auto& ready = pod.status.conditions.emplace_back();
      ready.type = "Ready";
      ready.status = i < healthy ? "True" : "False";
    }
    scales["owner"] = healthy + unhealthy;
  }
  DisruptionPlan plan() const {
    DisruptionInput input{budget, {}, scales, now};
    for (const auto& pod : pods) input.pods.push_back(std::make_shared<const Pod>(pod));
    return plan_disruption(input);
  }
  // "allowed expected/desired/healthy reason"
  std::string text() const {
    const auto s = plan().status;
    return std::to_string(s.disruptionsAllowed) + " " + std::to_string(s.expectedPods) + "/" +
           std::to_string(s.desiredHealthy) + "/" + std::to_string(s.currentHealthy) + " " +
           s.conditions.at(0).reason;
  }
};

TEST_CASE("minAvailable and maxUnavailable, numbers and percentages rounded up") {
  Budget b(5);
  b.budget.spec.minAvailable = IntOrString(3);
  CHECK(b.text() == "2 5/3/5 SufficientPods");
  b.budget.spec.minAvailable = IntOrString(std::string("50%"));
  CHECK(b.text() == "2 5/3/5 SufficientPods");
  b.budget.spec.minAvailable.reset();
  b.budget.spec.maxUnavailable = IntOrString(1);
  CHECK(b.text() == "1 5/4/5 SufficientPods");
  b.budget.spec.maxUnavailable = IntOrString(std::string("30%"));
  CHECK(b.text() == "2 5/3/5 SufficientPods");
  b.budget.spec.maxUnavailable = IntOrString(9);
  CHECK(b.text() == "5 5/0/5 SufficientPods");
  b.budget.spec.maxUnavailable.reset();
  CHECK(b.text() == "0 0/0/5 InsufficientPods");
}

TEST_CASE("what owners want counts, not the pods that are") {
  Budget b(3);
  b.scales = {{"a", 4}, {"b", 6}};
  b.budget.spec.maxUnavailable = IntOrString(std::string("20%"));
  CHECK(needs_scales(b.budget.spec));
  CHECK(b.text() == "0 10/8/3 InsufficientPods");
  b.budget.spec = {};
  b.budget.spec.minAvailable = IntOrString(1);
  CHECK(!needs_scales(b.budget.spec));
  CHECK(b.text() == "2 3/1/3 SufficientPods");
}

TEST_CASE("without pods nothing may go") {
  Budget b(0);
  b.budget.spec.minAvailable = IntOrString(0);
  CHECK(b.text() == "0 0/0/0 InsufficientPods");
}

TEST_CASE("evicted pods do not count until they are gone or the deadline has passed") {
  Budget b(3, 1);
  b.budget.spec.minAvailable = IntOrString(1);
  b.pods[0].metadata.deletionTimestamp = api::Time(b.now);
  b.budget.status.disruptedPods = {
      {"p0", api::Time(b.now)}, {"p1", api::Time(b.now - Seconds{60})}, {"gone", api::Time(b.now)}};
  auto plan = b.plan();
  CHECK(plan.status.currentHealthy == 1);
  CHECK(plan.status.disruptedPods.size() == 1);
  CHECK(plan.status.disruptedPods.count("p1") == 1);
  CHECK(plan.look_again == Micros(Seconds{61}));
  CHECK(plan.not_deleted.empty());
  b.now += Seconds{61};
  plan = b.plan();
  CHECK(plan.status.currentHealthy == 2);
  CHECK(plan.status.disruptedPods.empty());
  REQUIRE(plan.not_deleted.size() == 1);
  CHECK(plan.not_deleted[0]->metadata.name == "p1");
}

TEST_CASE("the condition keeps its time, and a failed sync allows nothing") {
  Budget b(2);
  b.budget.spec.minAvailable = IntOrString(1);
  b.budget.status = b.plan().status;
  const WallTime first = b.now;
  b.now += Seconds{100};
  CHECK(api::equal(b.plan().status, b.budget.status));
  CHECK(b.budget.status.observedGeneration == 3);
  CHECK(b.budget.status.conditions[0].observedGeneration == 3);
  CHECK(b.plan().status.conditions[0].lastTransitionTime.wall() == first);
  const auto failed = failed_sync(b.budget, "no luck", b.now);
  CHECK(failed.disruptionsAllowed == 0);
  REQUIRE(failed.conditions.size() == 1);
  CHECK(failed.conditions[0].reason == "SyncFailed");
  CHECK(failed.conditions[0].message == "no luck");
  CHECK(failed.conditions[0].lastTransitionTime.wall() == b.now);
}

TEST_CASE("a disruption that did not happen is taken back after two minutes") {
  Budget b(1);
  Pod& pod = b.pods[0];
  CHECK(!stale_disruption_in(pod, b.now));
  auto& target = pod.status.conditions.emplace_back();
  target.type = "DisruptionTarget";
  target.status = "True";
  target.lastTransitionTime = api::Time(b.now);
  CHECK(stale_disruption_in(pod, b.now) == Micros(Seconds{120}));
  CHECK(stale_disruption_in(pod, b.now + Seconds{500}) == Micros(0));
  target.reason = "TerminationByKubelet";
  CHECK(!stale_disruption_in(pod, b.now));
  target.reason = "";
  pod.metadata.deletionTimestamp = api::Time(b.now);
  CHECK(!stale_disruption_in(pod, b.now));
}

}  // namespace
}  // namespace orch::server
