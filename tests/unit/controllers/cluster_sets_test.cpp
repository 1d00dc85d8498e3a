// StatefulSets, DaemonSets, ReplicationControllers and PodDisruptionBudgets against the API server.
#include <fmt/format.h>

#include <set>

#include "orch/api/policyv1.h"
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;
using Names = std::vector<std::string>;

constexpr const char* kStatefulSets = "/apis/apps/v1/namespaces/default/statefulsets";
constexpr const char* kDaemonSets = "/apis/apps/v1/namespaces/default/daemonsets";
constexpr const char* kBudgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
constexpr const char* kClaims = "/api/v1/namespaces/default/persistentvolumeclaims";
constexpr const char* kMerge = "application/merge-patch+json";

std::string workload(const std::string& kind, const std::string& name, const std::string& more) {
  return R"({"apiVersion":"apps/v1","kind":")" + kind + R"(","metadata":{"name":")" + name +
         R"("},"spec":{"selector":{"matchLabels":{"app":")" + name +
         R"("}},"template":{"metadata":{"labels":{"app":")" + name +
         R"("}},"spec":{"containers":[{"name":"c","image":"v1"}]}})" + more + "}}";
}
void set_image(Cluster& c, const std::string& path, const std::string& image) {
  const auto answer = c.patch(
      path, "application/strategic-merge-patch+json",
      R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}}})");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  c.settle();
}
void must_patch(Cluster& c, const std::string& path, const std::string& body) {
  const auto answer = c.patch(path, kMerge, body);
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  c.settle();
}
Names pod_names(Cluster& c) {
  Names out;
  for (const auto& pod : c.pods()) out.push_back(pod->metadata.name);
  return out;
}
Names images(Cluster& c) {
  Names out;
  for (const auto& pod : c.pods()) out.push_back(pod->spec.containers[0].image);
  return out;
}
std::string revisions(Cluster& c) {
  std::set<int64_t> numbers;
  for (const auto& revision : c.all<appsv1::ControllerRevision>()) {
    numbers.insert(revision->revision);
  }
  std::string out;
  for (const int64_t number : numbers) out += std::to_string(number) + " ";
  return out;
}
void add_node(Cluster& c, const std::string& name, const std::string& spec = "{}") {
  c.must_post("/api/v1/nodes", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name +
                                   R"(","labels":{"on":")" + name + R"("}},"spec":)" + spec +
                                   R"(,"status":{"conditions":[{"type":"Ready","status":"True",)"
                                   R"("lastHeartbeatTime":"2024-01-01T00:00:00Z"}]}})");
}

TEST_CASE("a StatefulSet starts in order, rolls out from the top, goes back, keeps its history") {
  Cluster c;
  const std::string web = std::string(kStatefulSets) + "/web";
  c.must_post(kStatefulSets,
              workload("StatefulSet", "web",
                       R"(,"replicas":3,"serviceName":"svc","revisionHistoryLimit":1)"));
  c.settle();
  CHECK(pod_names(c) == Names{"web-0"});
  const auto pod = c.pods()[0];
  CHECK(pod->spec.hostname == "web-0");
  CHECK(pod->spec.subdomain == "svc");
  const std::string revision = pod->metadata.labels.at("controller-revision-hash");
  CHECK(revision.starts_with("web-"));
  c.run_pod(std::string(kPods) + "/web-0");
  c.settle();
  CHECK(pod_names(c) == Names{"web-0", "web-1"});
  c.agents_act();
  CHECK(pod_names(c) == Names{"web-0", "web-1", "web-2"});
  auto seen = c.get(web);
  INFO(seen.body);
  CHECK(seen.at("status.readyReplicas") == "3");
  CHECK(seen.at("status.availableReplicas") == "3");
  CHECK(seen.at("status.currentRevision") == revision);
  CHECK(seen.at("status.updateRevision") == revision);
  CHECK(seen.at("status.collisionCount") == "0");
  c.advance(Seconds{2});
  CHECK(c.events_of("web") ==
        Names{"SuccessfulCreate: create Pod web-0 in StatefulSet web successful",
              "SuccessfulCreate: create Pod web-1 in StatefulSet web successful",
              "SuccessfulCreate: create Pod web-2 in StatefulSet web successful"});
  c.check_quiet();

  must_patch(c, web, R"({"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}})");
  set_image(c, web, "v2");
  c.agents_act();
  CHECK(images(c) == Names{"v1", "v1", "v2"});
  CHECK(c.get(web).at("status.updatedReplicas") == "1");
  c.must_delete(std::string(kPods) + "/web-0");
  c.agents_act();
  CHECK(images(c) == Names{"v1", "v1", "v2"});
  must_patch(c, web, R"({"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}})");
  c.agents_act();
  CHECK(images(c) == Names{"v2", "v2", "v2"});
  CHECK(c.get(web).at("status.currentRevision") == c.get(web).at("status.updateRevision"));
  CHECK(revisions(c) == "1 2 ");

  // Back to the first template: its revision is taken up again under a new number.
  set_image(c, web, "v1");
  c.agents_act();
  CHECK(images(c) == Names{"v1", "v1", "v1"});
  CHECK(c.get(web).at("status.currentRevision") == revision);
  CHECK(c.all<appsv1::ControllerRevision>().size() == 2);
  set_image(c, web, "v3");
  c.agents_act();
  CHECK(c.all<appsv1::ControllerRevision>().size() == 2);  // current and one old
  c.check_quiet();

  must_patch(c, web + "/scale", R"({"spec":{"replicas":1}})");
  CHECK(c.pods().size() == 3);
  int going = 0;
  for (const auto& p : c.pods()) going += p->metadata.deletionTimestamp ? 1 : 0;
  CHECK(going == 1);
  c.agents_act();
  CHECK(pod_names(c) == Names{"web-0"});
  c.check_quiet();
}

