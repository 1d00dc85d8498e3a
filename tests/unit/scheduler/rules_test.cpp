// The rarer fields of the plugins' rules, their arguments, and which changes each plugin takes for
// a chance (queueing hints).
#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

constexpr const char* kZone = "topology.kubernetes.io/zone";
constexpr const char* kHost = "kubernetes.io/hostname";

struct Profile {
  NoTransport transport;
  client::Client client{transport};
  Framework framework;
  explicit Profile(const PluginArgs& args) : framework(default_plugins(client, args)) {}

  Decision decide(const Snapshot& snapshot, const PodBuilder& pod) const {
    auto random = seeded_random(1);
    return schedule(framework, snapshot, *pod.info(), *random);
  }
};

TEST_CASE("InterPodAffinity: namespaces by their labels") {
  Snapshot snapshot = snapshot_of(
      {NodeBuilder("a").with(PodBuilder("db", "blue").label("app", "db")),
       NodeBuilder("b").with(PodBuilder("db", "red").label("app", "db")), NodeBuilder("c")});
  snapshot.view.namespace_labels = [](const std::string& ns) {
    return ns == "blue" ? api::Labels{{"team", "x"}} : api::Labels{};
  };
  PodBuilder pod = PodBuilder("p", "other").near(kHost, "app", "db");
  CHECK(feasible(snapshot, pod).empty());
  auto& term =
      pod.pod.spec.affinity->podAffinity->requiredDuringSchedulingIgnoredDuringExecution[0];
  term.namespaceSelector.ensure().matchLabels["team"] = "x";
  CHECK(feasible(snapshot, pod) == Names{"a"});
  term.namespaces = {"red"};
  CHECK(feasible(snapshot, pod) == Names{"a", "b"});
}

TEST_CASE("InterPodAffinity: matchLabelKeys and mismatchLabelKeys") {
  auto web = [](const std::string& name, const std::string& version) {
    return PodBuilder(name).label("app", "web").label("version", version);
  };
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a").with(web("1", "old")), NodeBuilder("b").with(web("2", "new"))});
  PodBuilder with_own = web("p", "new").near(kHost, "app", "web");
  with_own.pod.spec.affinity->podAffinity->requiredDuringSchedulingIgnoredDuringExecution[0]
      .matchLabelKeys = {"version"};
  CHECK(feasible(snapshot, with_own) == Names{"b"});
  PodBuilder from_others = web("p", "new").away(kHost, "app", "web");
  from_others.pod.spec.affinity->podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution[0]
      .mismatchLabelKeys = {"version"};
  CHECK(feasible(snapshot, from_others) == Names{"b"});
  // Of a key that it does not bear nothing follows.
  from_others.pod.spec.affinity->podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution[0]
      .mismatchLabelKeys = {"absent"};
  CHECK(feasible(snapshot, from_others).empty());
}

TEST_CASE("PodTopologySpread: which nodes count, and pods of which version") {
  auto web = [](const std::string& name, const std::string& version) {
    return PodBuilder(name).label("app", "web").label("version", version);
  };
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a").zone("1").label("disk", "ssd").with(web("1", "old")),
                   NodeBuilder("b").zone("2"),
                   NodeBuilder("c").zone("3").label("disk", "ssd").taint("k", "v", "NoSchedule")});
  PodBuilder pod = web("p", "new").spread(1, kZone, "DoNotSchedule", "app", "web");
  auto& constraint = pod.pod.spec.topologySpreadConstraints[0];
  CHECK(feasible(snapshot, pod) == Names{"b"});
  // Zone 2 is not for the pod, so that it does not count; the tainted one does, by default.
  pod.pod.spec.nodeSelector["disk"] = "ssd";
  CHECK(feasible(snapshot, pod).empty());
  constraint.nodeTaintsPolicy = "Honor";
  CHECK(feasible(snapshot, pod) == Names{"a"});
  // Zone 2 counts again, with nothing in it.
  constraint.nodeAffinityPolicy = "Ignore";
  CHECK(feasible(snapshot, pod).empty());
  // The old version's pods are not those to be spread with.
  constraint.matchLabelKeys = {"version"};
  CHECK(feasible(snapshot, pod) == Names{"a"});
}

