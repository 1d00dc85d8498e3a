// The status that the API shows, from what the runtime shows.
#include <catch2/catch.hpp>

#include "agent/pod/status.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;

namespace {

struct World {
  corev1::Pod pod = pod_of(R"({"containers":[{"name":"c","image":"i"}]})");
  PodObserved observed{{sandbox("s0")}, {}};
  std::map<std::string, ContainerMemory> memory;
  std::map<std::string, Waiting> waiting;
  bool terminal = false, rejected = false;
  std::string reason;
  std::map<std::string, std::string> messages;

  corev1::PodStatus run() const {
    return make_status({.pod = pod,
                        .observed = observed,
                        .memory = memory,
                        .waiting = waiting,
                        .pod_ips = {"10.42.0.7"},
                        .host_ips = {"192.0.2.1"},
                        .now = kNow,
                        .terminal = terminal,
                        .rejected = rejected,
                        .reason = reason,
                        .message = reason.empty() ? "" : "because",
                        .termination_messages = messages});
  }
};

const corev1::PodCondition& condition(const corev1::PodStatus& s, const std::string& type) {
  for (const auto& c : s.conditions) {
    if (c.type == type) return c;
  }
  static const corev1::PodCondition none;
  return none;
}

}  // namespace

TEST_CASE("before the container runs") {
  World w;
  auto s = w.run();
  CHECK(s.phase == "Pending");
  REQUIRE(s.containerStatuses.size() == 1);
  REQUIRE(s.containerStatuses[0].state.waiting);
  CHECK(s.containerStatuses[0].state.waiting->reason == "ContainerCreating");
  CHECK(s.podIP == "10.42.0.7");
  CHECK(s.hostIP == "192.0.2.1");
  CHECK(s.qosClass == "BestEffort");
  CHECK(condition(s, "Initialized").status == "True");
  CHECK(condition(s, "Ready").status == "False");
  CHECK(condition(s, "Ready").reason == "ContainersNotReady");
  CHECK(condition(s, "Ready").message == "containers with unready status: [c]");
  CHECK(condition(s, "PodReadyToStartContainers").status == "True");
}

TEST_CASE("running and ready; the transition time stays while the condition does") {
  World w;
  w.observed.containers = {container("c0", "c", ContainerState::kRunning)};
  w.memory["c"].started = w.memory["c"].ready = true;
  auto s = w.run();
  CHECK(s.phase == "Running");
  CHECK(s.containerStatuses[0].ready);
  CHECK(s.containerStatuses[0].started == true);
  CHECK(s.containerStatuses[0].containerID == "containerd://c0");
  CHECK(condition(s, "Ready").status == "True");
  w.pod.status = s;
  for (auto& c : w.pod.status.conditions) {
    c.lastTransitionTime = api::Time(kNow - Seconds{100});
  }
  CHECK(condition(w.run(), "Ready").lastTransitionTime == api::Time(kNow - Seconds{100}));
  w.memory["c"].ready = false;
  s = w.run();
  CHECK(condition(s, "Ready").status == "False");
  CHECK(condition(s, "Ready").lastTransitionTime == api::Time(kNow));
}

TEST_CASE("crash loop shows the reason and the last run") {
  World w;
  w.observed.containers = {container("c1", "c", ContainerState::kExited, 1, 3)};
  w.waiting["c"] = {"CrashLoopBackOff", "back-off"};
  w.messages["c1"] = "last words";
  auto s = w.run().containerStatuses[0];
  REQUIRE(s.state.waiting);
  CHECK(s.state.waiting->reason == "CrashLoopBackOff");
  REQUIRE(s.lastState.terminated);
  CHECK(s.lastState.terminated->exitCode == 3);
  CHECK(s.lastState.terminated->message == "last words");
  CHECK(s.restartCount == 1);
  CHECK(w.run().phase == "Running");
}

TEST_CASE("image errors") {
  World w;
  w.memory["c"].waiting_reason = "ErrImagePull";
  w.memory["c"].waiting_message = "no such image";
  auto s = w.run();
  CHECK(s.phase == "Pending");
  CHECK(s.containerStatuses[0].state.waiting->reason == "ErrImagePull");
  CHECK(s.containerStatuses[0].state.waiting->message == "no such image");
}