TEST_CASE("a StatefulSet's claims are made, kept and deleted as its policy says") {
  Cluster c;
  const std::string web = std::string(kStatefulSets) + "/web";
  c.must_post(
      kStatefulSets,
      workload("StatefulSet", "web",
               R"(,"replicas":2,"serviceName":"svc","podManagementPolicy":"Parallel",)"
               R"("persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete",)"
               R"("whenDeleted":"Retain"},"volumeClaimTemplates":[{"metadata":{"name":"data"},)"
               R"("spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":)"
               R"({"storage":"1Gi"}}}}])"));
  c.agents_act();
  CHECK(pod_names(c) == Names{"web-0", "web-1"});
  CHECK(c.get(std::string(kClaims) + "/data-web-1").at("metadata.labels.app") == "web");
  c.check_quiet();
  must_patch(c, web + "/scale", R"({"spec":{"replicas":1}})");
  c.agents_act();
  CHECK(pod_names(c) == Names{"web-0"});
  CHECK(c.get(std::string(kClaims) + "/data-web-0").status == 200);
  CHECK(c.get(std::string(kClaims) + "/data-web-1").status == 404);
  must_patch(c, web + "/scale", R"({"spec":{"replicas":2}})");
  c.agents_act();
  CHECK(pod_names(c) == Names{"web-0", "web-1"});
  c.must_delete(web);
  c.agents_act();
  CHECK(c.pods().empty());
  CHECK(c.get(std::string(kClaims) + "/data-web-0").status == 200);
}

TEST_CASE("a pod of a StatefulSet that fails is made anew under its name") {
  Cluster c;
  c.must_post(kStatefulSets, workload("StatefulSet", "web", R"(,"replicas":1,"serviceName":"s")"));
  c.agents_act();
  const std::string uid = c.pods()[0]->metadata.uid;
  must_patch(c, std::string(kPods) + "/web-0/status", R"({"status":{"phase":"Failed"}})");
  c.agents_act();
  REQUIRE(c.pods().size() == 1);
  CHECK(c.pods()[0]->metadata.uid != uid);
  CHECK(c.pods()[0]->status.phase == "Running");
  c.advance(Seconds{2});
  const auto events = c.events_of("web");
  CHECK(std::count(events.begin(), events.end(),
                   "RecreatingFailedPod: StatefulSet default/web is recreating failed Pod web-0") ==
        1);
  c.check_quiet();
}

TEST_CASE("a DaemonSet runs a pod on every node that takes it, and follows the nodes") {
  Cluster c;
  add_node(c, "n1");
  add_node(c, "n2");
  add_node(c, "n3", R"({"taints":[{"key":"k","effect":"NoSchedule"}]})");
  const std::string ds = std::string(kDaemonSets) + "/ds";
  c.must_post(kDaemonSets, workload("DaemonSet", "ds", ""));
  c.settle();
  auto pods = c.pods();
  REQUIRE(pods.size() == 2);
  std::set<std::string> nodes;
  for (const auto& pod : pods) {
    CHECK(pod->metadata.name.starts_with("ds-"));
    CHECK(pod->spec.nodeName.empty());
    const auto& required =
        *pod->spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution;
    nodes.insert(required.nodeSelectorTerms.at(0).matchFields.at(0).values.at(0));
    CHECK(pod->spec.tolerations.size() == 6);
  }
  CHECK(nodes == std::set<std::string>{"n1", "n2"});
  const auto answer = c.get(ds);
  INFO(answer.body);
  CHECK(answer.at("status.desiredNumberScheduled") == "2");
  CHECK(answer.at("status.currentNumberScheduled") == "2");
  CHECK(answer.at("status.updatedNumberScheduled") == "2");
  CHECK(answer.at("status.numberUnavailable") == "2");
  CHECK(answer.at("status.observedGeneration") == "1");
  CHECK(revisions(c) == "1 ");
  c.check_quiet();

  must_patch(c, "/api/v1/nodes/n3", R"({"spec":{"taints":null}})");
  CHECK(c.pods().size() == 3);
  must_patch(c, ds, R"({"spec":{"template":{"spec":{"nodeSelector":{"on":"n2"}}}}})");
  c.settle();
  for (const auto& pod : c.pods()) {
    if (pod->metadata.deletionTimestamp) c.del(std::string(kPods) + "/" + pod->metadata.name);
  }
  c.settle();
  CHECK(c.pods().size() == 1);
  c.must_delete(ds);
  CHECK(c.pods().empty());
  CHECK(revisions(c).empty());
}

