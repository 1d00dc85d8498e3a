#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

std::string refusal(const NodeBuilder& node, const PodBuilder& pod) {
  CycleState state;
  std::optional<std::set<std::string>> only;
  std::set<std::string> by;
  const Snapshot snapshot = snapshot_of({node});
  const auto info = pod.info();
  Status status = default_framework().run_pre_filter(state, *info, snapshot, only, by);
  if (status.ok()) status = default_framework().run_filter(state, *info, *snapshot.nodes[0]);
  return status.message();
}

TEST_CASE("NodeResourcesFit names every resource that is short") {
  struct Row {
    PodBuilder pod;
    std::string expected;
  };
  const NodeBuilder node =
      NodeBuilder("n", "2", "4Gi", "2")
          .with(PodBuilder("a").request("cpu", "1500m").request("memory", "3Gi"));
  const std::vector<Row> rows = {
      {PodBuilder("fits").request("cpu", "500m").request("memory", "1Gi"), ""},
      {PodBuilder("cpu").request("cpu", "501m"), "Insufficient cpu"},
      {PodBuilder("both").request("cpu", "1").request("memory", "2Gi"),
       "Insufficient cpu, Insufficient memory"},
      {PodBuilder("gpu").request("example.com/gpu", "1"), "Insufficient example.com/gpu"},
      {PodBuilder("disk").request("ephemeral-storage", "1"), "Insufficient ephemeral-storage"},
      {PodBuilder("nothing"), ""},
  };
  for (const auto& row : rows) {
    INFO(row.pod.pod.metadata.name);
    CHECK(refusal(node, row.pod) == row.expected);
  }
  CHECK(refusal(NodeBuilder("n", "2", "4Gi", "0"), PodBuilder("p")) == "Too many pods");
}

TEST_CASE("requests count init containers, sidecars and overhead as they run") {
  PodBuilder pod("p");
  pod.request("cpu", "1");
  auto init = [&](const std::string& cpu, bool sidecar) {
    auto& c = pod.pod.spec.initContainers.emplace_back();
    c.resources.requests["cpu"] = quantity(cpu);
    if (sidecar) c.restartPolicy = "Always";
  };
  CHECK(pod_requests(pod.pod).milli_cpu == 1000);
  init("300m", false);  // runs before, alone
  CHECK(pod_requests(pod.pod).milli_cpu == 1000);
  init("200m", true);  // runs beside the container
  CHECK(pod_requests(pod.pod).milli_cpu == 1200);
  init("2", false);  // runs beside the sidecar
  CHECK(pod_requests(pod.pod).milli_cpu == 2200);
  pod.pod.spec.overhead["cpu"] = quantity("50m");
  CHECK(pod_requests(pod.pod).milli_cpu == 2250);
}

TEST_CASE("TaintToleration") {
  const NodeBuilder node = NodeBuilder("n").taint("k", "v", "NoSchedule");
  CHECK(refusal(node, PodBuilder("p")) == "node(s) had untolerated taint {k: v}");
  CHECK(refusal(node, PodBuilder("p").tolerate("k", "Equal", "v", "NoSchedule")).empty());
  CHECK(refusal(node, PodBuilder("p").tolerate("k", "", "v", "")).empty());
  CHECK(refusal(node, PodBuilder("p").tolerate("", "Exists", "", "")).empty());
  CHECK_FALSE(refusal(node, PodBuilder("p").tolerate("k", "Equal", "w", "")).empty());
  CHECK_FALSE(refusal(node, PodBuilder("p").tolerate("k", "Exists", "", "NoExecute")).empty());
  CHECK(refusal(NodeBuilder("n").taint("k", "v", "PreferNoSchedule"), PodBuilder("p")).empty());
}

TEST_CASE("NodeUnschedulable") {
  NodeBuilder node("n");
  node.node.spec.unschedulable = true;
  CHECK(refusal(node, PodBuilder("p")) == "node(s) were unschedulable");
  CHECK(refusal(node, PodBuilder("p").tolerate("node.kubernetes.io/unschedulable", "Exists", "",
                                               "NoSchedule"))
            .empty());
}

