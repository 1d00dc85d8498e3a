#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;

std::string add_node(Cluster& c, const std::string& name) {
  return c
      .must_post("/api/v1/nodes",
                 R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name +
                     R"("},"status":{"conditions":[{"type":"Ready","status":"True",)"
                     R"("reason":"KubeletReady","lastHeartbeatTime":"2024-01-01T00:00:00Z"}]}})")
      .at("metadata.uid");
}
std::string cidr(Cluster& c, const std::string& name) {
  return c.get("/api/v1/nodes/" + name).at("spec.podCIDR");
}

// Renews the node's lease, as its agent does.
void renew(Cluster& c, const std::string& node) {
  const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
  const std::string body = R"("spec":{"holderIdentity":")" + node +
                           R"(","leaseDurationSeconds":40,"renewTime":")" +
                           api::MicroTime(c.clock.now()).str() + "\"}}";
  const auto patched = c.patch(leases + "/" + node, "application/merge-patch+json", "{" + body);
  if (patched.status == 404) {
    c.must_post(leases, R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":)"
                        R"({"name":")" +
                            node + "\"}," + body);
  }
}

struct NodeCluster : Cluster {
  NodeCluster() {
    must_post("/api/v1/namespaces", R"({"metadata":{"name":"kube-node-lease"}})");
    settle();
  }
};

TEST_CASE("every node gets a block of its own, also one that comes back under its name") {
  NodeCluster c;
  std::set<std::string> blocks;
  for (int i = 0; i < 20; ++i) add_node(c, "n" + std::to_string(i));
  c.settle();
  for (int i = 0; i < 20; ++i) blocks.insert(cidr(c, "n" + std::to_string(i)));
  CHECK(blocks.size() == 20);
  CHECK(blocks.count("10.42.0.0/24") == 1);
  CHECK(blocks.count("") == 0);
  const auto listed = c.client.get<corev1::Node>("", "n3");
  CHECK(listed->spec.podCIDRs == std::vector<std::string>{listed->spec.podCIDR});

  const std::string before = cidr(c, "n3");
  c.must_delete("/api/v1/nodes/n3");
  add_node(c, "n3");
  c.settle();
  CHECK(cidr(c, "n3") == before);
  add_node(c, "another");
  c.settle();
  CHECK(blocks.count(cidr(c, "another")) == 0);
}

TEST_CASE("a node that falls silent becomes Unknown, tainted, and loses its pods in time") {
  NodeCluster c;
  add_node(c, "n1");
  renew(c, "n1");
  add_node(c, "n2");
  renew(c, "n2");
  // Time passes; one node says that it lives.
  const auto pass = [&](Seconds seconds) {
    for (int64_t i = 0; i < seconds.count(); i += 10) {
      c.advance(Seconds{10});
      renew(c, "n2");
    }
    c.settle();
  };
  c.must_post(kDeployments, deployment("web", 1, "v1"));
  c.settle();
  c.agents_act();
  REQUIRE(c.pods()[0]->spec.nodeName == "n1");
  const std::string pod = c.pods()[0]->metadata.name;
  const std::string path = std::string(kPods) + "/" + pod;
  c.patch(path, "application/merge-patch+json",
          R"({"spec":{"tolerations":[{"key":"node.kubernetes.io/unreachable","operator":"Exists",)"
          R"("effect":"NoExecute","tolerationSeconds":300}]}})");
  c.settle();

  for (int i = 0; i < 12; ++i) {
    pass(Seconds{10});
    renew(c, "n1");
    c.settle();
  }
  auto node = c.client.get<corev1::Node>("", "n1");
  CHECK(node->status.conditions[0].status == "True");
  CHECK(node->spec.taints.empty());

  pass(Seconds{40});
  CHECK(c.client.get<corev1::Node>("", "n1")->status.conditions[0].status == "True");
  pass(Seconds{20});
  node = c.client.get<corev1::Node>("", "n1");
  CHECK(node->status.conditions[0].status == "Unknown");
  CHECK(node->status.conditions[0].reason == "NodeStatusUnknown");
  std::set<std::string> taints;
  for (const auto& taint : node->spec.taints) taints.insert(taint.key + ":" + taint.effect);
  CHECK(taints == std::set<std::string>{"node.kubernetes.io/unreachable:NoSchedule",
                                        "node.kubernetes.io/unreachable:NoExecute"});
  auto seen = c.client.get<corev1::Pod>("default", pod);
  CHECK_FALSE(seen->metadata.deletionTimestamp);
  CHECK(seen->status.conditions[0].status == "False");
  CHECK(c.events_of(pod).back() == "NodeNotReady: Node is not ready");
  c.check_quiet();

  pass(Seconds{300});
  seen = c.client.get<corev1::Pod>("default", pod);
  REQUIRE(seen->metadata.deletionTimestamp);
  CHECK(seen->status.conditions.back().type == "DisruptionTarget");
  CHECK(seen->status.conditions.back().reason == "DeletionByTaintManager");
  CHECK(c.pods().size() == 2);  // its replacement

  // A sign of life, and a status that says so: the taints go.
  renew(c, "n1");
  c.patch("/api/v1/nodes/n1/status", "application/strategic-merge-patch+json",
          R"({"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady",)"
          R"("lastHeartbeatTime":"2024-01-02T00:00:00Z"}]}})");
  c.settle();
  CHECK(c.client.get<corev1::Node>("", "n1")->spec.taints.empty());
}

