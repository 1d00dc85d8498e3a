// The pod worker's decisions, state by state.
#include <catch2/catch.hpp>

#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;
using Type = Action::Type;

namespace {

struct World {
  corev1::Pod pod;
  PodObserved observed;
  std::map<std::string, ContainerMemory> memory;
  bool terminate = false, volumes_ready = true;
  WallTime now = kNow;

  Plan run() const {
    return plan({.pod = pod,
                 .observed = observed,
                 .memory = memory,
                 .terminate = terminate,
                 .volumes_ready = volumes_ready,
                 .now = now});
  }
};

std::string text(const Plan& p) {
  std::string out;
  for (const auto& a : p.actions) {
    const char* names[] = {"volumes", "sandbox", "stop-sandbox", "remove-sandbox",
                           "start",   "stop",    "remove",       "terminated"};
    out += std::string(out.empty() ? "" : " ") + names[static_cast<int>(a.type)];
    std::string what = a.name.empty() ? a.id : a.name;
    if (a.type == Type::kRemoveContainer) what = a.id;
    if (!what.empty()) out += ":" + what;
    if (a.type == Type::kStartContainer || a.type == Type::kCreateSandbox) {
      out += "#" + std::to_string(a.attempt);
    }
  }
  return out;
}

World web() {
  World w;
  w.pod = pod_of(R"({"containers":[{"name":"c","image":"i"}]})");
  return w;
}

}  // namespace

TEST_CASE("a new pod: volumes and sandbox at once, then the container") {
  World w = web();
  w.volumes_ready = false;
  CHECK(text(w.run()) == "volumes sandbox#0");
  w.observed.sandboxes = {sandbox("s0")};
  CHECK(text(w.run()) == "volumes");
  w.volumes_ready = true;
  CHECK(text(w.run()) == "start:c#0");
  w.memory["c"].busy = true;
  CHECK(text(w.run()).empty());
  w.memory["c"].busy = false;
  w.observed.containers = {container("c0", "c", ContainerState::kRunning)};
  CHECK(text(w.run()).empty());
}

TEST_CASE("init containers one after another, sidecars before what follows them") {
  World w;
  w.pod = pod_of(R"({"initContainers":[{"name":"a"},{"name":"side","restartPolicy":"Always"},
                     {"name":"b"}],"containers":[{"name":"c"},{"name":"d"}]})");
  w.observed.sandboxes = {sandbox("s0")};
  CHECK(text(w.run()) == "start:a#0");
  auto a_running = container("a0", "a", ContainerState::kRunning);
  w.observed.containers = {a_running};
  CHECK(text(w.run()).empty());
  w.observed.containers = {container("a0", "a", ContainerState::kExited)};
  CHECK(text(w.run()) == "start:side#0");
  w.observed.containers.push_back(container("side0", "side", ContainerState::kRunning));
  CHECK(text(w.run()).empty());  // not started yet (startup probe)
  w.memory["side"].started = true;
  CHECK(text(w.run()) == "start:b#0");
  w.observed.containers.push_back(container("b0", "b", ContainerState::kExited));
  CHECK(text(w.run()) == "start:c#0 start:d#0");
  // Once main containers ran, an init container's vanished record does not run it again, and a
  // sidecar that ended is started while the others go on.
  w.observed.containers = {container("c0", "c", ContainerState::kRunning),
                           container("d0", "d", ContainerState::kRunning),
                           container("side0", "side", ContainerState::kExited)};
  CHECK(text(w.run()) == "start:side#1");
}

TEST_CASE("a failing init container: Never fails the pod, Always retries") {
  World w;
  w.pod = pod_of(R"({"restartPolicy":"Never","initContainers":[{"name":"a"}],
                     "containers":[{"name":"c"}]})");
  w.observed.sandboxes = {sandbox("s0")};
  w.observed.containers = {container("a0", "a", ContainerState::kExited, 0, 1)};
  Plan p = w.run();
  CHECK(p.finished);
  CHECK(text(p) == "stop-sandbox:s0");
  w.pod.spec.restartPolicy = "Always";
  p = w.run();
  CHECK_FALSE(p.finished);
  CHECK(text(p) == "start:a#1");
}

TEST_CASE("restart policies") {
  World w = web();
  w.observed.sandboxes = {sandbox("s0")};
  w.observed.containers = {container("c0", "c", ContainerState::kExited, 0, 0)};
  CHECK(text(w.run()) == "start:c#1");
  w.pod.spec.restartPolicy = "OnFailure";
  CHECK(w.run().finished);
  w.observed.containers[0].exit_code = 3;
  CHECK(text(w.run()) == "start:c#1");
  w.pod.spec.restartPolicy = "Never";
  CHECK(w.run().finished);
}