TEST_CASE("NodeAffinity: operators, alternatives, matchFields") {
  struct Row {
    std::string key, op;
    Names values;
    bool expected;
  };
  const NodeBuilder node = NodeBuilder("n").label("disk", "ssd").label("gen", "7");
  const std::vector<Row> rows = {
      {"disk", "In", {"hdd", "ssd"}, true}, {"disk", "In", {"hdd"}, false},
      {"disk", "NotIn", {"hdd"}, true},     {"absent", "NotIn", {"x"}, true},
      {"disk", "Exists", {}, true},         {"absent", "Exists", {}, false},
      {"absent", "DoesNotExist", {}, true}, {"gen", "Gt", {"6"}, true},
      {"gen", "Gt", {"7"}, false},          {"gen", "Lt", {"8"}, true},
      {"disk", "Gt", {"1"}, false},
  };
  for (const auto& row : rows) {
    INFO(row.key << " " << row.op);
    PodBuilder pod("p");
    auto& term = pod.node_affinity()
                     .requiredDuringSchedulingIgnoredDuringExecution.ensure()
                     .nodeSelectorTerms.emplace_back();
    auto& requirement = term.matchExpressions.emplace_back();
    requirement.key = row.key;
    requirement.operator_ = row.op;
    requirement.values = row.values;
    CHECK(refusal(node, pod).empty() == row.expected);
  }
  PodBuilder selecting("p");
  selecting.pod.spec.nodeSelector["disk"] = "hdd";
  CHECK(refusal(node, selecting) == "node(s) didn't match Pod's node affinity/selector");
}

TEST_CASE("a pod pinned by metadata.name looks at that node only") {
  PodBuilder pod("p");
  auto& field = pod.node_affinity()
                    .requiredDuringSchedulingIgnoredDuringExecution.ensure()
                    .nodeSelectorTerms.emplace_back()
                    .matchFields.emplace_back();
  field.key = "metadata.name";
  field.operator_ = "In";
  field.values = {"b"};
  CHECK(decide(snapshot_of({NodeBuilder("a"), NodeBuilder("b"), NodeBuilder("c")}), pod).node ==
        "b");
  const Decision full = decide(
      snapshot_of({NodeBuilder("a"), NodeBuilder("b", "4", "8Gi", "0"), NodeBuilder("c")}), pod);
  CHECK(full.status.message() ==
        "0/3 nodes are available: 1 Too many pods, 2 node(s) didn't satisfy plugin(s) "
        "[NodeAffinity]. preemption: 0/3 nodes are available: 1 No preemption victims found for "
        "incoming pod, 2 Preemption is not helpful for scheduling.");
}

TEST_CASE("NodePorts: address and protocol decide") {
  const std::string taken = "node(s) didn't have free ports for the requested pod ports";
  const NodeBuilder node = NodeBuilder("n").with(PodBuilder("a").host_port(80, "127.0.0.1"));
  CHECK(refusal(node, PodBuilder("p").host_port(80)) == taken);
  CHECK(refusal(node, PodBuilder("p").host_port(80, "127.0.0.1")) == taken);
  CHECK(refusal(node, PodBuilder("p").host_port(80, "10.0.0.1")).empty());
  CHECK(refusal(node, PodBuilder("p").host_port(80, "", "UDP")).empty());
  CHECK(refusal(node, PodBuilder("p").host_port(81)).empty());
}

TEST_CASE("PodTopologySpread keeps the skew") {
  const std::string host = "kubernetes.io/hostname";
  auto web = [](const std::string& name) { return PodBuilder(name).label("app", "web"); };
  const Snapshot snapshot = snapshot_of({NodeBuilder("a").with(web("1")).with(web("2")),
                                         NodeBuilder("b").with(web("3")), NodeBuilder("c")});
  CHECK(feasible(snapshot, web("p").spread(1, host, "DoNotSchedule", "app", "web")) == Names{"c"});
  CHECK(feasible(snapshot, web("p").spread(2, host, "DoNotSchedule", "app", "web")) ==
        Names{"b", "c"});
  CHECK(feasible(snapshot, web("p").spread(1, host, "DoNotSchedule", "app", "db")).size() == 3);
  CHECK(feasible(snapshot, web("p").spread(1, host, "ScheduleAnyway", "app", "web")).size() == 3);
  CHECK(refusal(NodeBuilder("a"), web("p").spread(1, "zone", "DoNotSchedule", "app", "web")) ==
        "node(s) didn't match pod topology spread constraints (missing required label)");
  // Other namespaces and leaving pods do not count.
  PodBuilder leaving = web("gone");
  leaving.pod.metadata.deletionTimestamp = api::Time(WallTime{});
  const Snapshot quiet = snapshot_of(
      {NodeBuilder("a").with(leaving).with(PodBuilder("x", "other").label("app", "web")),
       NodeBuilder("b")});
  CHECK(feasible(quiet, web("p").spread(1, host, "DoNotSchedule", "app", "web")).size() == 2);
  // minDomains: with too few domains the least is taken as zero.
  PodBuilder wide = web("p").spread(1, host, "DoNotSchedule", "app", "web");
  wide.pod.spec.topologySpreadConstraints[0].minDomains = 3;
  CHECK(feasible(snapshot_of({NodeBuilder("a").with(web("1")), NodeBuilder("b").with(web("2"))}),
                 wide)
            .empty());
}

