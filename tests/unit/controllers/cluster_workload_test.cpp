#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;

const std::string kWeb = std::string(kDeployments) + "/web";

void scale(Cluster& c, int replicas) {
  const auto answer = c.patch(kWeb + "/scale", "application/merge-patch+json",
                              R"({"spec":{"replicas":)" + std::to_string(replicas) + "}}");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  c.settle();
}

void set_image(Cluster& c, const std::string& image) {
  const auto answer = c.patch(
      kWeb, "application/strategic-merge-patch+json",
      R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" + image + R"("}]}}}})");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  c.settle();
}

TEST_CASE("a Deployment makes a ReplicaSet makes Pods, then all is quiet") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 3));
  c.settle();
  const auto sets = c.all<appsv1::ReplicaSet>();
  REQUIRE(sets.size() == 1);
  CHECK(sets[0]->metadata.ownerReferences[0].name == "web");
  const auto pods = c.pods();
  REQUIRE(pods.size() == 3);
  for (const auto& pod : pods) {
    CHECK(pod->metadata.name.starts_with(sets[0]->metadata.name + "-"));
    CHECK(pod->metadata.ownerReferences[0].uid == sets[0]->metadata.uid);
    CHECK(pod->metadata.labels.at("pod-template-hash") ==
          sets[0]->metadata.labels.at("pod-template-hash"));
  }
  c.agents_act();
  c.advance(Seconds{2});
  const auto answer = c.get(kWeb);
  INFO(answer.body);
  CHECK(answer.at("status.readyReplicas") == "3");
  CHECK(answer.at("status.availableReplicas") == "3");
  CHECK(answer.at("status.observedGeneration") == answer.at("metadata.generation"));
  CHECK(answer.at("metadata.generation") == "1");
  CHECK(c.events_of("web") == std::vector<std::string>{"ScalingReplicaSet: Scaled up replica set " +
                                                       sets[0]->metadata.name + " from 0 to 3"});
  c.check_quiet();
}

TEST_CASE("scaling up and down; a pod deleted or relabelled is replaced, an orphan adopted") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 2));
  c.settle();
  c.agents_act();
  scale(c, 5);
  c.agents_act();
  CHECK(c.pods().size() == 5);
  scale(c, 1);
  c.agents_act();
  REQUIRE(c.pods().size() == 1);

  const std::string first = c.pods()[0]->metadata.name;
  c.must_delete(std::string(kPods) + "/" + first);
  c.agents_act();
  REQUIRE(c.pods().size() == 1);
  CHECK(c.pods()[0]->metadata.name != first);

  // Relabelled: released and replaced. Its labels back: adopted, one too many goes.
  const auto pod = c.pods()[0];
  const std::string path = std::string(kPods) + "/" + pod->metadata.name;
  c.patch(path, "application/merge-patch+json", R"({"metadata":{"labels":{"app":"other"}}})");
  c.settle();
  CHECK(c.pods().size() == 2);
  CHECK(c.get(path).at("metadata.ownerReferences").find("uid") == std::string::npos);
  c.patch(path, "application/merge-patch+json", R"({"metadata":{"labels":{"app":"web"}}})");
  c.settle();
  c.agents_act();
  CHECK(c.pods().size() == 1);
  c.check_quiet();
}

TEST_CASE("a new image rolls out, and back") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 4));
  c.settle();
  c.agents_act();
  set_image(c, "v2");
  for (int i = 0; i < 10; ++i) c.agents_act();
  for (const auto& pod : c.pods()) CHECK(pod->spec.containers[0].image == "v2");
  CHECK(c.pods().size() == 4);
  CHECK(c.all<appsv1::ReplicaSet>().size() == 2);
  CHECK(c.client.get<appsv1::Deployment>("default", "web")
            ->metadata.annotations.at("deployment.kubernetes.io/revision") == "2");
  set_image(c, "v1");
  for (int i = 0; i < 10; ++i) c.agents_act();
  for (const auto& pod : c.pods()) CHECK(pod->spec.containers[0].image == "v1");
  CHECK(c.all<appsv1::ReplicaSet>().size() == 2);
  CHECK(c.client.get<appsv1::Deployment>("default", "web")
            ->metadata.annotations.at("deployment.kubernetes.io/revision") == "3");
  c.check_quiet();
}

TEST_CASE("a set of the new set's name with another template is a collision, and got around") {
  Cluster c;
  // What the first hash will be is seen from a Deployment that is deleted again.
  c.must_post(kDeployments, deployment("web", 1));
  c.settle();
  const std::string name = c.all<appsv1::ReplicaSet>()[0]->metadata.name;
  c.must_delete(kWeb);
  c.agents_act();
  REQUIRE(c.all<appsv1::ReplicaSet>().empty());
  c.must_post(kReplicaSets, R"({"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":")" +
                                name +
                                R"("},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"x"}},)"
                                R"("template":{"metadata":{"labels":{"app":"x"}},"spec":)"
                                R"({"containers":[{"name":"c","image":"i"}]}}}})");
  c.must_post(kDeployments, deployment("web", 1));
  c.settle();
  CHECK(c.get(kWeb).at("status.collisionCount") == "1");
  CHECK(c.pods().size() == 1);
  c.check_quiet();
}

