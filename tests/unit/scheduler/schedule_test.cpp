#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

TEST_CASE("the message tells what is missing, as upstream words it") {
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a", "1").with(PodBuilder("x").request("cpu", "800m")),
                   NodeBuilder("b").taint("k", "v", "NoSchedule")});
  const Decision decision = decide(snapshot, PodBuilder("p").request("cpu", "500m"));
  CHECK(decision.status.rejected());
  CHECK(decision.status.message() ==
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {k: v}. "
        "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 "
        "Preemption is not helpful for scheduling.");
  CHECK(decision.rejected_by == std::set<std::string>{"NodeResourcesFit", "TaintToleration"});
}

TEST_CASE("a cluster without nodes") {
  const Decision decision = decide(Snapshot{}, PodBuilder("p"));
  CHECK(decision.status.rejected());
  CHECK(decision.status.message() == "no nodes available to schedule pods");
}

TEST_CASE("the same seed gives the same node") {
  std::vector<NodeBuilder> nodes;
  for (int i = 0; i < 20; ++i) nodes.emplace_back("n" + std::to_string(i));
  const Snapshot snapshot = snapshot_of(nodes);
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed < 30; ++seed) {
    const auto node = decide(snapshot, PodBuilder("p"), seed).node;
    CHECK(node == decide(snapshot, PodBuilder("p"), seed).node);
    seen.insert(node);
  }
  CHECK(seen.size() > 5);
}

TEST_CASE("big clusters are sampled, starting further on each time") {
  CHECK(feasible_nodes_to_find(50) == 50);
  CHECK(feasible_nodes_to_find(100) == 100);
  CHECK(feasible_nodes_to_find(1000) == 420);
  CHECK(feasible_nodes_to_find(6000) == 300);
  std::vector<NodeBuilder> nodes;
  for (int i = 0; i < 300; ++i) nodes.emplace_back("n" + std::to_string(1000 + i));
  const Snapshot snapshot = snapshot_of(nodes);
  auto random = seeded_random(1);
  const Decision decision =
      schedule(default_framework(), snapshot, *PodBuilder("p").info(), *random, {.start = 250});
  CHECK(decision.evaluated == feasible_nodes_to_find(300));
  CHECK(decision.node >= "n1000");
}

TEST_CASE("preemption takes the cheapest node and spares what it can") {
  auto victim = [](const std::string& name, int32_t priority, const std::string& cpu) {
    return PodBuilder(name).priority(priority).request("cpu", cpu);
  };
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("dear", "2").with(victim("v1", 50, "2")),
                   NodeBuilder("cheap", "2").with(victim("v2", 10, "1")).with(victim("v3", 5, "1")),
                   NodeBuilder("peers", "2").with(victim("v4", 100, "2"))});
  const Decision one = decide(snapshot, PodBuilder("p").priority(100).request("cpu", "1"));
  CHECK(one.status.rejected());
  CHECK(one.nominated_node == "cheap");
  REQUIRE(one.victims.size() == 1);
  CHECK(one.victims[0]->name() == "v3");
  CHECK(one.status.message() == "0/3 nodes are available: 3 Insufficient cpu.");
  const Decision two = decide(snapshot, PodBuilder("p").priority(100).request("cpu", "2"));
  CHECK(two.nominated_node == "cheap");
  CHECK(two.victims.size() == 2);

  PodBuilder meek = PodBuilder("p").priority(100).request("cpu", "1");
  meek.pod.spec.preemptionPolicy = "Never";
  const Decision never = decide(snapshot, meek);
  CHECK(never.victims.empty());
  CHECK(never.status.message() ==
        "0/3 nodes are available: 3 Insufficient cpu. preemption: not eligible due to "
        "preemptionPolicy=Never.");
}

TEST_CASE("what is nominated to a node is kept free for it") {
  NodeInfo node = NodeBuilder("a", "2").info();
  node.nominated = {PodBuilder("waiting").priority(10).request("cpu", "2").info()};
  const Snapshot snapshot = Snapshot::of({node});
  CHECK_FALSE(decide(snapshot, PodBuilder("p").priority(10).request("cpu", "1")).status.ok());
  CHECK(decide(snapshot, PodBuilder("p").priority(11).request("cpu", "1")).status.ok());
  // Itself does not stand in its own way.
  PodBuilder waiting = PodBuilder("waiting").priority(10).request("cpu", "2");
  waiting.pod.status.nominatedNodeName = "a";
  CHECK(decide(snapshot, waiting).node == "a");
}

}  // namespace
}  // namespace orch::server::scheduler