TEST_CASE("InterPodAffinity") {
  const std::string zone = "topology.kubernetes.io/zone";
  const Snapshot snapshot =
      snapshot_of({NodeBuilder("a").zone("1").with(PodBuilder("db").label("app", "db")),
                   NodeBuilder("b").zone("1"), NodeBuilder("c").zone("2")});
  CHECK(feasible(snapshot, PodBuilder("p").near(zone, "app", "db")) == Names{"a", "b"});
  CHECK(feasible(snapshot, PodBuilder("p").away(zone, "app", "db")) == Names{"c"});
  CHECK(feasible(snapshot, PodBuilder("p").near(zone, "app", "none")).empty());
  // The first of a group that wants to be together starts anywhere.
  CHECK(feasible(snapshot, PodBuilder("p").label("app", "new").near(zone, "app", "new")).size() ==
        3);
  // Another namespace's pod does not count unless the term says so.
  CHECK(feasible(snapshot, PodBuilder("p", "other").away(zone, "app", "db")).size() == 3);
  PodBuilder everywhere = PodBuilder("p", "other").away(zone, "app", "db");
  everywhere.pod.spec.affinity->podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution[0]
      .namespaceSelector.ensure();
  CHECK(feasible(snapshot, everywhere) == Names{"c"});
  // A running pod's anti-affinity keeps the new one away.
  const Snapshot guarded =
      snapshot_of({NodeBuilder("a").zone("1").with(PodBuilder("lonely").away(zone, "app", "web")),
                   NodeBuilder("c").zone("2")});
  CHECK(feasible(guarded, PodBuilder("p").label("app", "web")) == Names{"c"});
  CHECK(refusal(NodeBuilder("a").zone("1").with(PodBuilder("lonely").away(zone, "app", "web")),
                PodBuilder("p").label("app", "web")) ==
        "node(s) didn't satisfy existing pods anti-affinity rules");
}

TEST_CASE("InterPodAffinity: refusals by several topology keys, and pods that leave") {
  const std::string zone = "topology.kubernetes.io/zone", host = "kubernetes.io/hostname";
  const PodBuilder lonely = PodBuilder("lonely").away(host, "app", "web");
  const PodBuilder second = PodBuilder("second").away(host, "app", "web");
  const Snapshot snapshot = snapshot_of(
      {NodeBuilder("a").zone("1").with(lonely), NodeBuilder("a2").zone("1"),
       NodeBuilder("a3").zone("1").with(lonely).with(second), NodeBuilder("b2").zone("2"),
       NodeBuilder("b").zone("2").with(PodBuilder("grumpy").away(zone, "app", "web"))});
  const PodBuilder web = PodBuilder("p").label("app", "web");
  CHECK(feasible(snapshot, web) == Names{"a2"});

  // Without the pod that refuses, its domain is free; where a second one refuses, it is not.
  const Framework& framework = default_framework();
  CycleState state;
  std::optional<std::set<std::string>> only;
  std::set<std::string> by;
  const auto info = web.info();
  REQUIRE(framework.run_pre_filter(state, *info, snapshot, only, by).ok());
  const NodeInfo &a = **snapshot.find("a"), &a3 = **snapshot.find("a3");
  framework.run_remove_pod(state, *info, *lonely.info(), a, snapshot);
  framework.run_remove_pod(state, *info, *lonely.info(), a3, snapshot);
  CHECK(framework.run_filter(state, *info, a).ok());
  CHECK_FALSE(framework.run_filter(state, *info, a3).ok());
  framework.run_add_pod(state, *info, *lonely.info(), a, snapshot);
  CHECK_FALSE(framework.run_filter(state, *info, a).ok());
}

}  // namespace
}  // namespace orch::server::scheduler
