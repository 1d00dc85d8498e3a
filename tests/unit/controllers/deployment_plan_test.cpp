#include <set>

#include "unit/controllers/rollout.h"

namespace orch::server {
namespace {

using test::IntOrString;
using test::Rollout;

IntOrString percent(const char* text) { return IntOrString(std::string(text)); }

TEST_CASE("deployment plan: maxSurge rounds up, maxUnavailable down, never both 0") {
  struct Case {
    IntOrString surge, unavailable;
    int32_t replicas, want_surge, want_unavailable;
  };
  for (const auto& c :
       {Case{percent("25%"), percent("25%"), 4, 1, 1},
        Case{percent("25%"), percent("25%"), 10, 3, 2},
        Case{percent("25%"), percent("25%"), 1, 1, 0}, Case{0, percent("25%"), 1, 0, 1},
        Case{0, 5, 3, 0, 3}, Case{percent("200%"), 0, 2, 4, 0}, Case{1, 0, 3, 1, 0},
        Case{0, 0, 3, 0, 1}}) {
    Rollout r(c.replicas, c.surge, c.unavailable);
    INFO(c.surge.str() << " " << c.unavailable.str() << " of " << c.replicas);
    CHECK(rolling_limits(r.deployment).surge == c.want_surge);
    CHECK(rolling_limits(r.deployment).unavailable == c.want_unavailable);
  }
  Rollout recreate;
  recreate.deployment.spec.strategy.type = "Recreate";
  CHECK(rolling_limits(recreate.deployment).surge == 0);
  CHECK(rolling_limits(recreate.deployment).unavailable == 0);
}

TEST_CASE("deployment plan: the first set is made whole, named and labelled by its hash") {
  Rollout r;
  r.deployment.metadata.annotations = {{"team", "a"},
                                       {"kubectl.kubernetes.io/last-applied-configuration", "{}"}};
  const auto plan = r.plan();
  REQUIRE(plan.create);
  const auto& set = *plan.create;
  const std::string hash = template_hash(r.deployment.spec.template_, std::nullopt);
  CHECK(set.metadata.name == "web-" + hash);
  CHECK(set.metadata.labels.at(kTemplateHash) == hash);
  CHECK(set.spec.selector->matchLabels.at(kTemplateHash) == hash);
  CHECK(set.spec.template_.metadata.labels.at(kTemplateHash) == hash);
  CHECK(*set.spec.replicas == 4);
  CHECK(set.metadata.ownerReferences[0].uid == "uid-web");
  CHECK(set.metadata.ownerReferences[0].kind == "Deployment");
  CHECK(*set.metadata.ownerReferences[0].controller);
  CHECK(set.metadata.annotations ==
        std::map<std::string, std::string>{
            {"team", "a"}, {kRevision, "1"}, {kDesiredReplicas, "4"}, {kMaxReplicas, "5"}});
  CHECK(plan.revision == "1");
  CHECK(template_hash(r.deployment.spec.template_, 1) != hash);
}

TEST_CASE("deployment plan: a rollout ends with the new set alone and writes nothing more") {
  Rollout r;
  r.settle();
  CHECK(r.size("v1") == 4);
  CHECK(r.deployment.status.observedGeneration == r.deployment.metadata.generation);
  CHECK(r.condition("Available") ==
        "True MinimumReplicasAvailable: Deployment has minimum availability.");
  CHECK(r.condition("Progressing") == "True NewReplicaSetAvailable: ReplicaSet \"" +
                                          r.of("v1").metadata.name +
                                          "\" has successfully progressed.");
  r.image("v2");
  r.settle("", /*check_limits=*/true);
  CHECK(r.size("v1") == 0);
  CHECK(r.size("v2") == 4);
  CHECK(r.of("v2").metadata.annotations.at(kRevision) == "2");
  CHECK(r.deployment.metadata.annotations.at(kRevision) == "2");
  CHECK_FALSE(r.apply(r.plan()));
}

TEST_CASE("deployment plan: the limits hold at every step, whatever they are") {
  for (const auto& [surge, unavailable] :
       std::vector<std::pair<IntOrString, IntOrString>>{{1, 0},
                                                        {0, 1},
                                                        {percent("25%"), percent("25%")},
                                                        {percent("100%"), 0},
                                                        {0, percent("100%")},
                                                        {0, 0},
                                                        {3, 2}}) {
    for (const int32_t replicas : {1, 2, 5, 10}) {
      INFO(surge.str() << "/" << unavailable.str() << " of " << replicas);
      Rollout r(replicas, surge, unavailable);
      r.settle();
      r.image("v2");
      r.settle("", true);
      CHECK(r.size("v1") == 0);
      CHECK(r.size("v2") == replicas);
    }
  }
}

TEST_CASE("deployment plan: a broken image stops the rollout at the limits") {
  Rollout r(4, 1, 1);
  r.settle();
  r.image("bad");
  r.settle("bad", true);
  CHECK(r.size("v1") == 3);
  CHECK(r.size("bad") == 2);
  CHECK(r.condition("Available").starts_with("True MinimumReplicasAvailable"));
  // Its pods are the first to go when the image is corrected.
  r.image("v3");
  r.settle("bad", true);
  CHECK(r.size("bad") == 0);
  CHECK(r.size("v1") == 0);
  CHECK(r.size("v3") == 4);
}

TEST_CASE("deployment plan: going back reuses the old set under a new revision") {
  Rollout r;
  r.settle();
  r.image("v2");
  r.settle();
  r.image("v1");
  r.settle("", true);
  CHECK(r.sets.size() == 2);
  CHECK(r.size("v1") == 4);
  CHECK(r.of("v1").metadata.annotations.at(kRevision) == "3");
  CHECK(r.of("v1").metadata.annotations.at(kRevisionHistory) == "1");
  CHECK(r.of("v2").metadata.annotations.at(kRevision) == "2");
  CHECK(r.deployment.metadata.annotations.at(kRevision) == "3");
  CHECK(r.condition("Progressing").starts_with("True NewReplicaSetAvailable"));
}

TEST_CASE("deployment plan: the list of a set's revisions stays short, the oldest go") {
  Rollout r;
  r.settle();
  r.image("v2");
  r.settle();
  std::string& history = r.of("v1").metadata.annotations[kRevisionHistory];
  for (int i = 100; history.size() < 1999; ++i)
    history += (i == 100 ? "" : ",") + std::to_string(i);
  history.resize(1999);
  r.image("v1");
  r.settle();
  const std::string& kept = r.of("v1").metadata.annotations.at(kRevisionHistory);
  CHECK(kept.size() <= 2000);
  CHECK(kept.starts_with("101,"));
  CHECK(kept.ends_with(",1"));
}

TEST_CASE("deployment plan: Recreate waits for the old pods") {
  Rollout r;
  r.deployment.spec.strategy.type = "Recreate";
  r.deployment.spec.strategy.rollingUpdate.reset();
  r.settle();
  CHECK(r.size("v1") == 4);
  r.image("v2");
  const std::string old = r.of("v1").metadata.uid;
  r.running[old] = true;
  r.settle();
  CHECK(r.sets.size() == 1);
  CHECK(r.size("v1") == 0);
  r.running[old] = false;
  r.settle();
  CHECK(r.size("v2") == 4);
}

TEST_CASE("deployment plan: Recreate ends several old sets, whatever size they were made for") {
  Rollout r;
  r.settle();
  r.image("v2");
  r.settle("v2");  // stuck half way
  REQUIRE(r.size("v1") > 0);
  REQUIRE(r.size("v2") > 0);
  r.deployment.spec.strategy.type = "Recreate";
  r.deployment.spec.strategy.rollingUpdate.reset();
  r.resize(3);
  r.image("v3");
  r.deployment.spec.paused = true;
  const int32_t before = r.size("v1");
  r.settle();
  CHECK(r.size("v1") == before);
  r.deployment.spec.paused = false;
  r.settle();
  CHECK(r.size("v1") == 0);
  CHECK(r.size("v2") == 0);
  CHECK(r.size("v3") == 3);
}

TEST_CASE("deployment plan: paused, nothing rolls but scaling goes on; resumed, it rolls") {
  Rollout r;
  r.settle();
  r.deployment.spec.paused = true;
  r.image("v2");
  r.settle();
  CHECK(r.sets.size() == 1);
  CHECK(r.condition("Progressing") == "Unknown DeploymentPaused: Deployment is paused");
  r.resize(6);
  r.settle();
  CHECK(r.size("v1") == 6);
  r.deployment.spec.paused = false;
  r.apply(r.plan());
  CHECK(r.condition("Progressing") == "Unknown DeploymentResumed: Deployment is resumed");
  r.settle();
  CHECK(r.size("v2") == 6);
  CHECK(r.condition("Progressing").starts_with("True NewReplicaSetAvailable"));
}

TEST_CASE("deployment plan: scaling in the middle of a rollout is shared out") {
  Rollout r(10, 3, 2);
  r.settle();
  r.image("v2");
  r.settle("v2");  // v2 never gets ready: 8 old, 5 new
  REQUIRE(r.size("v1") == 8);
  REQUIRE(r.size("v2") == 5);
  r.resize(15);  // 18 allowed: 5 more, 3 of them to the larger set
  r.apply(r.plan());
  CHECK(r.size("v1") == 11);
  CHECK(r.size("v2") == 7);
  CHECK(r.of("v1").metadata.annotations.at(kDesiredReplicas) == "15");
  CHECK(r.of("v1").metadata.annotations.at(kMaxReplicas) == "18");
  r.resize(0);
  r.settle("v2");
  CHECK(r.size("v1") == 0);
  CHECK(r.size("v2") == 0);
}

TEST_CASE("deployment plan: scaling a settled one is no rollout") {
  Rollout r;
  r.settle();
  const std::string before = r.condition("Progressing");
  r.resize(7);
  r.settle();
  CHECK(r.size("v1") == 7);
  CHECK(r.condition("Progressing") == before);
  r.resize(2);
  r.settle();
  CHECK(r.size("v1") == 2);
}

TEST_CASE("deployment plan: what happens to pods later does not undo a finished rollout") {
  Rollout r;
  r.settle();
  r.pods_follow("v1");  // all of them fail
  r.apply(r.plan());
  CHECK(r.condition("Progressing").starts_with("True NewReplicaSetAvailable"));
  CHECK(r.condition("Available") ==
        "False MinimumReplicasUnavailable: Deployment does not have minimum availability.");
  CHECK(r.deployment.status.unavailableReplicas == 4);
  r.now += Seconds{7200};
  CHECK_FALSE(r.apply(r.plan()));
}

TEST_CASE("deployment plan: progress deadline") {
  Rollout r;
  auto first = r.plan();
  CHECK(first.look_again == Micros(Seconds{601}));
  r.apply(first);
  CHECK(r.condition("Progressing") ==
        "True NewReplicaSetCreated: Created new replica set \"" + r.sets[0].metadata.name + "\"");
  r.settle("v1");
  r.now += Seconds{600};
  auto waiting = r.plan();
  CHECK(waiting.look_again == Micros(Seconds{1}));
  CHECK_FALSE(r.apply(waiting));
  r.now += Seconds{1};
  const auto late = r.plan();
  CHECK_FALSE(late.look_again);
  CHECK(r.apply(late));
  CHECK(r.condition("Progressing") == "False ProgressDeadlineExceeded: ReplicaSet \"" +
                                          r.sets[0].metadata.name +
                                          "\" has timed out progressing.");
  CHECK_FALSE(r.apply(r.plan()));
  // Progress after all takes it back.
  r.pods_follow();
  r.settle();
  CHECK(r.condition("Progressing").starts_with("True NewReplicaSetAvailable"));

  Rollout none;
  none.deployment.spec.progressDeadlineSeconds = INT32_MAX;
  none.settle();
  CHECK(none.condition("Progressing").empty());
}

TEST_CASE("deployment plan: old sets beyond the history limit go, the oldest first") {
  Rollout r;
  r.deployment.spec.revisionHistoryLimit = 1;
  for (const char* image : {"v1", "v2", "v3", "v4"}) {
    r.image(image);
    r.settle();
  }
  std::set<std::string> left;
  for (const auto& set : r.sets) left.insert(set.spec.template_.spec.containers[0].image);
  CHECK(left == std::set<std::string>{"v3", "v4"});

  // A set that is going already does not push out another.
  r.deployment.spec.revisionHistoryLimit = 10;
  r.image("v5");
  r.settle();
  r.of("v3").metadata.deletionTimestamp = r.now;
  r.deployment.spec.revisionHistoryLimit = 1;
  CHECK(r.plan().cleanup.empty());
  r.deployment.spec.revisionHistoryLimit = 0;
  const auto plan = r.plan();
  REQUIRE(plan.cleanup.size() == 1);
  CHECK(plan.cleanup[0]->metadata.uid == r.of("v4").metadata.uid);
}

TEST_CASE("deployment plan: annotations and minReadySeconds reach the new set") {
  Rollout r;
  r.settle();
  r.deployment.metadata.annotations["team"] = "b";
  r.deployment.spec.minReadySeconds = 5;
  r.settle();
  CHECK(r.of("v1").metadata.annotations.at("team") == "b");
  CHECK(r.of("v1").spec.minReadySeconds == 5);
  CHECK(r.of("v1").metadata.annotations.at(kRevision) == "1");
}

TEST_CASE("deployment plan: a failing set shows as ReplicaFailure and disappears with it") {
  Rollout r;
  r.settle("v1");
  auto& failure = r.sets[0].status.conditions.emplace_back();
  failure.type = "ReplicaFailure";
  failure.status = "True";
  failure.reason = "FailedCreate";
  failure.message = "quota";
  failure.lastTransitionTime = r.now;
  r.settle("v1");
  CHECK(r.condition("ReplicaFailure") == "True FailedCreate: quota");
  r.sets[0].status.conditions.clear();
  r.settle("v1");
  CHECK(r.condition("ReplicaFailure").empty());
}

TEST_CASE("deployment plan: one that is being deleted is only reported on") {
  Rollout r;
  r.settle();
  r.image("v2");
  r.deployment.metadata.deletionTimestamp = r.now;
  const auto plan = r.plan();
  CHECK_FALSE(plan.create);
  CHECK(plan.scale.empty());
  CHECK(plan.cleanup.empty());
}

}  // namespace
}  // namespace orch::server