TEST_CASE("NodeResourcesFit: extended resources, huge pages, and what is left to extenders") {
  NodeBuilder node("a");
  node.node.status.allocatable["example.com/gpu"] = quantity("2");
  node.node.status.allocatable["hugepages-2Mi"] = quantity("4Mi");
  const Snapshot snapshot =
      snapshot_of({node.with(PodBuilder("x").request("example.com/gpu", "1"))});
  auto refused = [&](const Profile& profile, const PodBuilder& pod) {
    return profile.decide(snapshot, pod).status.message();
  };
  const Profile plain{PluginArgs{}};
  CHECK(plain.decide(snapshot, PodBuilder("p").request("example.com/gpu", "1")).node == "a");
  CHECK(refused(plain, PodBuilder("p").request("example.com/gpu", "2"))
            .starts_with("0/1 nodes are available: 1 Insufficient example.com/gpu."));
  CHECK(plain.decide(snapshot, PodBuilder("p").request("hugepages-2Mi", "4Mi")).node == "a");
  CHECK(refused(plain, PodBuilder("p").request("hugepages-2Mi", "6Mi"))
            .starts_with("0/1 nodes are available: 1 Insufficient hugepages-2Mi."));
  const PodBuilder foreign = PodBuilder("p").request("example.com/fpga", "1");
  CHECK(plain.decide(snapshot, foreign).node.empty());
  PluginArgs by_name, by_group;
  by_name.ignored_resources = {"example.com/fpga"};
  by_group.ignored_resource_groups = {"example.com"};
  CHECK(Profile(by_name).decide(snapshot, foreign).node == "a");
  CHECK(Profile(by_group).decide(snapshot, foreign).node == "a");
  CHECK(Profile(by_name)
            .decide(snapshot, PodBuilder("p").request("example.com/gpu", "2"))
            .node.empty());
}

TEST_CASE("NodeResourcesFit: the strategies") {
  const Snapshot snapshot = snapshot_of(
      {NodeBuilder("empty"),
       NodeBuilder("half").with(PodBuilder("x").request("cpu", "2").request("memory", "4Gi"))});
  const PodBuilder pod = PodBuilder("p").request("cpu", "1").request("memory", "2Gi");
  PluginArgs args;
  CHECK(Profile(args).decide(snapshot, pod).node == "empty");
  args.strategy = PluginArgs::Strategy::kMostAllocated;
  CHECK(Profile(args).decide(snapshot, pod).node == "half");
  args.strategy = PluginArgs::Strategy::kRequestedToCapacityRatio;
  args.shape = {{0, 0}, {100, 10}};
  CHECK(Profile(args).decide(snapshot, pod).node == "half");
  args.shape = {{0, 10}, {100, 0}};
  CHECK(Profile(args).decide(snapshot, pod).node == "empty");
}

TEST_CASE("NodeAffinity: what the profile adds binds every pod") {
  const Snapshot snapshot = snapshot_of({NodeBuilder("a").label("pool", "x"), NodeBuilder("b")});
  PluginArgs args;
  auto& term = args.added_affinity.emplace()
                   .requiredDuringSchedulingIgnoredDuringExecution.ensure()
                   .nodeSelectorTerms.emplace_back();
  auto& wants = term.matchExpressions.emplace_back();
  wants.key = "pool";
  wants.operator_ = "In";
  wants.values = {"x"};
  CHECK(Profile(args).decide(snapshot, PodBuilder("p")).node == "a");
  wants.values = {"y"};
  CHECK(Profile(args)
            .decide(snapshot, PodBuilder("p"))
            .status.message()
            .starts_with("0/2 nodes are available: 2 node(s) didn't match scheduler-enforced node "
                         "affinity."));
}

// ---- queueing hints ----

ClusterEvent node_event(unsigned actions, const NodeBuilder& node) {
  ClusterEvent out;
  out.kind = ClusterEvent::Kind::kNode;
  out.actions = actions;
  out.node = std::make_shared<corev1::Node>(node.node);
  return out;
}

ClusterEvent pod_event(unsigned actions, const PodBuilder& pod) {
  ClusterEvent out;
  out.kind = ClusterEvent::Kind::kAssignedPod;
  out.actions = actions;
  out.pod = pod.info();
  return out;
}

bool helps(const char* plugin, const ClusterEvent& event, const PodBuilder& pod) {
  return default_framework().may_help(event, *pod.info(), {plugin});
}

