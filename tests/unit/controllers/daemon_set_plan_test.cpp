#include <catch2/catch.hpp>

#include "server/controllers/controller_revisions.h"
#include "server/controllers/daemon_set.h"

namespace orch::server {
namespace {

using api::IntOrString;
using api::corev1::Node;
using api::corev1::Pod;

struct Daemons {
  api::appsv1::DaemonSet set;
  std::vector<Node> nodes;
  std::vector<Pod> pods;
  std::map<std::string, FailedPodBackoff> backoff;
  std::string hash = "h1";
  WallTime now{Seconds{1'700'000'000}};

  explicit Daemons(int count = 3) {
    set.metadata.name = "ds";
    set.metadata.namespace_ = "default";
    set.metadata.generation = 1;
    set.spec.updateStrategy.type = "RollingUpdate";
    auto& rolling = set.spec.updateStrategy.rollingUpdate.ensure();
    rolling.maxUnavailable = IntOrString(1);
    rolling.maxSurge = IntOrString(0);
    set.spec.template_.spec.containers.emplace_back().name = "c";
    for (int i = 1; i <= count; ++i) nodes.emplace_back().metadata.name = "n" + std::to_string(i);
  }
  void taint(size_t node, const std::string& key, const std::string& effect) {
    auto& taint = nodes[node].spec.taints.emplace_back();
    taint.key = key;
    taint.effect = effect;
  }
  // A pod of this revision on the node, ready.
  Pod& add(const std::string& name, const std::string& node, const std::string& revision = "h1") {
    Pod pod = daemon_pod(set, revision, node);
    pod.metadata.name = name;
    pod.metadata.uid = name;
    pod.metadata.creationTimestamp = api::Time(now + Seconds{pods.size()});
    pod.spec.nodeName = node;
    pod.status.phase = "Running";
    auto& ready = pod.status.conditions.emplace_back();
    ready.type = "Ready";
    ready.status = "True";
    ready.lastTransitionTime = api::Time(now);
    return pods.emplace_back(pod);
  }
  Pod& at(const std::string& name) {
    for (auto& pod : pods) {
      if (pod.metadata.name == name) return pod;
    }
    FAIL("no pod " << name);
    return pods[0];
  }
  DaemonSetPlan plan() const {
    DaemonSetInput input{set, {}, {}, hash, backoff, now};
    for (const auto& node : nodes) input.nodes.push_back(std::make_shared<const Node>(node));
    for (const auto& pod : pods) input.pods.push_back(std::make_shared<const Pod>(pod));
    return plan_daemon_set(input);
  }
  // "+node" created, "-pod" deleted.
  std::string acts() const {
    const auto planned = plan();
    std::string out;
    for (const auto& node : planned.creates) out += "+" + node + " ";
    for (const auto& pod : planned.deletes) out += "-" + pod->metadata.name + " ";
    return out;
  }
};

TEST_CASE("every node that takes the pod gets one") {
  Daemons d;
  CHECK(d.acts() == "+n1 +n2 +n3 ");
  d.taint(1, "k", "NoSchedule");
  CHECK(d.acts() == "+n1 +n3 ");
  // Conditions of a node keep nobody away.
  d.taint(0, "node.kubernetes.io/not-ready", "NoExecute");
  d.taint(0, "node.kubernetes.io/unschedulable", "NoSchedule");
  d.taint(0, "node.kubernetes.io/disk-pressure", "NoSchedule");
  CHECK(d.acts() == "+n1 +n3 ");
  // The network is there only for those who bring their own.
  d.taint(0, "node.kubernetes.io/network-unavailable", "NoSchedule");
  CHECK(d.acts() == "+n3 ");
  d.set.spec.template_.spec.hostNetwork = true;
  CHECK(d.acts() == "+n1 +n3 ");
  d.nodes[2].metadata.labels = {{"disk", "ssd"}};
  d.set.spec.template_.spec.nodeSelector = {{"disk", "ssd"}};
  CHECK(d.acts() == "+n3 ");
  d.set.spec.template_.spec.nodeSelector.clear();
  d.set.spec.template_.spec.nodeName = "n1";
  CHECK(d.acts() == "+n1 ");
}

TEST_CASE("a daemon pod is pinned to its node and tolerates what nodes go through") {
  Daemons d;
  auto& affinity = d.set.spec.template_.spec.affinity.ensure().nodeAffinity.ensure();
  affinity.requiredDuringSchedulingIgnoredDuringExecution.ensure()
      .nodeSelectorTerms.emplace_back()
      .matchExpressions.emplace_back()
      .key = "x";
  const Pod pod = daemon_pod(d.set, "h1", "n1");
  const auto& terms = pod.spec.affinity->nodeAffinity
                          ->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms;
  REQUIRE(terms.size() == 1);
  CHECK(terms[0].matchExpressions.empty());
  CHECK(terms[0].matchFields.at(0).key == "metadata.name");
  CHECK(target_node(pod) == "n1");
  CHECK(pod.metadata.labels.at(kRevisionHashLabel) == "h1");
  CHECK(pod.metadata.generateName == "ds-");
  CHECK(pod.spec.tolerations.size() == 6);
  CHECK(pod.spec.nodeName.empty());

  // One that is there with a limit in time loses the limit.
  api::corev1::PodSpec spec;
  auto& limited = spec.tolerations.emplace_back();
  limited.key = "node.kubernetes.io/not-ready";
  limited.operator_ = "Exists";
  limited.effect = "NoExecute";
  limited.tolerationSeconds = 5;
  add_daemon_tolerations(spec);
  CHECK(spec.tolerations.size() == 6);
  CHECK(!spec.tolerations[0].tolerationSeconds);
}

TEST_CASE("pods go from nodes that may not keep them, and from where there are two") {
  Daemons d(2);
  d.add("a", "n1");
  d.add("b", "n2");
  CHECK(d.acts().empty());
  d.taint(0, "k", "NoSchedule");
  CHECK(d.acts().empty());  // no new one, but it may stay
  CHECK(d.plan().status.numberMisscheduled == 1);
  d.taint(0, "k2", "NoExecute");
  CHECK(d.acts() == "-a ");
  d.add("c", "n2");
  CHECK(d.acts() == "-a -c ");
  d.at("a").metadata.deletionTimestamp = api::Time(d.now);
  CHECK(d.acts() == "-c ");
  // Meant for a node that is gone, and never got there.
  Pod& lost = d.add("d", "n9");
  CHECK(d.acts() == "-c ");
  lost.spec.nodeName.clear();
  CHECK(d.acts() == "-c -d ");
}

TEST_CASE("failed pods are replaced with back-off, finished ones at once") {
  Daemons d(1);
  d.add("a", "n1").status.phase = "Failed";
  auto plan = d.plan();
  REQUIRE(plan.deletes.size() == 1);
  CHECK(plan.notes.at(0).reason == "FailedDaemonPod");
  d.backoff = plan.backoff;
  CHECK(d.backoff.at("n1").delay == Micros(Seconds{1}));
  plan = d.plan();
  CHECK(plan.deletes.empty());
  CHECK(plan.look_again == Micros(Seconds{1}));
  d.now += Seconds{1};
  plan = d.plan();
  CHECK(plan.deletes.size() == 1);
  CHECK(plan.backoff.at("n1").delay == Micros(Seconds{2}));
  // Forgotten after twice the longest delay.
  d.now += Seconds{3600};
  CHECK(d.plan().backoff.at("n1").delay == Micros(Seconds{1}));
  d.at("a").status.phase = "Succeeded";
  d.backoff.clear();
  CHECK(d.plan().notes.at(0).reason == "SucceededDaemonPod");
}

TEST_CASE("rolling update stays within maxUnavailable; what is broken anyway goes first") {
  Daemons d(4);
  for (int i = 1; i <= 4; ++i) d.add("p" + std::to_string(i), "n" + std::to_string(i), "h0");
  CHECK(d.acts() == "-p1 ");
  d.set.spec.updateStrategy.rollingUpdate->maxUnavailable = IntOrString(std::string("30%"));
  CHECK(d.acts() == "-p1 -p2 ");
  d.at("p4").status.conditions[0].status = "False";
  CHECK(d.acts() == "-p4 -p1 -p2 ");
  d.at("p1").metadata.deletionTimestamp = api::Time(d.now);
  d.at("p2").metadata.deletionTimestamp = api::Time(d.now);
  CHECK(d.acts() == "-p4 ");
  d.set.spec.updateStrategy.type = "OnDelete";
  CHECK(d.acts().empty());
}

TEST_CASE("rolling update by surge: the new pod first, then the old one goes") {
  Daemons d(3);
  auto& rolling = *d.set.spec.updateStrategy.rollingUpdate;
  rolling.maxSurge = IntOrString(1);
  rolling.maxUnavailable = IntOrString(0);
  for (int i = 1; i <= 3; ++i) d.add("p" + std::to_string(i), "n" + std::to_string(i), "h0");
  CHECK(d.acts() == "+n1 ");
  Pod& newer = d.add("q1", "n1");
  newer.status.conditions[0].status = "False";
  CHECK(d.acts().empty());
  newer.status.conditions[0].status = "True";
  CHECK(d.acts() == "-p1 ");
  newer.status.conditions[0].status = "False";
  d.at("p1").status.conditions[0].status = "False";
  CHECK(d.acts() == "-p1 ");
}

TEST_CASE("the status of a DaemonSet") {
  Daemons d(3);
  d.set.spec.minReadySeconds = 10;
  d.add("a", "n1");
  d.add("b", "n2", "h0").status.conditions[0].status = "False";
  const auto plan = d.plan();
  CHECK(plan.status.desiredNumberScheduled == 3);
  CHECK(plan.status.currentNumberScheduled == 2);
  CHECK(plan.status.numberReady == 1);
  CHECK(plan.status.numberAvailable == 0);
  CHECK(plan.status.numberUnavailable == 3);
  CHECK(plan.status.updatedNumberScheduled == 1);
  CHECK(plan.look_again == Micros(Seconds{10}));
  d.now += Seconds{10};
  CHECK(d.plan().status.numberAvailable == 1);
}

}  // namespace
}  // namespace orch::server
