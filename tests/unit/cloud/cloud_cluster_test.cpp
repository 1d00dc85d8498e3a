// The cloud's controllers against the real API server, over a provider that tests can turn.
#include <catch2/catch.hpp>

#include "server/cloud/cloud_controllers.h"
#include "server/cloud/edge_load_balancer.h"
#include "server/cloud/edge_provider.h"
#include "server/controllers/controllers.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

namespace corev1 = api::corev1;
using Strings = std::vector<std::string>;

// The edge provider, but that machines can vanish, and with routes.
struct TestProvider final : CloudProvider, Instances, Routes {
  explicit TestProvider(LbPool pool) : edge(make_edge_provider(std::move(pool))) {}
  std::string name() const override { return "test"; }
  Instances& instances() override { return *this; }
  LoadBalancers* load_balancers() override { return edge->load_balancers(); }
  Routes* routes() override { return this; }
  Result<bool, std::string> exists(const corev1::Node& node) override {
    return gone.count(node.metadata.name) == 0;
  }
  Result<bool, std::string> is_shut_down(const corev1::Node& node) override {
    return off.count(node.metadata.name) != 0;
  }
  Result<InstanceMetadata, std::string> metadata(const corev1::Node& node) override {
    auto out = edge->instances().metadata(node);
    out->zone = "z1";
    return out;
  }
  Result<std::vector<CloudRoute>, std::string> list() override { return made; }
  Result<Unit, std::string> create(const CloudRoute& route) override {
    if (route_quota == 0) return Err(std::string("quota exceeded"));
    made.push_back(route);
    return Unit{};
  }
  Result<Unit, std::string> remove(const CloudRoute& route) override {
    std::erase_if(made,
                  [&](const auto& r) { return r.destination_cidr == route.destination_cidr; });
    return Unit{};
  }

  std::unique_ptr<CloudProvider> edge;
  std::set<std::string> gone, off;
  std::vector<CloudRoute> made;
  int route_quota = 1;
};