TEST_CASE("hints: nodes that come or change") {
  using E = ClusterEvent;
  const NodeBuilder small("n", "1"), big("n", "8");
  const PodBuilder pod = PodBuilder("p").request("cpu", "2");
  CHECK_FALSE(helps("NodeResourcesFit", node_event(E::kAdd, small), pod));
  CHECK(helps("NodeResourcesFit", node_event(E::kAdd, big), pod));
  CHECK(helps("NodeResourcesFit", node_event(E::kAllocatable, big), pod));
  CHECK_FALSE(helps("NodeResourcesFit", node_event(E::kLabel, big), pod));
  CHECK_FALSE(helps("NodeResourcesFit", node_event(E::kDelete, big), pod));

  PodBuilder picky("p");
  picky.pod.spec.nodeSelector["disk"] = "ssd";
  CHECK_FALSE(helps("NodeAffinity", node_event(E::kLabel, NodeBuilder("n")), picky));
  CHECK(helps("NodeAffinity", node_event(E::kLabel, NodeBuilder("n").label("disk", "ssd")), picky));
  CHECK_FALSE(
      helps("NodeAffinity", node_event(E::kTaint, NodeBuilder("n").label("disk", "ssd")), picky));

  const NodeBuilder tainted = NodeBuilder("n").taint("k", "v", "NoSchedule");
  CHECK_FALSE(helps("TaintToleration", node_event(E::kTaint, tainted), pod));
  CHECK(helps("TaintToleration", node_event(E::kTaint, NodeBuilder("n")), pod));
  CHECK(helps("TaintToleration", node_event(E::kTaint, tainted),
              PodBuilder("p").tolerate("k", "Exists", "", "")));

  NodeBuilder cordoned("n");
  cordoned.node.spec.unschedulable = true;
  CHECK_FALSE(helps("NodeUnschedulable", node_event(E::kTaint, cordoned), pod));
  CHECK(helps("NodeUnschedulable", node_event(E::kTaint, NodeBuilder("n")), pod));

  CHECK(helps("NodePorts", node_event(E::kAdd, NodeBuilder("n")), pod));
  CHECK(helps("PodTopologySpread", node_event(E::kLabel, NodeBuilder("n")), pod));
  CHECK(helps("InterPodAffinity", node_event(E::kLabel, NodeBuilder("n")), pod));
}

TEST_CASE("hints: pods that come, go or change") {
  using E = ClusterEvent;
  const PodBuilder on80 = PodBuilder("x").host_port(80), on81 = PodBuilder("y").host_port(81);
  const PodBuilder wants80 = PodBuilder("p").host_port(80);
  CHECK(helps("NodePorts", pod_event(E::kDelete, on80), wants80));
  CHECK_FALSE(helps("NodePorts", pod_event(E::kDelete, on81), wants80));
  CHECK_FALSE(helps("NodePorts", pod_event(E::kAdd, on80), wants80));

  const PodBuilder web = PodBuilder("w").label("app", "web");
  const PodBuilder near_web = PodBuilder("p").near(kZone, "app", "web");
  CHECK(helps("InterPodAffinity", pod_event(E::kAdd, web), near_web));
  CHECK_FALSE(helps("InterPodAffinity", pod_event(E::kAdd, PodBuilder("db")), near_web));
  // One that kept `web` away goes.
  CHECK(helps("InterPodAffinity", pod_event(E::kDelete, PodBuilder("g").away(kZone, "app", "web")),
              web));

  const PodBuilder spread = PodBuilder("p").spread(1, kZone, "DoNotSchedule", "app", "web");
  CHECK(helps("PodTopologySpread", pod_event(E::kDelete, web), spread));
  CHECK_FALSE(helps("PodTopologySpread", pod_event(E::kDelete, PodBuilder("db")), spread));
  CHECK_FALSE(helps("PodTopologySpread",
                    pod_event(E::kDelete, PodBuilder("w", "other").label("app", "web")), spread));

  // What nobody refused for is no matter.
  CHECK_FALSE(helps("NodeName", pod_event(E::kDelete, web), PodBuilder("p")));
}

TEST_CASE("hints: room on a node, beside those that cannot be preempted") {
  ClusterEvent gone = pod_event(ClusterEvent::kDelete, PodBuilder("gone").on("n"));
  gone.node_name = "n";
  auto fits = [&](const NodeInfo& node, const PodBuilder& pod, bool can_preempt = true) {
    gone.at = &node;
    gone.can_preempt = can_preempt;
    return helps("NodeResourcesFit", gone, pod);
  };
  const NodeInfo full =
      NodeBuilder("n", "4").with(PodBuilder("x").request("cpu", "3").priority(5)).info();
  CHECK(fits(full, PodBuilder("p").request("cpu", "1")));
  CHECK_FALSE(fits(full, PodBuilder("p").request("cpu", "2")));
  CHECK_FALSE(fits(full, PodBuilder("p").request("cpu", "2").priority(5)));
  CHECK(fits(full, PodBuilder("p").request("cpu", "2").priority(6)));
  CHECK_FALSE(fits(full, PodBuilder("p").request("cpu", "2").priority(6), false));
  // Who is nominated there counts, but for the pod itself and those of less priority.
  NodeInfo kept = NodeBuilder("n", "4").info();
  const PodBuilder first = PodBuilder("first").request("cpu", "3").priority(5);
  kept.nominated.push_back(first.info());
  CHECK_FALSE(fits(kept, PodBuilder("p").request("cpu", "2").priority(5)));
  CHECK(fits(kept, PodBuilder("p").request("cpu", "2").priority(6)));
  CHECK(fits(kept, first));
  const NodeInfo crowded = NodeBuilder("n", "4", "8Gi", "1").with(PodBuilder("x")).info();
  CHECK_FALSE(fits(crowded, PodBuilder("p")));
}

}  // namespace
}  // namespace orch::server::scheduler