TEST_CASE("a DaemonSet's new template: one node at a time, or by surge, or on deletion") {
  Cluster c;
  for (const char* node : {"n1", "n2", "n3"}) add_node(c, node);
  const std::string ds = std::string(kDaemonSets) + "/ds";
  c.must_post(kDaemonSets, workload("DaemonSet", "ds", ""));
  c.settle();
  c.agents_act();
  CHECK(c.get(ds).at("status.numberAvailable") == "3");
  set_image(c, ds, "v2");
  int going = 0;
  for (const auto& pod : c.pods()) going += pod->metadata.deletionTimestamp ? 1 : 0;
  CHECK(going == 1);
  c.agents_act();
  CHECK(images(c) == Names{"v2", "v2", "v2"});
  CHECK(c.get(ds).at("status.updatedNumberScheduled") == "3");
  CHECK(revisions(c) == "1 2 ");

  must_patch(c, ds,
             R"({"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}}})");
  set_image(c, ds, "v3");
  CHECK(c.pods().size() == 4);
  for (const auto& pod : c.pods()) CHECK(!pod->metadata.deletionTimestamp);
  c.agents_act();
  CHECK(images(c) == Names{"v3", "v3", "v3"});

  must_patch(c, ds, R"({"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}})");
  set_image(c, ds, "v4");
  c.agents_act();
  CHECK(images(c) == Names{"v3", "v3", "v3"});
  c.must_delete(std::string(kPods) + "/" + c.pods()[0]->metadata.name);
  c.agents_act();
  const auto now = images(c);
  CHECK(std::count(now.begin(), now.end(), "v4") == 1);
  c.check_quiet();
}

TEST_CASE("daemon pods that fail are replaced, ever more slowly") {
  Cluster c;
  add_node(c, "n1");
  c.must_post(kDaemonSets, workload("DaemonSet", "ds", ""));
  c.settle();
  c.agents_act();
  const auto fail = [&] {
    const std::string path = std::string(kPods) + "/" + c.pods().at(0)->metadata.name;
    must_patch(c, path + "/status", R"({"status":{"phase":"Failed"}})");
  };
  const std::string first = c.pods()[0]->metadata.name;
  fail();
  c.agents_act();
  CHECK(c.pods()[0]->metadata.name != first);
  const std::string second = c.pods()[0]->metadata.name;
  fail();
  CHECK(!c.pods()[0]->metadata.deletionTimestamp);
  c.advance(Seconds{2});
  c.agents_act();
  CHECK(c.pods()[0]->metadata.name != second);
  const auto events = c.events_of("ds");
  CHECK(std::count(events.begin(), events.end(),
                   "FailedDaemonPod: Found failed daemon pod default/" + first +
                       " on node n1, will try to kill it") == 1);
}

TEST_CASE("a disruption budget counts the size of a Deployment that adopts pods' sets") {
  Cluster c;
  for (const char* name : {"a", "b"}) {
    c.must_post(kReplicaSets,
                fmt::format(R"({{"metadata":{{"name":"{0}","labels":{{"app":"web"}}}},"spec":{{)"
                            R"("replicas":2,"selector":{{"matchLabels":{{"set":"{0}"}}}},)"
                            R"("template":{{"metadata":{{"labels":{{"app":"web","set":"{0}"}}}},)"
                            R"("spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}}}}})",
                            name));
  }
  c.must_post(kBudgets, R"({"metadata":{"name":"b"},"spec":{"maxUnavailable":1,"selector":)"
                        R"({"matchLabels":{"app":"web"}}}})");
  c.settle();
  c.agents_act();
  CHECK(c.get(std::string(kBudgets) + "/b").at("status.expectedPods") == "4");
  // Paused, and not to roll: it leaves both sets as they are.
  c.must_post(kDeployments,
              R"({"metadata":{"name":"web"},"spec":{"replicas":6,"paused":true,"strategy":)"
              R"({"type":"Recreate"},"selector":{"matchLabels":{"app":"web"}},"template":)"
              R"({"metadata":{"labels":{"app":"web"}},"spec":{"containers":)"
              R"([{"name":"c","image":"other"}]}}}})");
  c.settle();
  CHECK(c.pods().size() == 4);
  CHECK(c.get(std::string(kBudgets) + "/b").at("status.expectedPods") == "6");
  c.check_quiet();
}