struct Cloud : ApiFixture {
  explicit Cloud(const Strings& pool = {}, const Strings& selected = {})
      : provider(*LbPool::parse(pool)),
        controllers(env, client, informers, *events,
                    {.cluster_cidr = "10.42.0.0/16",
                     .root_ca_pem = "the CA",
                     .selected = selected,
                     .more = cloud_controllers(provider)}) {
    controllers.start();
    informers.start_all();
    advance(Millis{200});
  }
  ~Cloud() {
    controllers.stop();
    informers.stop();
    executor->run_until_idle();
    events.reset();
  }
  void node(const std::string& name, const std::string& ip, const std::string& more = "") {
    const auto made =
        post("/api/v1/nodes", R"({"metadata":{"name":")" + name + R"("},"spec":{)" + more + "}}");
    INFO(made.body);
    REQUIRE(made.status == 201);
    status(name, "True", ip);
  }
  void status(const std::string& name, const std::string& ready, const std::string& ip) {
    const auto answer =
        patch("/api/v1/nodes/" + name + "/status", "application/merge-patch+json",
              R"({"status":{"addresses":[{"type":"InternalIP","address":")" + ip +
                  R"("},{"type":"Hostname","address":")" + name +
                  R"("}],"conditions":[{"type":"Ready","status":")" + ready +
                  R"(","reason":"test","lastHeartbeatTime":"2038-01-01T00:00:00Z"}]}})");
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    advance(Millis{200});
  }
  void service(const std::string& name, const std::string& more = "") {
    const auto made =
        post("/api/v1/namespaces/default/services",
             R"({"metadata":{"name":")" + name +
                 R"("},"spec":{"type":"LoadBalancer","ports":[{"port":80}])" + more + "}}");
    INFO(made.body);
    REQUIRE(made.status == 201);
    advance(Millis{300});
  }
  Answer read(const std::string& name) {
    return get("/api/v1/namespaces/default/services/" + name);
  }
  corev1::Service service_of(const std::string& name) {
    auto found = client.get<corev1::Service>("default", name);
    REQUIRE(found);
    return *found;
  }
  std::string ip_of(const std::string& name) {
    const auto service = service_of(name);
    const auto& ingress = service.status.loadBalancer.ingress;
    return ingress.empty() ? "" : ingress.front().ip;
  }
  Strings events_of(const std::string& name) {
    Strings out;
    auto list = client.list<corev1::Event>("");
    REQUIRE(list);
    for (const auto& event : list->items) {
      if (event->involvedObject.name == name) out.push_back(event->reason + ": " + event->message);
    }
    return out;
  }
  bool has_event(const std::string& name, const std::string& text) {
    const auto all = events_of(name);
    for (const auto& event : all) UNSCOPED_INFO(event);
    return std::find(all.begin(), all.end(), text) != all.end();
  }
  std::string revision() { return get("/api/v1/configmaps").at("metadata.resourceVersion"); }
  void check_quiet() {
    advance(Seconds{1});
    const std::string before = revision();
    advance(Seconds{3});
    CHECK(revision() == before);
  }

  std::unique_ptr<client::Transport> transport = server->local_transport(
      {.name = "system:kube-controller-manager", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  std::unique_ptr<client::EventRecorder> events =
      client::make_event_recorder(env, *transport, "controllermanager");
  TestProvider provider;
  Controllers controllers;
};

TEST_CASE("cloud: a new node gets its identity, labels and addresses, and loses the taint") {
  Cloud cloud;
  cloud.node("n1", "10.0.0.1",
             R"("taints":[{"key":"node.cloudprovider.kubernetes.io/uninitialized","value":"true",)"
             R"("effect":"NoSchedule"},{"key":"mine","effect":"NoSchedule"}])");
  const auto node = cloud.client.get<corev1::Node>("", "n1");
  REQUIRE(node);
  CHECK(node->spec.providerID == "orch://n1");
  CHECK(node->metadata.labels.at("node.kubernetes.io/instance-type") == "orch");
  CHECK(node->metadata.labels.at("beta.kubernetes.io/instance-type") == "orch");
  CHECK(node->metadata.labels.at("topology.kubernetes.io/zone") == "z1");
  CHECK(node->metadata.labels.at("failure-domain.beta.kubernetes.io/zone") == "z1");
  REQUIRE(node->spec.taints.size() >= 1);
  for (const auto& taint : node->spec.taints) CHECK(taint.key != kTaintUninitialized);
  CHECK(cloud.has_event("n1", "Synced: Node synced successfully"));
  cloud.check_quiet();
  // The agent tells of another address.
  cloud.patch("/api/v1/nodes/n1", "application/merge-patch+json",
              R"({"metadata":{"annotations":{"orch.io/node-external-ip":"203.0.113.1"}}})");
  cloud.advance(Millis{300});
  const auto told = cloud.client.get<corev1::Node>("", "n1");
  REQUIRE(told);
  REQUIRE(told->status.addresses.size() == 3);
  CHECK(told->status.addresses[1].type == "ExternalIP");
  cloud.check_quiet();
}

TEST_CASE("cloud: nodes of machines that are gone go, those switched off are tainted") {
  Cloud cloud({}, {"cloud-node-lifecycle-controller"});
  cloud.node("n1", "10.0.0.1");
  cloud.node("n2", "10.0.0.2");
  cloud.provider.gone = {"n1"};
  cloud.provider.off = {"n2"};
  cloud.advance(Seconds{10});
  CHECK(cloud.get("/api/v1/nodes/n1").status == 200);  // it is Ready: nobody is asked
  cloud.status("n1", "Unknown", "10.0.0.1");
  cloud.status("n2", "Unknown", "10.0.0.2");
  cloud.advance(Seconds{6});
  CHECK(cloud.get("/api/v1/nodes/n1").status == 404);
  CHECK(cloud.has_event("n1",
                        "DeletingNode: Deleting node n1 because it does not exist in the "
                        "cloud provider"));
  const auto tainted = [&] {
    return cloud.get("/api/v1/nodes/n2").body.find(kTaintShutdown) != std::string::npos;
  };
  CHECK(tainted());
  cloud.check_quiet();
  cloud.status("n2", "True", "10.0.0.2");
  cloud.advance(Seconds{6});
  CHECK_FALSE(tainted());
}

TEST_CASE("cloud: routes to nodes' pods, and nodes that say they have none") {
  Cloud cloud({}, {"node-route-controller"});
  cloud.provider.made = {{"old", "n0", "10.42.9.0/24"}};
  cloud.node("n1", "10.0.0.1", R"("podCIDR":"10.42.0.0/24")");
  cloud.advance(Seconds{1});
  REQUIRE(cloud.provider.made.size() == 1);
  CHECK(cloud.provider.made[0].node == "n1");
  CHECK(cloud.get("/api/v1/nodes/n1").body.find("RouteController created a route") !=
        std::string::npos);
  cloud.provider.route_quota = 0;
  cloud.provider.made.clear();
  cloud.advance(Seconds{11});
  CHECK(cloud.get("/api/v1/nodes/n1").body.find("NoRouteCreated") != std::string::npos);
}

TEST_CASE("cloud: a load balancer's life on node addresses") {
  Cloud cloud;
  cloud.node("n1", "10.0.0.1");
  cloud.service("web");
  CHECK(cloud.ip_of("web") == "10.0.0.1");
  CHECK(cloud.service_of("web").metadata.finalizers ==
        Strings{"service.kubernetes.io/load-balancer-cleanup"});
  CHECK(cloud.has_event("web", "EnsuringLoadBalancer: Ensuring load balancer"));
  CHECK(cloud.has_event("web", "EnsuredLoadBalancer: Ensured load balancer"));
  cloud.check_quiet();
  cloud.node("n2", "10.0.0.2");
  CHECK(cloud.has_event("web", "UpdatedLoadBalancer: Updated load balancer with new hosts"));
  cloud.service("second");
  CHECK(cloud.has_event("second",
                        "SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure "
                        "load balancer: port 80/TCP is taken on the nodes by Service default/web"));
  cloud.check_quiet();
  cloud.del("/api/v1/namespaces/default/services/web");
  cloud.advance(Millis{500});
  CHECK(cloud.read("web").status == 404);
  CHECK(cloud.has_event("web", "DeletedLoadBalancer: Deleted load balancer"));
  CHECK(cloud.ip_of("second") == "10.0.0.1");
}

TEST_CASE("cloud: addresses of the pool, none twice, none lost") {
  Cloud cloud({"10.9.0.1-10.9.0.3"});
  cloud.node("n1", "10.0.0.1");
  for (const char* name : {"d", "c", "b", "a"}) cloud.service(name);
  std::set<std::string> given;
  for (const char* name : {"d", "c", "b"}) given.insert(cloud.ip_of(name));
  CHECK(given == std::set<std::string>{"10.9.0.1", "10.9.0.2", "10.9.0.3"});
  CHECK(cloud.ip_of("a") == "");
  CHECK(cloud.has_event("a",
                        "SyncLoadBalancerFailed: Error syncing load balancer: failed to "
                        "ensure load balancer: no address of --lb-pool is free"));
  CHECK(cloud.read("d").body.find(R"("orch.io/load-balancer-node":"n1")") != std::string::npos);
  cloud.check_quiet();
  const std::string freed = cloud.ip_of("c");
  cloud.del("/api/v1/namespaces/default/services/c");
  cloud.advance(Millis{500});
  CHECK(cloud.ip_of("a") == freed);
  // No longer a load balancer: everything of it is taken off.
  cloud.patch("/api/v1/namespaces/default/services/a", "application/merge-patch+json",
              R"({"spec":{"type":"ClusterIP"}})");
  cloud.advance(Millis{500});
  CHECK(cloud.ip_of("a") == "");
  CHECK(cloud.read("a").body.find("load-balancer") == std::string::npos);
  cloud.check_quiet();
}

}  // namespace
}  // namespace orch::server::test
