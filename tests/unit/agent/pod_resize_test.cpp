// What becomes of a pod whose cpu and memory are changed while it runs.
#include <catch2/catch.hpp>

#include "agent/pod/resize.h"
#include "agent/pod/status.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;

namespace {

corev1::Pod sized(const std::string& cpu, const std::string& memory, const std::string& more = "") {
  return pod_of(R"({"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu +
                R"(","memory":")" + memory + R"("},"limits":{"memory":")" + memory + R"("}})" +
                more + "}]}");
}

corev1::Node node_of(const char* cpu, const char* memory) {
  corev1::Node node;
  node.status.allocatable = {{"cpu", *api::Quantity::parse(cpu)},
                             {"memory", *api::Quantity::parse(memory)}};
  return node;
}

}  // namespace

TEST_CASE("resize: what fits, what has to wait, what never will fit") {
  const auto node = node_of("2", "1Gi");
  const auto other = sized("1500m", "100Mi");
  const auto judge = [&](const corev1::Pod& pod, std::vector<const corev1::Pod*> others) {
    return judge_resize(pod, node, others);
  };
  CHECK(judge(sized("500m", "100Mi"), {&other}) == ResizeVerdict::kFits);
  CHECK(judge(sized("501m", "100Mi"), {&other}) == ResizeVerdict::kDeferred);
  CHECK(judge(sized("501m", "100Mi"), {}) == ResizeVerdict::kFits);
  CHECK(judge(sized("2001m", "1Mi"), {}) == ResizeVerdict::kInfeasible);
  CHECK(judge(sized("1", "1025Mi"), {}) == ResizeVerdict::kInfeasible);
}

TEST_CASE("resize: runs with other resources are changed, or restarted where the policy wants it") {
  const auto before = sized("100m", "64Mi");
  PodObserved observed{{sandbox("s0")}, {container("c0", "c", ContainerState::kRunning)}};
  const Applied applied{{"c0", before.spec.containers[0].resources}};
  CHECK(plan_resize(before, applied, observed).empty());
  auto steps = plan_resize(sized("200m", "64Mi"), applied, observed);
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].id == "c0");
  CHECK_FALSE(steps[0].restart);
  const std::string policy =
      R"(,"resizePolicy":[{"resourceName":"memory","restartPolicy":"RestartContainer"},
          {"resourceName":"cpu","restartPolicy":"NotRequired"}])";
  CHECK_FALSE(plan_resize(sized("200m", "64Mi", policy), applied, observed)[0].restart);
  CHECK(plan_resize(sized("100m", "65Mi", policy), applied, observed)[0].restart);
  observed.containers[0].state = ContainerState::kExited;
  CHECK(plan_resize(sized("200m", "64Mi"), applied, observed).empty());
}

TEST_CASE("resize: an agent that starts again knows what was given, not what is wanted") {
  const auto given = sized("100m", "64Mi");
  auto wanted = sized("300m", "96Mi");
  auto& status = wanted.status.containerStatuses.emplace_back();
  status.name = "c";
  status.allocatedResources = given.spec.containers[0].resources.requests;
  status.resources = given.spec.containers[0].resources;
  corev1::PodSpec spec = wanted.spec;
  take_allocated(wanted.status, spec);
  CHECK(resources_differ(spec, wanted.spec));
  CHECK_FALSE(resources_differ(spec, given.spec));
  corev1::PodSpec other = given.spec;
  take_resources(wanted.spec, other);
  CHECK_FALSE(resources_differ(other, wanted.spec));
}

TEST_CASE("resize: the status tells what was given, what a run has, and how it stands") {
  const auto pod = sized("200m", "64Mi");
  const PodObserved observed{{sandbox("s0")}, {container("c0", "c", ContainerState::kRunning)}};
  const auto before = sized("100m", "64Mi");
  const auto s = make_status({.pod = pod,
                              .observed = observed,
                              .memory = {},
                              .waiting = {},
                              .now = kNow,
                              .applied = {{"c0", before.spec.containers[0].resources}},
                              .resize = "InProgress"});
  CHECK(s.resize == "InProgress");
  REQUIRE(s.containerStatuses.size() == 1);
  CHECK(s.containerStatuses[0].allocatedResources.at("cpu").str() == "200m");
  REQUIRE(s.containerStatuses[0].resources);
  CHECK(s.containerStatuses[0].resources->requests.at("cpu").str() == "100m");
  CHECK(s.containerStatuses[0].resources->limits.at("memory").str() == "64Mi");
}