TEST_CASE("a set that nobody owns is adopted by the Deployment that selects it") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 1));
  c.settle();
  c.agents_act();
  c.must_post(kReplicaSets, R"({"metadata":{"name":"old","labels":{"app":"web"}},"spec":{)"
                            R"("replicas":0,"selector":{"matchLabels":{"app":"web","v":"0"}},)"
                            R"("template":{"metadata":{"labels":{"app":"web","v":"0"}},"spec":)"
                            R"({"containers":[{"name":"c","image":"v0"}]}}}})");
  c.settle();
  const auto old = c.client.get<appsv1::ReplicaSet>("default", "old");
  REQUIRE(old->metadata.ownerReferences.size() == 1);
  CHECK(old->metadata.ownerReferences[0].name == "web");
  c.check_quiet();
}

TEST_CASE("deleting a Deployment: background takes all, orphan leaves all, foreground waits") {
  Cluster c;
  c.must_post(kDeployments, deployment("web", 2));
  c.settle();
  c.agents_act();

  c.must_delete(kWeb, "Orphan");
  CHECK(c.get(kWeb).status == 404);
  auto sets = c.all<appsv1::ReplicaSet>();
  REQUIRE(sets.size() == 1);
  CHECK(sets[0]->metadata.ownerReferences.empty());
  CHECK(c.pods().size() == 2);

  // A Deployment of the same selector adopts it.
  c.must_post(kDeployments, deployment("web", 2));
  c.settle();
  sets = c.all<appsv1::ReplicaSet>();
  REQUIRE(sets.size() == 1);
  CHECK(sets[0]->metadata.ownerReferences.size() == 1);

  c.must_delete(kWeb, "Foreground");
  CHECK(c.get(kWeb).at("metadata.deletionTimestamp") != "");
  CHECK(c.all<appsv1::ReplicaSet>()[0]->metadata.deletionTimestamp);
  for (const auto& pod : c.pods()) CHECK(pod->metadata.deletionTimestamp);
  c.agents_act();
  CHECK(c.get(kWeb).status == 404);
  CHECK(c.all<appsv1::ReplicaSet>().empty());
  CHECK(c.pods().empty());

  c.must_post(kDeployments, deployment("web", 2));
  c.settle();
  c.must_delete(kWeb, "Background");
  c.agents_act();
  CHECK(c.all<appsv1::ReplicaSet>().empty());
  CHECK(c.pods().empty());
  c.check_quiet();
}

TEST_CASE("an object with a second owner that stays outlives the one that goes") {
  Cluster c;
  const auto owner = [&](const std::string& name) {
    return c.must_post(kConfigMaps, config_map(name)).at("metadata.uid");
  };
  const std::string a = owner("a"), b = owner("b");
  const auto reference = [](const std::string& name, const std::string& uid) {
    return R"({"apiVersion":"v1","kind":"ConfigMap","name":")" + name + R"(","uid":")" + uid +
           R"(","blockOwnerDeletion":true})";
  };
  c.must_post(kConfigMaps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"child",)"
                           R"("ownerReferences":[)" +
                               reference("a", a) + "," + reference("b", b) + "]}}");
  c.settle();
  const std::string path = std::string(kConfigMaps) + "/";
  c.must_delete(path + "a", "Foreground");
  CHECK(c.get(path + "a").status == 404);
  const auto child = c.get(path + "child");
  REQUIRE(child.status == 200);
  CHECK(child.body.find(a) == std::string::npos);
  CHECK(child.body.find(b) != std::string::npos);
  c.must_delete(path + "b");
  CHECK(c.get(path + "child").status == 404);

  // An owner that never was: gone at once. One of a cluster-scoped object that is namespaced
  // cannot be looked for: stays.
  c.must_post(kConfigMaps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"lost",)"
                           R"("ownerReferences":[)" +
                               reference("nobody", "00000000-0000-4000-8000-000000000000") + "]}}");
  c.must_post("/api/v1/namespaces", R"({"apiVersion":"v1","kind":"Namespace","metadata":)"
                                    R"({"name":"odd","ownerReferences":[)" +
                                        reference("nobody", "u") + "]}}");
  c.settle();
  CHECK(c.get(path + "lost").status == 404);
  CHECK(c.get("/api/v1/namespaces/odd").at("status.phase") == "Active");
}

