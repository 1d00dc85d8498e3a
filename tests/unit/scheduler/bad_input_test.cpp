// Pods and nodes that ask for the impossible: said clearly, without overflow, loops or surprises.
#include <limits>

#include "server/scheduler/queue.h"
#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

const char* kHost = "kubernetes.io/hostname";
const std::string kHuge = "9223372036854775807";

bool says(const Decision& decision, const std::string& part) {
  INFO(decision.status.message());
  return decision.status.rejected() && decision.status.message().find(part) != std::string::npos;
}

TEST_CASE("requests beyond all numbers do not overflow into a fit") {
  const Snapshot snapshot = snapshot_of({NodeBuilder("a"), NodeBuilder("b")});
  PodBuilder two("two");
  two.request("cpu", kHuge).request("memory", kHuge);
  two.pod.spec.containers.push_back(two.pod.spec.containers[0]);
  two.pod.spec.containers.push_back(two.pod.spec.containers[0]);
  CHECK(says(decide(snapshot, two),
             "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient "
             "memory."));
  two.pod.spec.overhead["memory"] = quantity(kHuge);
  CHECK_FALSE(decide(snapshot, two).status.ok());
  CHECK(says(decide(snapshot, PodBuilder("x").request("example.com/gpu", kHuge)),
             "2 Insufficient example.com/gpu"));
}

TEST_CASE("a pod of that size put on a node by hand fills it; when it goes the node is as before") {
  NodeInfo node = NodeBuilder("a").with(PodBuilder("small").request("cpu", "1")).info();
  const auto giant = PodBuilder("giant").request("cpu", kHuge).request("memory", kHuge).info();
  const auto other = PodBuilder("other").request("cpu", kHuge).request("memory", kHuge).info();
  const Resources before = node.requested;
  const int64_t nonzero = node.nonzero_milli_cpu;
  node.add_pod(giant);
  node.add_pod(other);
  CHECK(node.requested.milli_cpu == std::numeric_limits<int64_t>::max());
  const Snapshot snapshot = Snapshot::of({node});
  CHECK_FALSE(decide(snapshot, PodBuilder("p").request("cpu", "100m")).status.ok());
  CHECK(node.remove_pod(giant));
  CHECK(node.remove_pod(other));
  CHECK(node.requested == before);
  CHECK(node.nonzero_milli_cpu == nonzero);
}

TEST_CASE("nodes that claim to be endless, or nothing, are scored all the same") {
  NodeBuilder endless("endless"), nothing("nothing", "0", "0");
  endless.node.status.allocatable["memory"] = quantity(kHuge);
  endless.node.status.allocatable["cpu"] = quantity(kHuge);
  const Snapshot snapshot = snapshot_of({endless, nothing, NodeBuilder("plain")});
  CHECK(decide(snapshot, PodBuilder("p").request("cpu", "1")).node != "nothing");
  CHECK(decide(snapshot, PodBuilder("p").request("cpu", "1000000")).node == "endless");
  // Asks for nothing: fits anywhere.
  CHECK(decide(snapshot, PodBuilder("q")).status.ok());
}

TEST_CASE("selectors of affinity: none matches nothing, an empty one everything") {
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a").with(PodBuilder("x").label("app", "x")), NodeBuilder("b")});
  corev1::PodAffinityTerm null_term, empty_term;
  null_term.topologyKey = empty_term.topologyKey = kHost;
  empty_term.labelSelector.ensure();
  auto with = [](const corev1::PodAffinityTerm& term, bool anti) {
    PodBuilder pod("p");
    auto& affinity = pod.pod.spec.affinity.ensure();
    (anti ? affinity.podAntiAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution
          : affinity.podAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution)
        .push_back(term);
    return pod;
  };
  CHECK(feasible(snapshot, with(null_term, true)) == Names{"a", "b"});
  CHECK(feasible(snapshot, with(null_term, false)).empty());
  CHECK(feasible(snapshot, with(empty_term, true)) == Names{"b"});
  CHECK(feasible(snapshot, with(empty_term, false)) == Names{"a"});
}

