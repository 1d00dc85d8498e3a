#include <catch2/catch.hpp>

#include "server/controllers/pods.h"
#include "server/controllers/replica_set.h"

namespace orch::server {
namespace {

using api::appsv1::ReplicaSet;
using api::corev1::Pod;

const WallTime kNow{Seconds{1'700'000'000}};

ReplicaSet set_of(int32_t replicas) {
  ReplicaSet set;
  set.metadata.name = "web";
  set.metadata.generation = 3;
  set.spec.replicas = replicas;
  set.spec.template_.metadata.labels = {{"app", "web"}, {"tier", "a"}};
  return set;
}

Pod running(const std::string& name, const std::string& node = "n1",
            Seconds ready_for = Seconds{60}) {
  Pod pod;
  pod.metadata.name = pod.metadata.uid = name;
  pod.metadata.labels = {{"app", "web"}, {"tier", "a"}};
  pod.metadata.creationTimestamp = kNow - ready_for - Seconds{5};
  pod.spec.nodeName = node;
  pod.status.phase = "Running";
  auto& ready = pod.status.conditions.emplace_back();
  ready.type = "Ready";
  ready.status = "True";
  ready.lastTransitionTime = kNow - ready_for;
  return pod;
}

std::vector<PodPtr> pointers(const std::vector<Pod>& pods) {
  std::vector<PodPtr> out;
  for (const auto& pod : pods) out.push_back(std::make_shared<const Pod>(pod));
  return out;
}

// The order in which they go.
std::vector<std::string> order(std::vector<Pod> pods) {
  const auto active = pointers(pods);
  std::vector<std::string> names;
  for (const auto& pod : plan_replicas(set_of(0), active, active, kNow).deletes) {
    names.push_back(pod->metadata.name);
  }
  return names;
}
using Names = std::vector<std::string>;

TEST_CASE("a ReplicationController is seen as a ReplicaSet, and back") {
  api::corev1::ReplicationController controller;
  controller.metadata.name = "rc";
  controller.spec.replicas = 2;
  controller.spec.minReadySeconds = 7;
  CHECK(!as_replica_set(controller).spec.selector);  // selects nothing, not everything
  controller.spec.selector = {{"a", "b"}};
  controller.spec.template_.ensure().metadata.labels = {{"a", "b"}};
  auto& condition = controller.status.conditions.emplace_back();
  condition.type = "ReplicaFailure";
  condition.status = "True";
  condition.message = "why";
  controller.status.readyReplicas = 1;
  const ReplicaSet set = as_replica_set(controller);
  CHECK(set.metadata.name == "rc");
  CHECK(set.spec.replicas == 2);
  CHECK(set.spec.minReadySeconds == 7);
  CHECK(set.spec.selector->matchLabels == controller.spec.selector);
  CHECK(set.spec.template_.metadata.labels.at("a") == "b");
  CHECK(api::equal(as_controller_status(set.status), controller.status));
}

TEST_CASE("replica set plan: creates what is missing, at most 500 a round") {
  CHECK(plan_replicas(set_of(3), {}, {}, kNow).creates == 3);
  CHECK(plan_replicas(set_of(2000), {}, {}, kNow).creates == 500);
  const auto one = pointers({running("a")});
  const auto same = plan_replicas(set_of(1), one, one, kNow);
  CHECK(same.creates == 0);
  CHECK(same.deletes.empty());
  ReplicaSet unset = set_of(0);
  unset.spec.replicas.reset();
  CHECK(plan_replicas(unset, {}, {}, kNow).creates == 1);
}

TEST_CASE("replica set plan: what is missed least goes first") {
  Pod unassigned = running("a", "");
  Pod pending = running("b");
  pending.status.phase = "Pending";
  Pod unready = running("c");
  unready.status.conditions[0].status = "False";
  Pod cheap = running("d");
  cheap.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] = "-10";
  Pod normal = running("e");
  Pod dear = running("f");
  dear.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] = "10";
  CHECK(order({dear, normal, cheap, unready, pending, unassigned}) ==
        Names{"a", "b", "c", "d", "e", "f"});
}

TEST_CASE("replica set plan: crowded nodes are relieved, young pods and restarted ones go first") {
  CHECK(order({running("a", "n1"), running("b", "n2"), running("c", "n2")}) ==
        Names{"b", "c", "a"});
  CHECK(order({running("old", "n1", Seconds{100000}), running("young", "n2", Seconds{10})}) ==
        Names{"young", "old"});
  Pod restarted = running("z", "n2");
  restarted.status.containerStatuses.emplace_back().restartCount = 4;
  CHECK(order({running("a", "n1"), restarted}) == Names{"z", "a"});
}

TEST_CASE("replica set plan: crowding counts the pods of all sets of one owner") {
  const Pod here = running("a", "n1"), there = running("b", "n2");
  const auto active = pointers({here, there});
  const auto related = pointers({here, there, running("other", "n2")});
  const auto plan = plan_replicas(set_of(1), active, related, kNow);
  REQUIRE(plan.deletes.size() == 1);
  CHECK(plan.deletes[0]->metadata.name == "b");
}

TEST_CASE("replica set status counts labels, readiness and availability") {
  ReplicaSet set = set_of(4);
  set.spec.minReadySeconds = 30;
  Pod odd = running("b");
  odd.metadata.labels.erase("tier");
  Pod fresh = running("c", "n1", Seconds{10});
  Pod unready = running("d");
  unready.status.conditions[0].status = "False";
  const auto status = plan_status(set, pointers({running("a"), odd, fresh, unready}), {}, kNow);
  CHECK(status.replicas == 4);
  CHECK(status.fullyLabeledReplicas == 3);
  CHECK(status.readyReplicas == 3);
  CHECK(status.availableReplicas == 2);
  CHECK(status.observedGeneration == 3);
  CHECK(available_in(fresh, Seconds{30}, kNow) == Micros(Seconds{20}));
  CHECK_FALSE(available_in(unready, Seconds{30}, kNow));
}

TEST_CASE("replica set status: a failure appears once, stays as it was and goes") {
  ReplicaSet set = set_of(1);
  set.status = plan_status(set, {}, {"FailedCreate", "quota: used 5"}, kNow);
  REQUIRE(set.status.conditions.size() == 1);
  CHECK(set.status.conditions[0].type == "ReplicaFailure");
  CHECK(set.status.conditions[0].reason == "FailedCreate");
  const auto again = plan_status(set, {}, {"FailedCreate", "quota: used 6"}, kNow + Seconds{9});
  CHECK(api::equal(again, set.status));
  CHECK(plan_status(set, {}, {}, kNow).conditions.empty());
}

TEST_CASE("adoption and release name the uid and replace the list of owners") {
  Pod pod = running("a");
  pod.metadata.uid = "pod-uid";
  auto& other = pod.metadata.ownerReferences.emplace_back();
  other.kind = "Thing";
  other.uid = "thing-uid";
  ReplicaSet set = set_of(1);
  set.metadata.uid = "set-uid";
  const std::string adopted = adopt_patch(pod, set);
  CHECK(adopted.find(R"("uid":"pod-uid")") != std::string::npos);
  CHECK(adopted.find("thing-uid") != std::string::npos);
  CHECK(adopted.find("set-uid") != std::string::npos);
  pod.metadata.ownerReferences.push_back(make_controller_ref(set));
  CHECK(is_controlled_by(pod, set));
  const std::string released = release_patch(pod, set);
  CHECK(released.find("thing-uid") != std::string::npos);
  CHECK(released.find("set-uid") == std::string::npos);
}

}  // namespace
}  // namespace orch::server