TEST_CASE("crash loop: the first restart at once, then 10 s doubling to 5 min") {
  Backoff b;
  CHECK_FALSE(b.holds(kNow, kNow));
  b.next(kNow);
  CHECK(b.holds(kNow, kNow + Seconds{9}));
  CHECK_FALSE(b.holds(kNow, kNow + Seconds{10}));
  std::vector<int64_t> delays;
  for (int i = 0; i < 7; ++i) {
    delays.push_back(b.delay.count());
    b.next(kNow + Seconds{i});
  }
  CHECK(delays == std::vector<int64_t>{10, 20, 40, 80, 160, 300, 300});
  b.next(kNow + Seconds{6} + Seconds{601});
  CHECK(b.delay == Seconds{10});

  World w = web();
  w.observed.sandboxes = {sandbox("s0")};
  w.observed.containers = {container("c1", "c", ContainerState::kExited, 1, 1)};
  w.memory["c"].crash.next(kNow - Seconds{2});
  Plan p = w.run();
  CHECK(text(p).empty());
  REQUIRE(p.waiting.contains("c"));
  CHECK(p.waiting["c"].reason == "CrashLoopBackOff");
  CHECK(p.waiting["c"].message == "back-off 10s restarting failed container=c pod=web_default(u1)");
  REQUIRE(p.wake_at);
  CHECK(*p.wake_at == kNow + Seconds{9});  // ended a second ago
  w.now = *p.wake_at;
  CHECK(text(w.run()) == "start:c#2");
}

TEST_CASE("a failed probe stops the run; a changed image too") {
  World w = web();
  w.observed.sandboxes = {sandbox("s0")};
  w.observed.containers = {container("c0", "c", ContainerState::kRunning)};
  w.memory["c"].kill_id = "c0";
  w.memory["c"].kill_message = "why";
  Plan p = w.run();
  CHECK(text(p) == "stop:c");
  CHECK(p.actions[0].message == "why");
  w.memory["c"].kill_id = "another run";
  CHECK(text(w.run()).empty());
  w.observed.containers[0].annotations[kHashAnnotation] = container_hash(w.pod.spec.containers[0]);
  CHECK(text(w.run()).empty());
  w.pod.spec.containers[0].image = "j";
  CHECK(text(w.run()) == "stop:c");
}

TEST_CASE("a dead sandbox: its containers are stopped, then a new one with the next attempt") {
  World w = web();
  w.observed.sandboxes = {sandbox("s0", 0, false)};
  w.observed.containers = {container("c0", "c", ContainerState::kRunning)};
  CHECK(text(w.run()) == "stop:c");
  w.observed.containers[0].state = ContainerState::kExited;
  CHECK(text(w.run()) == "sandbox#1");
  w.observed.sandboxes.insert(w.observed.sandboxes.begin(), sandbox("s1", 1));
  CHECK(text(w.run()) == "start:c#1");
}

TEST_CASE("termination: main containers, sidecars from last to first, sandbox, clean-up") {
  World w;
  w.pod = pod_of(R"({"initContainers":[{"name":"s1","restartPolicy":"Always"},
                     {"name":"s2","restartPolicy":"Always"}],"containers":[{"name":"c"}]})");
  w.terminate = true;
  w.observed.sandboxes = {sandbox("s0")};
  w.observed.containers = {container("c0", "c", ContainerState::kRunning),
                           container("x1", "s1", ContainerState::kRunning),
                           container("x2", "s2", ContainerState::kRunning)};
  CHECK(text(w.run()) == "stop:c");
  w.observed.containers[0].state = ContainerState::kExited;
  CHECK(text(w.run()) == "stop:s2");
  w.observed.containers[2].state = ContainerState::kExited;
  CHECK(text(w.run()) == "stop:s1");
  w.observed.containers[1].state = ContainerState::kExited;
  CHECK(text(w.run()) == "stop-sandbox:s0");
  w.observed.sandboxes[0].ready = false;
  w.memory["c"].busy = true;
  CHECK(text(w.run()).empty());
  w.memory["c"].busy = false;
  CHECK(text(w.run()) == "terminated");
}

TEST_CASE("a pod that the API shows as ended is not started again") {
  World w = web();
  w.pod.status.phase = "Succeeded";
  CHECK(text(w.run()) == "terminated");
}

TEST_CASE("garbage: the newest ended run stays, older ones and empty sandboxes go") {
  World w = web();
  w.observed.sandboxes = {sandbox("s1", 1), sandbox("s0", 0, false)};
  w.observed.containers = {container("c2", "c", ContainerState::kRunning, 2, 0, "s1"),
                           container("c1", "c", ContainerState::kExited, 1, 1, "s1"),
                           container("c0", "c", ContainerState::kExited, 0, 1, "s1")};
  CHECK(text(w.run()) == "remove:c0 remove-sandbox:s0");
}

TEST_CASE("durations as Go writes them") {
  CHECK(go_duration(Seconds{20}) == "20s");
  CHECK(go_duration(Seconds{80}) == "1m20s");
  CHECK(go_duration(Seconds{300}) == "5m0s");
}