TEST_CASE(
    "when no node is ready nobody is evicted; when one is again, one zone's nodes take turns") {
  NodeCluster c;
  const auto names = {"n1", "n2", "n3"};
  for (const char* name : names) {
    add_node(c, name);
    renew(c, name);
  }
  c.settle();
  const auto evicting = [&] {
    int count = 0;
    for (const char* name : names) {
      const auto node = c.client.get<corev1::Node>("", name);
      for (const auto& taint : node->spec.taints) {
        if (taint.effect == "NoExecute") ++count;
      }
    }
    return count;
  };
  c.advance(Seconds{65});
  for (const char* name : names) {
    CHECK(c.client.get<corev1::Node>("", name)->status.conditions[0].status == "Unknown");
  }
  CHECK(evicting() == 0);
  c.advance(Seconds{120});
  CHECK(evicting() == 0);
  c.check_quiet();
  const auto live = [&] {
    renew(c, "n3");
    c.patch("/api/v1/nodes/n3/status", "application/strategic-merge-patch+json",
            R"({"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady",)"
            R"("lastHeartbeatTime":")" +
                api::Time(c.clock.now()).str() + R"("}]}})");
    c.settle();
  };
  live();
  c.advance(Seconds{6});
  CHECK(evicting() == 1);
  c.advance(Seconds{11});
  CHECK(evicting() == 2);
}

TEST_CASE("a node deleted while it is looked at does no harm") {
  NodeCluster c;
  add_node(c, "n1");
  c.settle();
  c.del("/api/v1/nodes/n1");
  c.advance(Seconds{120});
  CHECK(c.get("/api/v1/nodes/n1").status == 404);
}

TEST_CASE(
    "nodes are announced and told how long to cache; a machine that is off lets its pods go") {
  NodeCluster c;
  add_node(c, "n1");
  c.settle();
  c.advance(Seconds{2});
  CHECK(c.get("/api/v1/nodes/n1").body.find(R"("node.alpha.kubernetes.io/ttl":"0")") !=
        std::string::npos);
  const auto events = c.events_of("n1");
  CHECK(std::count(events.begin(), events.end(),
                   "RegisteredNode: Node n1 event: Registered Node n1 in Controller") == 1);

  c.must_post(kPods, pod("stuck"));
  c.agents_act();
  const std::string path = std::string(kPods) + "/stuck";
  c.must_delete(path);
  c.advance(Seconds{60});
  CHECK(c.get(path).status == 200);
  c.patch("/api/v1/nodes/n1", "application/merge-patch+json",
          R"({"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","value":"nodeshutdown",)"
          R"("effect":"NoExecute"}]}})");
  c.advance(Seconds{25});
  CHECK(c.get(path).status == 404);
}