TEST_CASE("affinity that nothing can satisfy") {
  const Snapshot snapshot = snapshot_of({NodeBuilder("a").zone("z"), NodeBuilder("b")});
  CHECK(says(decide(snapshot, PodBuilder("p").near(kHost, "app", "nobody")),
             "0/2 nodes are available: 2 node(s) didn't match pod affinity rules. preemption: 0/2 "
             "nodes are available: 2 Preemption is not helpful for scheduling."));
  CHECK(says(decide(snapshot, PodBuilder("p").label("app", "me").near("no-such-key", "app", "me")),
             "2 node(s) didn't match pod affinity rules"));
  PodBuilder conflict("p");
  auto& required = conflict.node_affinity().requiredDuringSchedulingIgnoredDuringExecution.ensure();
  auto& term = required.nodeSelectorTerms.emplace_back();
  for (const char* name : {"a", "b"}) {
    auto& field = term.matchFields.emplace_back();
    field.key = "metadata.name";
    field.operator_ = "In";
    field.values = {name};
  }
  CHECK(says(decide(snapshot, conflict), "pod affinity terms conflict"));
  PodBuilder words("p");
  auto& compare = words.node_affinity()
                      .requiredDuringSchedulingIgnoredDuringExecution.ensure()
                      .nodeSelectorTerms.emplace_back()
                      .matchExpressions.emplace_back();
  compare.key = "topology.kubernetes.io/zone";
  compare.operator_ = "Gt";
  compare.values = {"many"};
  CHECK(says(decide(snapshot, words), "2 node(s) didn't match Pod's node affinity/selector"));
  PodBuilder nowhere("p");
  nowhere.pod.spec.nodeSelector["disk"] = "none";
  CHECK(says(decide(snapshot, nowhere), "2 node(s) didn't match Pod's node affinity/selector"));
}

TEST_CASE("spreading that cannot be: no such key, more domains than there are") {
  const Snapshot snapshot = snapshot_of({NodeBuilder("a").zone("z"), NodeBuilder("b").zone("z")});
  CHECK(says(
      decide(
          snapshot,
          PodBuilder("p").label("app", "x").spread(1, "no-such-key", "DoNotSchedule", "app", "x")),
      "2 node(s) didn't match pod topology spread constraints (missing required label)"));
  PodBuilder wide = PodBuilder("p")
                        .label("app", "x")
                        .spread(1, "topology.kubernetes.io/zone", "DoNotSchedule", "app", "x");
  wide.pod.spec.topologySpreadConstraints[0].minDomains = std::numeric_limits<int32_t>::max();
  CHECK(decide(snapshot, wide).status.ok());  // the first one may start
  const Snapshot one =
      snapshot_of({NodeBuilder("a").zone("z").with(PodBuilder("first").label("app", "x")),
                   NodeBuilder("b").zone("z")});
  CHECK(says(decide(one, wide), "2 node(s) didn't match pod topology spread constraints"));
}

TEST_CASE("a budget that allows nothing: preemption looks elsewhere, and takes it if it must") {
  auto victim = [](const std::string& name, const std::string& app) {
    return PodBuilder(name).label("app", app).request("cpu", "2");
  };
  Snapshot snapshot = snapshot_of({NodeBuilder("kept", "2").with(victim("v1", "db")),
                                   NodeBuilder("free", "2").with(victim("v2", "web"))});
  auto budget = std::make_shared<api::policyv1::PodDisruptionBudget>();
  budget->metadata.namespace_ = "default";
  budget->spec.selector.ensure().matchLabels["app"] = "db";
  budget->status.disruptionsAllowed = 0;
  snapshot.view.budgets = [budget] { return std::vector<ClusterView::Budget>{budget}; };
  const PodBuilder pod = PodBuilder("p").priority(10).request("cpu", "2");
  for (uint64_t seed = 1; seed < 8; ++seed) {
    CHECK(decide(snapshot, pod, seed).nominated_node == "free");
  }
  Snapshot only = snapshot_of({NodeBuilder("kept", "2").with(victim("v1", "db"))});
  only.view = snapshot.view;
  CHECK(decide(only, pod).nominated_node == "kept");
  // One that selects everything by an empty selector, and one that is broken, are no obstacles.
  budget->spec.selector->matchLabels.clear();
  CHECK(decide(only, pod).nominated_node == "kept");
  auto& broken = budget->spec.selector->matchExpressions.emplace_back();
  broken.key = "app";
  broken.operator_ = "Like";
  CHECK(decide(only, pod).nominated_node == "kept");
}