TEST_CASE("phases of pods that end") {
  World w;
  w.pod.spec.restartPolicy = "Never";
  w.observed.containers = {container("c0", "c", ContainerState::kExited, 0, 0)};
  CHECK(w.run().phase == "Succeeded");
  CHECK(condition(w.run(), "Ready").reason == "PodCompleted");
  w.observed.containers[0].exit_code = 1;
  CHECK(w.run().phase == "Failed");
  CHECK(condition(w.run(), "ContainersReady").reason == "PodFailed");
  // Deleted while running: it ended by exit codes, whatever the policy.
  w.pod.spec.restartPolicy = "Always";
  CHECK(w.run().phase == "Running");
  w.terminal = true;
  CHECK(w.run().phase == "Failed");
  w.observed.containers[0].exit_code = 0;
  CHECK(w.run().phase == "Succeeded");
  w.reason = "DeadlineExceeded";
  auto s = w.run();
  CHECK(s.phase == "Failed");
  CHECK(s.reason == "DeadlineExceeded");
  CHECK(s.message == "because");
  // Final: never taken back.
  w.pod.status = s;
  w.reason.clear();
  CHECK(w.run().phase == "Failed");
}

TEST_CASE("init containers hold the pod back") {
  World w;
  w.pod = pod_of(R"({"initContainers":[{"name":"a"}],"containers":[{"name":"c"}]})");
  w.observed.containers = {container("a0", "a", ContainerState::kRunning)};
  auto s = w.run();
  CHECK(s.phase == "Pending");
  CHECK(condition(s, "Initialized").status == "False");
  CHECK(condition(s, "Initialized").message == "containers with incomplete status: [a]");
  CHECK(s.containerStatuses[0].state.waiting->reason == "PodInitializing");
  // A run is never ready, its success is.
  w.memory["a"].ready = w.memory["a"].started = true;
  CHECK_FALSE(w.run().initContainerStatuses[0].ready);
  CHECK(condition(w.run(), "Initialized").status == "False");
  w.observed.containers = {container("a0", "a", ContainerState::kExited)};
  s = w.run();
  CHECK(condition(s, "Initialized").status == "True");
  CHECK(s.initContainerStatuses[0].ready);
}

TEST_CASE("readiness gates") {
  World w;
  w.pod = pod_of(R"({"readinessGates":[{"conditionType":"x/y"}],"containers":[{"name":"c"}]})");
  w.observed.containers = {container("c0", "c", ContainerState::kRunning)};
  w.memory["c"].started = w.memory["c"].ready = true;
  CHECK(condition(w.run(), "Ready").reason == "ReadinessGatesNotReady");
  auto& gate = w.pod.status.conditions.emplace_back();
  gate.type = "x/y";
  gate.status = "True";
  CHECK(condition(w.run(), "Ready").status == "True");
  CHECK(condition(w.run(), "x/y").status == "True");
}

TEST_CASE("a restart keeps the run before as lastState when the runtime forgot it") {
  World w;
  w.observed.containers = {container("c0", "c", ContainerState::kExited, 0, 2)};
  w.pod.status = w.run();
  w.observed.containers = {container("c1", "c", ContainerState::kRunning, 1)};
  auto s = w.run().containerStatuses[0];
  CHECK(s.restartCount == 1);
  REQUIRE(s.lastState.terminated);
  CHECK(s.lastState.terminated->exitCode == 2);
}

TEST_CASE("a pod that the node refused has no containers, after a restart of the agent neither") {
  World w;
  w.pod = pod_of(R"({"containers":[{"name":"c"}]})");
  w.rejected = true;
  w.reason = "NodePorts";
  auto s = w.run();
  CHECK(s.phase == "Failed");
  CHECK(s.reason == "NodePorts");
  CHECK(s.containerStatuses.empty());
  CHECK(s.conditions.empty());
  w.pod.status = s;
  w.rejected = false;
  w.reason.clear();
  CHECK(api::equal(w.run(), s));
}
