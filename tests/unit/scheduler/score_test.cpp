#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

// The node that wins whatever the random numbers are; "" if ties decide.
std::string winner(const Snapshot& snapshot, const PodBuilder& pod) {
  std::string out;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Decision decision = decide(snapshot, pod, seed);
    REQUIRE(decision.status.ok());
    if (!out.empty() && decision.node != out) return "";
    out = decision.node;
  }
  return out;
}

TEST_CASE("the least allocated node wins, equals are drawn by lot") {
  const auto busy = PodBuilder("x").request("cpu", "2").request("memory", "4Gi");
  CHECK(winner(snapshot_of({NodeBuilder("a").with(busy), NodeBuilder("b")}), PodBuilder("p")) ==
        "b");
  CHECK(winner(snapshot_of({NodeBuilder("a"), NodeBuilder("b")}), PodBuilder("p")).empty());
}

TEST_CASE("balanced allocation prefers even use") {
  // Both are half full by the sum; b's cpu and memory are even after the pod.
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a", "10", "10Gi")
                       .with(PodBuilder("1").request("cpu", "6").request("memory", "2Gi")),
                   NodeBuilder("b", "10", "10Gi")
                       .with(PodBuilder("2").request("cpu", "4").request("memory", "4Gi"))});
  CHECK(winner(snapshot, PodBuilder("p").request("cpu", "1").request("memory", "1Gi")) == "b");
}

TEST_CASE("preferences: taints, node affinity, images") {
  CHECK(
      winner(snapshot_of({NodeBuilder("a").taint("k", "v", "PreferNoSchedule"), NodeBuilder("b")}),
             PodBuilder("p")) == "b");

  PodBuilder choosy("p");
  auto& preferred =
      choosy.node_affinity().preferredDuringSchedulingIgnoredDuringExecution.emplace_back();
  preferred.weight = 10;
  auto& requirement = preferred.preference.matchExpressions.emplace_back();
  requirement.key = "disk";
  requirement.operator_ = "In";
  requirement.values = {"ssd"};
  CHECK(winner(snapshot_of({NodeBuilder("a"), NodeBuilder("b").label("disk", "ssd")}), choosy) ==
        "b");

  NodeBuilder having("b");
  auto& image = having.node.status.images.emplace_back();
  image.names = {"registry/big:1"};
  image.sizeBytes = 900LL * 1024 * 1024;
  PodBuilder pod("p");
  pod.pod.spec.containers[0].image = "registry/big:1";
  CHECK(winner(snapshot_of({NodeBuilder("a"), having, NodeBuilder("c")}), pod) == "b");
}

TEST_CASE("preferred pod affinity draws, running pods' preferences too") {
  const std::string zone = "topology.kubernetes.io/zone";
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a").zone("1"),
                   NodeBuilder("b").zone("2").with(PodBuilder("db").label("app", "db"))});
  CHECK(winner(snapshot, PodBuilder("p").prefer_near(100, zone, "app", "db")) == "b");
  const Snapshot inviting = snapshot_of(
      {NodeBuilder("a").zone("1"),
       NodeBuilder("b").zone("2").with(PodBuilder("host").prefer_near(100, zone, "app", "web"))});
  CHECK(winner(inviting, PodBuilder("p").label("app", "web")) == "b");
}

TEST_CASE("pods of a service or replica set are spread by default") {
  auto web = [](const std::string& name) { return PodBuilder(name).label("app", "web"); };
  // Node b is emptier by resources but holds the replicas.
  Snapshot snapshot = snapshot_of({NodeBuilder("a").with(PodBuilder("x")).with(PodBuilder("y")),
                                   NodeBuilder("b").with(web("1")).with(web("2"))});
  snapshot.view.spread_selector = [](const corev1::Pod&) {
    return api::LabelSelector::of({{"app", "web"}});
  };
  CHECK(winner(snapshot, web("p")) == "a");

  PodBuilder own = web("q").spread(1, "kubernetes.io/hostname", "ScheduleAnyway", "app", "web");
  snapshot.view = {};
  CHECK(winner(snapshot, own) == "a");
}

TEST_CASE("ten replicas over two zones come out even") {
  std::vector<NodeBuilder> nodes;
  for (int i = 0; i < 4; ++i) {
    nodes.push_back(NodeBuilder("n" + std::to_string(i)).zone(i < 2 ? "1" : "2"));
  }
  std::map<std::string, int> per_node;
  for (int i = 0; i < 12; ++i) {
    Snapshot snapshot = snapshot_of(nodes);
    snapshot.view.spread_selector = [](const corev1::Pod&) {
      return api::LabelSelector::of({{"app", "web"}});
    };
    const PodBuilder pod = PodBuilder("p" + std::to_string(i)).label("app", "web");
    const Decision decision = decide(snapshot, pod, static_cast<uint64_t>(i) + 7);
    REQUIRE(decision.status.ok());
    ++per_node[decision.node];
    for (auto& node : nodes) {
      if (node.node.metadata.name == decision.node) node.with(pod);
    }
  }
  for (const auto& [node, pods] : per_node) CHECK(pods == 3);
}

}  // namespace
}  // namespace orch::server::scheduler