TEST_CASE("of two pods the one in a budget is spared") {
  Snapshot snapshot = snapshot_of(
      {NodeBuilder("a", "2")
           .with(PodBuilder("plain").request("cpu", "1").priority(5))
           .with(PodBuilder("guarded").label("app", "db").request("cpu", "1").priority(1))});
  auto budget = std::make_shared<api::policyv1::PodDisruptionBudget>();
  budget->metadata.namespace_ = "default";
  budget->spec.selector.ensure().matchLabels["app"] = "db";
  snapshot.view.budgets = [budget] { return std::vector<ClusterView::Budget>{budget}; };
  const PodBuilder pod = PodBuilder("p").priority(10).request("cpu", "1");
  const Decision decision = decide(snapshot, pod);
  REQUIRE(decision.victims.size() == 1);
  CHECK(decision.victims[0]->name() == "plain");
  // Whoever is on the way out already does not count against it.
  budget->status.disruptedPods["guarded"] = api::Time(WallTime{});
  CHECK(decide(snapshot, pod).victims[0]->name() == "guarded");
}

TEST_CASE("pods that never fit cost nothing until something changes that may help") {
  int asked = 0;
  Queue::Rules rules;
  rules.hint = [&](const ClusterEvent& event, const QueuedPod& pod) {
    ++asked;
    return default_framework().may_help(event, *pod.pod, pod.rejected_by);
  };
  rules.interests = [](const QueuedPod& pod) {
    return default_framework().interests(pod.rejected_by);
  };
  Queue queue(rules);
  MonoTime now{Seconds{1000}};
  for (int i = 0; i < 500; ++i) {
    queue.put(PodBuilder("huge" + std::to_string(i)).request("cpu", "64").info(), now);
    QueuedPod pod = *queue.pop();
    pod.rejected_by = {"NodeResourcesFit"};
    queue.put_back(std::move(pod), now);
  }
  CHECK(queue.unschedulable() == 500);
  ClusterEvent bound;
  bound.kind = ClusterEvent::Kind::kAssignedPod;
  bound.actions = ClusterEvent::kAdd;
  bound.pod = PodBuilder("other").request("cpu", "1").on("a").info();
  for (int i = 0; i < 100; ++i) queue.on_event(bound, now);
  CHECK(asked == 0);
  // A node that is too small as well.
  ClusterEvent node;
  node.actions = ClusterEvent::kAdd;
  node.node = std::make_shared<corev1::Node>(NodeBuilder("small").node);
  queue.on_event(node, now);
  CHECK(asked == 500);
  CHECK(queue.unschedulable() == 500);
  node.node = std::make_shared<corev1::Node>(NodeBuilder("big", "128").node);
  queue.on_event(node, now);
  CHECK(queue.backing_off() == 500);
}

TEST_CASE("what the pod as a whole asks for stands for its containers") {
  PodBuilder pod = PodBuilder("p").request("cpu", "3").request("memory", "1Gi");
  pod.pod.spec.resources.ensure().requests["cpu"] = quantity("500m");
  pod.pod.spec.overhead["cpu"] = quantity("100m");
  const PodInfoPtr info = pod.info();
  CHECK(info->requests.milli_cpu == 600);
  CHECK(info->nonzero_milli_cpu == 600);
  CHECK(info->requests.memory_bytes == int64_t{1} << 30);
}

}  // namespace
}  // namespace orch::server::scheduler