TEST_CASE("a ReplicationController keeps its pods") {
  Cluster c;
  const std::string controllers = "/api/v1/namespaces/default/replicationcontrollers";
  c.must_post(controllers,
              R"({"metadata":{"name":"rc"},"spec":{"replicas":2,"selector":{"app":"rc"},)"
              R"("template":{"metadata":{"labels":{"app":"rc"}},"spec":{"containers":)"
              R"([{"name":"c","image":"i"}]}}}})");
  c.settle();
  c.agents_act();
  REQUIRE(c.pods().size() == 2);
  CHECK(c.pods()[0]->metadata.ownerReferences.at(0).kind == "ReplicationController");
  CHECK(c.pods()[0]->metadata.ownerReferences.at(0).apiVersion == "v1");
  CHECK(c.get(controllers + "/rc").at("status.readyReplicas") == "2");
  must_patch(c, controllers + "/rc/scale", R"({"spec":{"replicas":1}})");
  c.agents_act();
  CHECK(c.pods().size() == 1);
  c.check_quiet();
}

TEST_CASE("a disruption budget lets go what may go, and is spent by evictions") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 3));
  c.settle();
  c.agents_act();
  c.must_post(kBudgets, R"({"metadata":{"name":"b"},"spec":{"maxUnavailable":1,"selector":)"
                        R"({"matchLabels":{"app":"web"}}}})");
  c.settle();
  const std::string b = std::string(kBudgets) + "/b";
  auto budget = c.get(b);
  INFO(budget.body);
  CHECK(budget.at("status.expectedPods") == "3");
  CHECK(budget.at("status.desiredHealthy") == "2");
  CHECK(budget.at("status.currentHealthy") == "3");
  CHECK(budget.at("status.disruptionsAllowed") == "1");
  CHECK(budget.at("status.observedGeneration") == "1");
  CHECK(budget.body.find(R"("type":"DisruptionAllowed")") != std::string::npos);
  CHECK(budget.body.find(R"("reason":"SufficientPods")") != std::string::npos);
  c.check_quiet();

  const auto evict = [&](const std::string& pod) {
    return c.post(
        std::string(kPods) + "/" + pod + "/eviction",
        R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":")" + pod + "\"}}");
  };
  const auto names = pod_names(c);
  CHECK(evict(names[0]).status == 201);
  const auto target = c.get(std::string(kPods) + "/" + names[0]);
  CHECK(target.body.find(R"("reason":"EvictionByEvictionAPI")") != std::string::npos);
  const auto refused = evict(names[1]);
  CHECK(refused.status == 429);
  CHECK(refused.body.find("The disruption budget b needs 2 healthy pods and has") !=
        std::string::npos);
  c.agents_act();
  CHECK(c.get(b).at("status.disruptionsAllowed") == "1");
  CHECK(evict(names[1]).status == 201);
  c.agents_act();
  CHECK(c.get(b).at("status.disruptedPods").empty());
  c.check_quiet();

  // A CronJob has no scale: the budget cannot be computed, so nothing may go.
  const std::string uid =
      c.must_post("/apis/batch/v1/namespaces/default/cronjobs",
                  R"({"metadata":{"name":"cron"},"spec":{"schedule":"0 0 1 1 *","jobTemplate":)"
                  R"({"spec":{"template":{"spec":{"restartPolicy":"Never","containers":)"
                  R"([{"name":"c","image":"i"}]}}}}}})")
          .at("metadata.uid");
  c.must_post(kPods, pod("odd", "",
                         R"(,"labels":{"app":"web"},"ownerReferences":[{"apiVersion":)"
                         R"("batch/v1","kind":"CronJob","name":"cron","uid":")" +
                             uid + R"(","controller":true}])"));
  c.settle();
  budget = c.get(b);
  CHECK(budget.at("status.disruptionsAllowed") == "0");
  CHECK(budget.body.find("cronjobs.batch does not implement the scale subresource") !=
        std::string::npos);
}

}  // namespace
}  // namespace orch::server
