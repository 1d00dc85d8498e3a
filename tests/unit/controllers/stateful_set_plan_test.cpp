#include <catch2/catch.hpp>

#include "server/controllers/controller_revisions.h"
#include "server/controllers/stateful_set.h"

namespace orch::server {
namespace {

using api::appsv1::ControllerRevision;
using api::appsv1::StatefulSet;
using api::corev1::PersistentVolumeClaim;
using api::corev1::Pod;
using Kind = StatefulSetStep::Kind;

// A set and its pods without a cluster: plans are applied to values, pods change when the test
// says.
struct Ordinals {
  StatefulSet set;
  std::map<std::string, Pod> pods;
  std::map<std::string, PersistentVolumeClaim> claims;
  std::string current = "web-1", update = "web-1";
  WallTime now{Seconds{1'700'000'000}};
  int uids = 0;

  explicit Ordinals(int32_t replicas = 3) {
    set.metadata.name = "web";
    set.metadata.namespace_ = "default";
    set.metadata.uid = "uid-web";
    set.spec.replicas = replicas;
    set.spec.serviceName = "svc";
    set.spec.podManagementPolicy = "OrderedReady";
    set.spec.updateStrategy.type = "RollingUpdate";
    set.spec.updateStrategy.rollingUpdate.ensure().partition = 0;
    set.spec.selector.ensure().matchLabels = {{"app", "web"}};
    set.spec.template_.metadata.labels = {{"app", "web"}};
    set.spec.template_.spec.containers.emplace_back().name = "c";
  }
  void with_claims(const std::string& when_deleted, const std::string& when_scaled) {
    set.spec.volumeClaimTemplates.emplace_back().metadata.name = "data";
    auto& policy = set.spec.persistentVolumeClaimRetentionPolicy.ensure();
    policy.whenDeleted = when_deleted;
    policy.whenScaled = when_scaled;
  }
  auto& rolling() { return *set.spec.updateStrategy.rollingUpdate; }

  StatefulSetPlan plan() const {
    StatefulSetInput input{set,
                           {},
                           [this](const std::string& name) -> ClaimPtr {
                             auto it = claims.find(name);
                             if (it == claims.end()) return nullptr;
                             return std::make_shared<const PersistentVolumeClaim>(it->second);
                           },
                           current,
                           update,
                           set.spec.template_,
                           0,
                           now};
    for (const auto& [name, pod] : pods) input.pods.push_back(std::make_shared<const Pod>(pod));
    return plan_stateful_set(input);
  }
  // What the shell does; "+name" created, "-name" deleted, "~name" changed, in order.
  std::string step() {
    const auto planned = plan();
    std::string out;
    for (const auto& step : planned.steps) {
      const bool is_claim = step.kind == Kind::kCreateClaim || step.kind == Kind::kUpdateClaim;
      const std::string& name = is_claim ? step.claim.metadata.name : step.pod.metadata.name;
      char sign = '~';
      if (step.kind == Kind::kCreateClaim || step.kind == Kind::kCreatePod) sign = '+';
      if (step.kind == Kind::kDeletePod) sign = '-';
      if (step.kind == Kind::kFail) sign = '!';
      out += (out.empty() ? "" : " ") + (sign + name);
      if (is_claim) claims[name] = step.claim;
      if (step.kind == Kind::kCreatePod || step.kind == Kind::kUpdatePod) pods[name] = step.pod;
      if (step.kind == Kind::kCreatePod) {
        pods[name].metadata.uid = "pod-" + std::to_string(++uids);
        pods[name].status.phase = "Pending";
      }
      if (step.kind == Kind::kDeletePod) pods[name].metadata.deletionTimestamp = api::Time(now);
    }
    set.status = planned.status;
    return out;
  }
  void run(const std::string& name) {
    auto& status = pods.at(name).status;
    status.phase = "Running";
    status.conditions.resize(1);
    status.conditions[0].type = "Ready";
    status.conditions[0].status = "True";
    status.conditions[0].lastTransitionTime = api::Time(now);
  }
  void fail(const std::string& name) { pods.at(name).status.conditions[0].status = "False"; }
  void gone(const std::string& name) { pods.erase(name); }
  // Steps and runs until all is quiet; every pod that goes is gone at once.
  void settle() {
    for (int i = 0; i < 100; ++i) {
      const bool quiet = step().empty();
      std::erase_if(pods, [](const auto& p) { return p.second.metadata.deletionTimestamp; });
      for (auto& [name, pod] : pods) run(name);
      if (quiet && current == set.status.currentRevision && step().empty()) return;
      current = set.status.currentRevision;
    }
    FAIL("no fixpoint");
  }
  void new_template() { update = "web-2"; }
  std::string revisions() const {
    std::string out;
    for (const auto& [name, pod] : pods) out += pod.metadata.labels.at(kRevisionHashLabel) + " ";
    return out;
  }
};

TEST_CASE("ordered: one after the other, each waits for the one before") {
  Ordinals s;
  CHECK(s.step() == "+web-0");
  CHECK(s.step().empty());
  s.pods.at("web-0").status.phase = "Running";
  CHECK(s.step().empty());
  s.run("web-0");
  CHECK(s.step() == "+web-1");
  s.run("web-1");
  // One before it fails again: nothing goes on.
  s.fail("web-0");
  CHECK(s.step().empty());
  s.run("web-0");
  CHECK(s.step() == "+web-2");
  s.run("web-2");
  CHECK(s.step().empty());
  CHECK(s.set.status.readyReplicas == 3);
  CHECK(s.set.status.currentReplicas == 3);

  const Pod& pod = s.pods.at("web-2");
  CHECK(pod.metadata.labels.at("statefulset.kubernetes.io/pod-name") == "web-2");
  CHECK(pod.metadata.labels.at("apps.kubernetes.io/pod-index") == "2");
  CHECK(pod.spec.hostname == "web-2");
  CHECK(pod.spec.subdomain == "svc");
}

TEST_CASE("ordered: scaled down from the top, one at a time") {
  Ordinals s(4);
  s.settle();
  s.set.spec.replicas = 1;
  CHECK(s.step() == "-web-3");
  CHECK(s.step().empty());
  s.gone("web-3");
  // Another one is not ready: it must be, before the next goes.
  s.fail("web-0");
  CHECK(s.step().empty());
  s.run("web-0");
  // The one that is to go may go unhealthy.
  s.fail("web-2");
  CHECK(s.step() == "-web-2");
  s.gone("web-2");
  CHECK(s.step() == "-web-1");
}

TEST_CASE("parallel: all at once, up and down") {
  Ordinals s(3);
  s.set.spec.podManagementPolicy = "Parallel";
  CHECK(s.step() == "+web-0 +web-1 +web-2");
  CHECK(s.step().empty());
  s.set.spec.replicas = 1;
  CHECK(s.step() == "-web-2 -web-1");
  CHECK(s.step().empty());
}

TEST_CASE("a huge set is built in rounds of bounded size") {
  Ordinals s(INT32_MAX);
  s.set.spec.podManagementPolicy = "Parallel";
  CHECK(s.plan().steps.size() == 500);
  s.set.spec.podManagementPolicy = "OrderedReady";
  CHECK(s.plan().steps.size() == 1);
  s.set.spec.ordinals.ensure().start = INT32_MAX;
  CHECK(s.plan().steps.at(0).pod.metadata.name == "web-2147483647");
}

TEST_CASE("ordinals begin where they are told to") {
  Ordinals s(2);
  s.settle();
  s.set.spec.ordinals.ensure().start = 1;
  // First what is missing, then what is out of range.
  CHECK(s.step() == "+web-2");
  s.run("web-2");
  CHECK(s.step() == "-web-0");
}

TEST_CASE("a pod that failed or ended is replaced once it is gone") {
  Ordinals s(2);
  s.settle();
  s.pods.at("web-0").status.phase = "Failed";
  const auto plan = s.plan();
  REQUIRE(plan.steps.size() == 1);
  CHECK(plan.steps[0].note == "Failed");
  CHECK(s.step() == "-web-0");
  CHECK(s.step().empty());
  s.gone("web-0");
  CHECK(s.step() == "+web-0");
}

TEST_CASE("a pod being deleted is never replaced before it is gone") {
  for (const char* policy : {"OrderedReady", "Parallel"}) {
    Ordinals s(2);
    s.set.spec.podManagementPolicy = policy;
    s.settle();
    s.pods.at("web-0").metadata.deletionTimestamp = api::Time(s.now);
    CHECK(s.step().empty());
    s.pods.at("web-0").status.phase = "Failed";
    CHECK(s.step().empty());
    s.gone("web-0");
    CHECK(s.step() == "+web-0");
  }
}

TEST_CASE("rolling update: from the top, one at a time, waiting for health") {
  Ordinals s(3);
  s.settle();
  s.new_template();
  CHECK(s.step() == "-web-2");
  CHECK(s.set.status.currentReplicas == 2);
  CHECK(s.step().empty());
  s.gone("web-2");
  CHECK(s.step() == "+web-2");
  CHECK(s.step().empty());
  s.run("web-2");
  CHECK(s.step() == "-web-1");
  s.settle();
  CHECK(s.revisions() == "web-2 web-2 web-2 ");
  CHECK(s.set.status.currentRevision == "web-2");
  CHECK(s.set.status.updatedReplicas == 3);
  CHECK(s.set.status.currentReplicas == 3);
}

TEST_CASE("rolling update: pods below the partition stay, and come back as they were") {
  Ordinals s(3);
  s.settle();
  s.rolling().partition = 2;
  s.new_template();
  s.settle();
  CHECK(s.revisions() == "web-1 web-1 web-2 ");
  CHECK(s.set.status.currentRevision == "web-1");
  CHECK(s.set.status.updatedReplicas == 1);
  s.gone("web-0");
  s.settle();
  CHECK(s.revisions() == "web-1 web-1 web-2 ");
  s.rolling().partition = 0;
  s.settle();
  CHECK(s.revisions() == "web-2 web-2 web-2 ");
  CHECK(s.set.status.currentRevision == "web-2");
}

TEST_CASE("rolling update: maxUnavailable pods at once, what is unhealthy counts") {
  Ordinals s(5);
  s.set.spec.podManagementPolicy = "Parallel";
  s.settle();
  s.rolling().maxUnavailable = api::IntOrString(std::string("50%"));
  s.new_template();
  s.fail("web-0");
  CHECK(s.step() == "-web-4");
  s.run("web-0");
  CHECK(s.step() == "-web-3");
  CHECK(s.step().empty());
}

TEST_CASE("OnDelete: nothing goes by itself, what is made is new") {
  Ordinals s(2);
  s.settle();
  s.set.spec.updateStrategy.type = "OnDelete";
  s.set.spec.updateStrategy.rollingUpdate.reset();
  s.new_template();
  CHECK(s.step().empty());
  s.gone("web-0");
  CHECK(s.step() == "+web-0");
  CHECK(s.pods.at("web-0").metadata.labels.at(kRevisionHashLabel) == "web-2");
  CHECK(s.set.status.currentRevision == "web-1");
}

TEST_CASE("minReadySeconds: a pod that is ready is not available yet") {
  Ordinals s(2);
  s.set.spec.minReadySeconds = 10;
  CHECK(s.step() == "+web-0");
  s.run("web-0");
  CHECK(s.step().empty());
  CHECK(s.set.status.readyReplicas == 1);
  CHECK(s.set.status.availableReplicas == 0);
  CHECK(s.plan().look_again == Micros(Seconds{10}));
  s.now += Seconds{10};
  CHECK(s.step() == "+web-1");
}

TEST_CASE("claims are made before their pod, and kept") {
  Ordinals s(1);
  s.with_claims("Retain", "Retain");
  CHECK(s.step() == "+data-web-0 +web-0");
  CHECK(s.claims.at("data-web-0").metadata.labels.at("app") == "web");
  CHECK(s.claims.at("data-web-0").metadata.ownerReferences.empty());
  const auto& volume = s.pods.at("web-0").spec.volumes.at(0);
  CHECK(volume.name == "data");
  CHECK(volume.persistentVolumeClaim->claimName == "data-web-0");
  // Lost while the pod waits for it: made again.
  s.claims.clear();
  CHECK(s.step() == "+data-web-0");
  s.settle();
  s.set.spec.replicas = 0;
  CHECK(s.step() == "-web-0");
  CHECK(s.claims.count("data-web-0") == 1);
  // A claim that is going is waited for.
  s.gone("web-0");
  s.claims.at("data-web-0").metadata.deletionTimestamp = api::Time(s.now);
  s.set.spec.replicas = 1;
  CHECK(s.step() == "!web-0");
  CHECK(s.plan().steps[0].note == "pvc data-web-0 is being deleted");
}

TEST_CASE("claims are owned as the retention policy says") {
  const auto owner = [](Ordinals& s, const std::string& name) -> std::string {
    const auto& owners = s.claims.at(name).metadata.ownerReferences;
    if (owners.empty()) return "";
    CHECK(owners.size() == 1);
    CHECK(owners[0].controller.value_or(false));
    return owners[0].kind;
  };
  Ordinals s(2);
  s.with_claims("Delete", "Delete");
  s.settle();
  CHECK(owner(s, "data-web-0") == "StatefulSet");
  auto& policy = *s.set.spec.persistentVolumeClaimRetentionPolicy;
  policy.whenDeleted = "Retain";
  CHECK(s.step() == "~data-web-0 ~data-web-1");
  CHECK(owner(s, "data-web-0").empty());
  // Scaled away: the claim goes with its pod.
  s.set.spec.replicas = 1;
  CHECK(s.step() == "~data-web-1 -web-1");
  CHECK(owner(s, "data-web-1") == "Pod");
  CHECK(owner(s, "data-web-0").empty());
  // Scaled up before that claim is gone: the new pod waits for its end.
  s.gone("web-1");
  s.set.spec.replicas = 2;
  CHECK(s.step().empty());
  s.claims.erase("data-web-1");
  CHECK(s.step() == "+data-web-1 +web-1");
  s.run("web-1");
  // Somebody else's stays somebody else's.
  auto& foreign = s.claims.at("data-web-0").metadata.ownerReferences.emplace_back();
  foreign.kind = "Backup";
  foreign.uid = "b";
  foreign.controller = true;
  policy.whenDeleted = "Delete";
  CHECK(s.step() == "~data-web-1");
}

TEST_CASE("an adopted pod gets the labels of its ordinal") {
  Ordinals s(1);
  s.settle();
  s.pods.at("web-0").metadata.labels.erase(kPodNameLabel);
  CHECK(s.step() == "~web-0");
  CHECK(s.pods.at("web-0").metadata.labels.at(kPodNameLabel) == "web-0");
  CHECK(s.step().empty());
}

TEST_CASE("a set that is being deleted only counts") {
  Ordinals s(2);
  s.settle();
  s.set.metadata.deletionTimestamp = api::Time(s.now);
  s.gone("web-1");
  CHECK(s.step().empty());
  CHECK(s.set.status.replicas == 1);
}

TEST_CASE("names that are a set's, and names that are not") {
  Ordinals s;
  CHECK(ordinal_of(s.set, "web-0") == 0);
  CHECK(ordinal_of(s.set, "web-12") == 12);
  for (const char* name : {"web", "web-", "web-x", "web-01", "web--1", "web-1-1", "webs-1",
                           "web-99999999999", "web-+1"}) {
    INFO(name);
    CHECK(!ordinal_of(s.set, name));
  }
}

TEST_CASE("revisions: found, taken back with a new number, made") {
  const auto revision = [](const std::string& name, int64_t number, const std::string& data) {
    ControllerRevision out;
    out.metadata.name = name;
    out.revision = number;
    out.data.text = data;
    return std::make_shared<const ControllerRevision>(out);
  };
  const std::vector<RevisionPtr> all = {revision("b", 2, "B"), revision("a", 1, "A")};
  CHECK(plan_revisions({}, "A").revision == 1);
  CHECK(plan_revisions({}, "A").same == nullptr);
  auto newest = plan_revisions(all, "B");
  CHECK(newest.same->metadata.name == "b");
  CHECK(newest.revision == 2);
  auto back = plan_revisions(all, "A");
  CHECK(back.same->metadata.name == "a");
  CHECK(back.revision == 3);
  CHECK(plan_revisions(all, "C").revision == 3);

  CHECK(plan_history(all, {}, 2).empty());
  CHECK(plan_history(all, {"b"}, 1).empty());
  REQUIRE(plan_history(all, {}, 1).size() == 1);
  CHECK(plan_history(all, {}, 1)[0]->metadata.name == "a");
  CHECK(plan_history(all, {"a"}, 0).size() == 1);

  CHECK(revision_hash("A", 0) != revision_hash("A", 1));
  Ordinals s;
  ControllerRevision stored;
  stored.data.text = template_patch(s.set.spec.template_);
  CHECK(stored.data.text.starts_with(R"({"spec":{"template":{"$patch":"replace","metadata":)"));
  // Keys in order all the way down, as kubectl makes it: it looks for these bytes.
  api::corev1::PodTemplateSpec small;
  small.spec.containers.emplace_back().name = "c";
  small.spec.containers[0].image = "a&b";
  small.spec.restartPolicy = "Always";
  CHECK(
      template_patch(small) ==
      R"({"spec":{"template":{"$patch":"replace","metadata":{"creationTimestamp":null},"spec":{)"
      R"("containers":[{"image":"a\u0026b","name":"c","resources":{}}],"restartPolicy":"Always"}}}})");
  auto written_otherwise = std::make_shared<ControllerRevision>();
  written_otherwise->revision = 7;
  written_otherwise->data.text =
      R"({"spec":{"template":{"spec":{"restartPolicy":"Always","containers":[{"resources":{},)"
      R"("name":"c","image":"a&b"}]},"metadata":{"creationTimestamp":null},"$patch":"replace"}}})";
  CHECK(plan_revisions({written_otherwise}, template_patch(small)).same == written_otherwise);
  const auto restored = template_of(stored);
  REQUIRE(restored);
  CHECK(api::equal(*restored, s.set.spec.template_));
}

}  // namespace
}  // namespace orch::server