TEST_CASE("pods of a node that is gone are deleted for good, after a while") {
  NodeCluster c;
  add_node(c, "n1");
  c.must_post(kDeployments, deployment("web", 1));
  c.settle();
  c.agents_act();
  const std::string path = std::string(kPods) + "/" + c.pods()[0]->metadata.name;
  c.must_delete("/api/v1/nodes/n1");
  c.advance(Seconds{25});
  CHECK(c.get(path).status == 200);
  c.advance(Seconds{60});
  CHECK(c.get(path).status == 404);
}

TEST_CASE("a pod that is deleted before it has a node goes at once") {
  Cluster c;
  c.must_post(kPods, pod("unbound"));
  c.del(std::string(kPods) + "/unbound");
  c.advance(Seconds{21});
  CHECK(c.get(std::string(kPods) + "/unbound").status == 404);
}

TEST_CASE("a Service gets slices and endpoints that follow its pods") {
  Cluster c;
  c.must_post(kServices, R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":)"
                         R"({"selector":{"app":"web"},"ports":[{"port":80}]}})");
  c.settle();
  auto slices = c.all<api::discoveryv1::EndpointSlice>();
  REQUIRE(slices.size() == 1);
  CHECK(slices[0]->endpoints.empty());
  c.must_post(kDeployments, deployment("web", 3));
  c.settle();
  c.agents_act();
  slices = c.all<api::discoveryv1::EndpointSlice>();
  REQUIRE(slices.size() == 1);
  CHECK(slices[0]->endpoints.size() == 3);
  CHECK(c.client.get<corev1::Endpoints>("default", "web")->subsets[0].addresses.size() == 3);
  c.check_quiet();

  // A slice that is deleted comes back; one that someone else made stays.
  c.must_delete("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/" +
                slices[0]->metadata.name);
  CHECK(c.all<api::discoveryv1::EndpointSlice>().size() == 1);
  c.patch("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/" +
              c.all<api::discoveryv1::EndpointSlice>()[0]->metadata.name,
          "application/merge-patch+json", R"({"metadata":{"annotations":{"mine":"x"}}})");
  c.check_quiet();

  c.must_delete(std::string(kServices) + "/web");
  c.settle();
  CHECK(c.all<api::discoveryv1::EndpointSlice>().empty());
  CHECK(c.get("/api/v1/namespaces/default/endpoints/web").status == 404);
}

TEST_CASE("Endpoints kept by hand are mirrored into slices, until they are gone") {
  Cluster c;
  const std::string endpoints = "/api/v1/namespaces/default/endpoints";
  c.must_post(kServices, R"({"metadata":{"name":"db"},"spec":{"ports":[{"port":80}]}})");
  c.must_post(endpoints, R"({"metadata":{"name":"db","labels":{"a":"b"}},"subsets":[{"addresses":)"
                         R"([{"ip":"192.0.2.1"},{"ip":"192.0.2.2"}],"ports":[{"port":80}]}]})");
  c.settle();
  auto slices = c.all<api::discoveryv1::EndpointSlice>();
  REQUIRE(slices.size() == 1);
  CHECK(slices[0]->endpoints.size() == 2);
  CHECK(slices[0]->metadata.labels.at("a") == "b");
  CHECK(slices[0]->metadata.labels.at("endpointslice.kubernetes.io/managed-by") ==
        "endpointslicemirroring-controller.k8s.io");
  CHECK(slices[0]->metadata.ownerReferences.at(0).kind == "Endpoints");
  c.check_quiet();
  c.patch(endpoints + "/db", "application/merge-patch+json",
          R"({"subsets":[{"addresses":[{"ip":"192.0.2.3"}],"ports":[{"port":81}]}]})");
  c.settle();
  slices = c.all<api::discoveryv1::EndpointSlice>();
  REQUIRE(slices.size() == 1);
  CHECK(slices[0]->endpoints.at(0).addresses.at(0) == "192.0.2.3");
  CHECK(slices[0]->ports.at(0).port == 81);
  c.patch(endpoints + "/db", "application/merge-patch+json",
          R"({"metadata":{"labels":{"endpointslice.kubernetes.io/skip-mirror":"true"}}})");
  c.settle();
  CHECK(c.all<api::discoveryv1::EndpointSlice>().empty());
}

}  // namespace
}  // namespace orch::server