TEST_CASE("a namespace that is deleted is emptied and goes") {
  Cluster c;
  const std::string ns = "/api/v1/namespaces/other";
  c.must_post(ns + "/configmaps", config_map("a"));
  c.must_post("/apis/apps/v1/namespaces/other/deployments", deployment("web", 2));
  c.settle();
  REQUIRE(c.pods("other").size() == 2);
  c.agents_act();
  c.must_delete(ns);
  const auto waiting = c.get(ns);
  INFO(waiting.body);
  CHECK(waiting.at("status.phase") == "Terminating");
  CHECK(waiting.body.find("pods. has 2 resource instances") != std::string::npos);
  for (const char* condition :
       {"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure",
        "NamespaceDeletionContentFailure", "NamespaceContentRemaining",
        "NamespaceFinalizersRemaining"}) {
    INFO(condition);
    CHECK(waiting.body.find(condition) != std::string::npos);
  }
  CHECK(c.post(ns + "/configmaps", config_map("late")).status == 403);
  c.agents_act();
  c.advance(Seconds{3});
  CHECK(c.get(ns).status == 404);
  CHECK(c.get("/apis/apps/v1/namespaces/other/deployments").body.find("web") == std::string::npos);
}

TEST_CASE("what holds a namespace up is named") {
  Cluster c;
  const std::string ns = "/api/v1/namespaces/other";
  c.must_post(ns + "/configmaps", R"({"metadata":{"name":"held","finalizers":["example.com/f"]}})");
  c.settle();
  c.must_delete(ns);
  const auto waiting = c.get(ns);
  INFO(waiting.body);
  CHECK(waiting.body.find("Some resources are remaining: configmaps. has 1 resource instances") !=
        std::string::npos);
  CHECK(waiting.body.find("Some content in the namespace has finalizers remaining: example.com/f "
                          "in 1 resource instances") != std::string::npos);
  CHECK(waiting.body.find("SomeFinalizersRemain") != std::string::npos);
  c.check_quiet();
  c.patch(ns + "/configmaps/held", "application/merge-patch+json",
          R"({"metadata":{"finalizers":null}})");
  c.advance(Seconds{3});
  CHECK(c.get(ns).status == 404);
}

TEST_CASE("an owner in another namespace is none, and that is said") {
  Cluster c;
  const std::string uid =
      c.must_post("/api/v1/namespaces/other/configmaps", config_map("owner")).at("metadata.uid");
  c.must_post(kConfigMaps, R"({"metadata":{"name":"child","ownerReferences":[{"apiVersion":"v1",)"
                           R"("kind":"ConfigMap","name":"owner","uid":")" +
                               uid + "\"}]}}");
  c.settle();
  CHECK(c.get(std::string(kConfigMaps) + "/child").status == 404);
  c.advance(Seconds{2});
  CHECK(c.events_of("child") ==
        std::vector<std::string>{
            "OwnerRefInvalidNamespace: ownerRef [v1/ConfigMap, namespace: default, name: owner, "
            "uid: " +
            uid + "] does not exist in namespace \"default\""});
}

TEST_CASE("owners that own each other go when the one outside the circle does") {
  Cluster c;
  const std::string a = c.must_post(kConfigMaps, config_map("a")).at("metadata.uid");
  const std::string b = c.must_post(kConfigMaps, config_map("b")).at("metadata.uid");
  const auto owned_by = [&](const std::string& name, const std::string& owner,
                            const std::string& uid) {
    const auto answer = c.patch(
        std::string(kConfigMaps) + "/" + name, "application/merge-patch+json",
        R"({"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":")" +
            owner + R"(","uid":")" + uid + R"(","blockOwnerDeletion":true}]}})");
    REQUIRE(answer.status == 200);
  };
  owned_by("a", "b", b);
  owned_by("b", "a", a);
  c.settle();
  CHECK(c.get(std::string(kConfigMaps) + "/a").status == 200);
  c.must_delete(std::string(kConfigMaps) + "/a", "Foreground");
  CHECK(c.get(std::string(kConfigMaps) + "/a").status == 404);
  CHECK(c.get(std::string(kConfigMaps) + "/b").status == 404);
}

TEST_CASE("--controllers names what runs, what does not, and the rest") {
  CHECK(is_controller_selected("a", {}));
  CHECK(is_controller_selected("a", {"*"}));
  CHECK(is_controller_selected("a", {"*", "-b"}));
  CHECK_FALSE(is_controller_selected("b", {"*", "-b"}));
  CHECK(is_controller_selected("a", {"a"}));
  CHECK_FALSE(is_controller_selected("b", {"a"}));
  CHECK_FALSE(is_controller_selected("b", {"-a"}));
  CHECK(is_controller_selected("b", {"b", "-b"}));
}

TEST_CASE("every namespace gets a ServiceAccount and the root CA, also after their deletion") {
  Cluster c;
  const std::string accounts = "/api/v1/namespaces/other/serviceaccounts/default";
  const std::string ca = "/api/v1/namespaces/other/configmaps/kube-root-ca.crt";
  CHECK(c.get(accounts).status == 200);
  CHECK(c.get(ca).body.find(R"("ca.crt":"the CA")") != std::string::npos);
  c.must_delete(accounts);
  c.patch(ca, "application/merge-patch+json", R"({"data":{"ca.crt":"forged","x":"y"}})");
  c.settle();
  CHECK(c.get(accounts).status == 200);
  CHECK(c.get(ca).body.find("forged") == std::string::npos);
  c.check_quiet();
}

}  // namespace
}  // namespace orch::server
