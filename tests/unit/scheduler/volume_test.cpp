// Pods with claims: what the volume plugins refuse and why, and the way from an unbound claim to a
// pod on a node, with the real controllers.
#include "orch/api/volume_binding.h"
#include "server/controllers/controllers.h"
#include "server/scheduler/scheduler.h"
#include "unit/scheduler/build.h"
#include "unit/server/api_fixture.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;
namespace storagev1 = api::storagev1;

class FakeView final : public VolumeView {
 public:
  std::map<std::string, Claim> claims;
  std::map<std::string, Volume> the_volumes;
  std::map<std::string, Class> classes;
  std::map<std::string, storagev1::CSINode> csi_nodes;
  std::map<std::string, storagev1::CSIDriver> drivers;
  std::vector<storagev1::CSIStorageCapacity> the_capacities;

  template <class T>
  static Found<T> find(const std::map<std::string, T>& in, const std::string& name) {
    auto at = in.find(name);
    return at == in.end() ? nullptr : std::make_shared<const T>(at->second);
  }
  Found<Claim> claim(const std::string&, const std::string& name) const override {
    return find(claims, name);
  }
  Found<Volume> volume(const std::string& name) const override { return find(the_volumes, name); }
  std::vector<Found<Volume>> volumes() const override {
    std::vector<Found<Volume>> out;
    for (const auto& [name, v] : the_volumes) out.push_back(std::make_shared<const Volume>(v));
    return out;
  }
  Found<Class> storage_class(const std::string& name) const override { return find(classes, name); }
  Found<storagev1::CSINode> csi_node(const std::string& name) const override {
    return find(csi_nodes, name);
  }
  Found<storagev1::CSIDriver> csi_driver(const std::string& name) const override {
    return find(drivers, name);
  }
  std::vector<Found<storagev1::CSIStorageCapacity>> capacities() const override {
    std::vector<Found<storagev1::CSIStorageCapacity>> out;
    for (const auto& c : the_capacities) {
      out.push_back(std::make_shared<const storagev1::CSIStorageCapacity>(c));
    }
    return out;
  }
};

PodBuilder with_claim(const std::string& pod, const std::string& claim) {
  PodBuilder out(pod);
  auto& volume = out.pod.spec.volumes.emplace_back();
  volume.name = "data";
  volume.persistentVolumeClaim.emplace().claimName = claim;
  return out;
}

struct World {
  std::shared_ptr<FakeView> view = std::make_shared<FakeView>();
  Snapshot snapshot = snapshot_of({NodeBuilder("n1").zone("a"), NodeBuilder("n2").zone("b")});
  World() { snapshot.view.volumes = view; }

  FakeView::Claim& claim(const std::string& name, const std::string& class_name = "lazy") {
    auto& c = view->claims[name];
    c.metadata.name = name;
    c.metadata.namespace_ = "default";
    c.metadata.uid = "uid-" + name;
    c.spec.accessModes = {"ReadWriteOnce"};
    c.spec.resources.requests["storage"] = quantity("1Gi");
    c.spec.storageClassName = class_name;
    return c;
  }
  // On the node, or anywhere.
  FakeView::Volume& volume(const std::string& name, const std::string& size,
                           const std::string& node = "") {
    auto& v = view->the_volumes[name];
    v.metadata.name = name;
    v.spec.accessModes = {"ReadWriteOnce"};
    v.spec.capacity["storage"] = quantity(size);
    v.spec.storageClassName = "lazy";
    v.status.phase = "Available";
    if (!node.empty()) {
      auto& term =
          v.spec.nodeAffinity.emplace().required.emplace().nodeSelectorTerms.emplace_back();
      auto& requirement = term.matchExpressions.emplace_back();
      requirement.key = "kubernetes.io/hostname";
      requirement.operator_ = "In";
      requirement.values = {node};
    }
    return v;
  }
  FakeView::Class& storage_class(const std::string& provisioner,
                                 const std::string& mode = "WaitForFirstConsumer") {
    auto& s = view->classes["lazy"];
    s.metadata.name = "lazy";
    s.provisioner = provisioner;
    s.volumeBindingMode = mode;
    return s;
  }
  void bind(const std::string& claim_name, const std::string& volume_name) {
    auto& c = view->claims[claim_name];
    auto& v = view->the_volumes[volume_name];
    api::bind_volume(v, c);
    c.spec.volumeName = volume_name;
    c.metadata.annotations[api::kBindCompleted] = "yes";
    c.status.phase = v.status.phase = "Bound";
  }
  std::string why(const PodBuilder& pod) { return decide(snapshot, pod).diagnosis.message(); }
};

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

TEST_CASE("a pod waits for claims that are missing, going, lost or unbound") {
  World w;
  const PodBuilder pod = with_claim("p", "c");
  CHECK(has(w.why(pod), "persistentvolumeclaim \"c\" not found"));
  auto& claim = w.claim("c");
  w.storage_class("example.com/p", "Immediate");
  CHECK(
      has(w.why(pod), "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims"));
  claim.metadata.deletionTimestamp = api::Time(WallTime{});
  CHECK(has(w.why(pod), "persistentvolumeclaim \"c\" is being deleted"));
  claim.status.phase = "Lost";
  claim.spec.volumeName = "v";
  CHECK(
      has(w.why(pod), "persistentvolumeclaim \"c\" bound to non-existent persistentvolume \"v\""));
}

TEST_CASE("a bound volume decides the node") {
  World w;
  w.claim("c");
  w.volume("v", "1Gi", "n2");
  w.bind("c", "v");
  CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n2"});
  w.volume("v", "1Gi")
      .spec.nodeAffinity->required->nodeSelectorTerms[0]
      .matchExpressions[0]
      .values = {"n3"};
  CHECK(has(w.why(with_claim("p", "c")), "2 node(s) had volume node affinity conflict"));
  w.view->the_volumes.clear();
  CHECK(has(w.why(with_claim("p", "c")),
            "2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"));
}

TEST_CASE("a claim that waits goes where a volume for it is") {
  World w;
  w.storage_class(api::kNoProvisioner);
  w.claim("c");
  CHECK(has(w.why(with_claim("p", "c")),
            "2 node(s) didn't find available persistent volumes to bind"));
  w.volume("small", "500Mi", "n1");
  w.volume("big", "2Gi", "n2");
  CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n2"});
  SECTION("each volume serves one claim") {
    w.claim("c2");
    PodBuilder both = with_claim("p", "c");
    auto& second = both.pod.spec.volumes.emplace_back();
    second.name = "more";
    second.persistentVolumeClaim.emplace().claimName = "c2";
    CHECK(feasible(w.snapshot, both).empty());
    w.volume("other", "1Gi", "n2");
    CHECK(feasible(w.snapshot, both) == Names{"n2"});
  }
}

TEST_CASE("a provisioner makes a volume anywhere its class and its capacity allow") {
  World w;
  auto& lazy = w.storage_class("example.com/p");
  w.claim("c");
  CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n1", "n2"});
  SECTION("topology") {
    auto& label = lazy.allowedTopologies.emplace_back().matchLabelExpressions.emplace_back();
    label.key = "topology.kubernetes.io/zone";
    label.values = {"b"};
    CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n2"});
  }
  SECTION("capacity") {
    w.view->drivers["example.com/p"].spec.storageCapacity = true;
    CHECK(has(w.why(with_claim("p", "c")), "2 node(s) did not have enough free storage"));
    auto& capacity = w.view->the_capacities.emplace_back();
    capacity.storageClassName = "lazy";
    capacity.capacity = quantity("10Gi");
    capacity.nodeTopology.emplace().matchLabels["topology.kubernetes.io/zone"] = "a";
    CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n1"});
  }
  SECTION("a node that was selected before") {
    w.view->claims["c"].metadata.annotations[api::kSelectedNode] = "n2";
    CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n2"});
  }
}

TEST_CASE("zones of volumes") {
  World w;
  w.claim("c");
  w.volume("v", "1Gi").metadata.labels["topology.kubernetes.io/zone"] = "b__c";
  w.bind("c", "v");
  CHECK(feasible(w.snapshot, with_claim("p", "c")) == Names{"n2"});
  w.view->the_volumes["v"].metadata.labels["topology.kubernetes.io/zone"] = "c";
  CHECK(has(w.why(with_claim("p", "c")), "2 node(s) had no available volume zone"));
}

TEST_CASE("ReadWriteOncePod is for one pod") {
  World w;
  w.claim("c").spec.accessModes = {"ReadWriteOncePod"};
  w.volume("v", "1Gi").spec.accessModes = {"ReadWriteOncePod"};
  w.bind("c", "v");
  CHECK(feasible(w.snapshot, with_claim("p", "c")).size() == 2);
  w.snapshot =
      snapshot_of({NodeBuilder("n1").with(with_claim("other", "c").on("n1")), NodeBuilder("n2")});
  w.snapshot.view.volumes = w.view;
  CHECK(has(w.why(with_claim("p", "c")),
            "2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
            "access mode"));
}

TEST_CASE("a node attaches so many volumes of a driver") {
  World w;
  for (const char* name : {"c1", "c2"}) {
    w.claim(name);
    auto& v = w.volume(std::string("v-") + name, "1Gi");
    v.spec.csi.emplace().driver = "disk";
    v.spec.csi->volumeHandle = name;
    w.bind(name, v.metadata.name);
  }
  w.snapshot =
      snapshot_of({NodeBuilder("n1").with(with_claim("other", "c1").on("n1")), NodeBuilder("n2")});
  w.snapshot.view.volumes = w.view;
  CHECK(feasible(w.snapshot, with_claim("p", "c2")).size() == 2);
  auto& driver = w.view->csi_nodes["n1"].spec.drivers.emplace_back();
  driver.name = "disk";
  driver.allocatable.emplace().count = 1;
  CHECK(feasible(w.snapshot, with_claim("p", "c2")) == Names{"n2"});
  // The volume that is there already is no second one.
  CHECK(feasible(w.snapshot, with_claim("p", "c1")).size() == 2);
}

// ---- with the real controllers ----

struct Cluster : server::test::ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:kube-scheduler", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  std::unique_ptr<client::EventRecorder> events =
      client::make_event_recorder(env, *transport, "default-scheduler");
  Controllers controllers{env, client, informers, *events, {}};
  Scheduler scheduler{env, client, informers, *events};

  Cluster() {
    controllers.start();
    scheduler.start();
    informers.start_all();
    advance(Millis{200});
    for (const char* node : {"n1", "n2"}) {
      must_post("/api/v1/nodes",
                std::string(R"({"metadata":{"name":")") + node +
                    R"(","labels":{"kubernetes.io/hostname":")" + node +
                    R"("},"annotations":{"orch.local/local-path-directory":"/data"}},"status":)"
                    R"({"allocatable":{"cpu":"2","memory":"8Gi","pods":"110"},"conditions":)"
                    R"([{"type":"Ready","status":"True"}]}})");
    }
  }
  ~Cluster() {
    scheduler.stop();
    controllers.stop();
    informers.stop();
    executor->run_until_idle();
    events.reset();
  }
  void must_post(const std::string& path, const std::string& body) {
    const auto answer = post(path, body);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
  }
  void add_claim(const std::string& name, const std::string& class_name) {
    must_post("/api/v1/namespaces/default/persistentvolumeclaims",
              R"({"metadata":{"name":")" + name +
                  R"("},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":")" +
                  class_name + R"(","resources":{"requests":{"storage":"1Gi"}}}})");
  }
  void add_pod(const std::string& name, const std::string& claim) {
    must_post(server::test::kPods,
              server::test::pod(name, R"(,"volumes":[{"name":"data","persistentVolumeClaim":)"
                                      R"({"claimName":")" +
                                          claim + "\"}}]"));
  }
  std::string node_of(const std::string& pod) {
    return get(std::string(server::test::kPods) + "/" + pod).at("spec.nodeName");
  }
  VolumeView::Claim claim(const std::string& name) {
    auto got = client.get<VolumeView::Claim>("default", name);
    REQUIRE(got);
    return *got;
  }
};

TEST_CASE("a pod with a local-path claim: node, volume, binding") {
  Cluster c;
  c.add_claim("data", "local-path");
  c.add_pod("p", "data");
  c.advance(Seconds{1});
  const std::string node = c.node_of("p");
  REQUIRE_FALSE(node.empty());
  const auto claim = c.claim("data");
  CHECK(claim.status.phase == "Bound");
  CHECK(claim.metadata.annotations.at(api::kSelectedNode) == node);
  // The next pod follows the volume.
  c.add_pod("second", "data");
  c.advance(Seconds{1});
  CHECK(c.node_of("second") == node);
}

TEST_CASE("two pods share a claim that waits for its first consumer") {
  Cluster c;
  c.add_claim("data", "local-path");
  c.add_pod("a", "data");
  c.add_pod("b", "data");
  c.advance(Seconds{15});
  CHECK_FALSE(c.node_of("a").empty());
  CHECK(c.node_of("a") == c.node_of("b"));
}

TEST_CASE("a pod waits for its claim and goes on when it comes") {
  Cluster c;
  c.add_pod("p", "data");
  c.advance(Seconds{1});
  CHECK(c.node_of("p").empty());
  c.add_claim("data", "local-path");
  c.advance(Seconds{3});
  CHECK_FALSE(c.node_of("p").empty());
}

TEST_CASE("static volumes of a class that waits: two pods, two nodes, no volume twice") {
  Cluster c;
  c.must_post("/apis/storage.k8s.io/v1/storageclasses",
              R"({"metadata":{"name":"static"},"provisioner":"kubernetes.io/no-provisioner",)"
              R"("volumeBindingMode":"WaitForFirstConsumer"})");
  for (const char* node : {"n1", "n2"}) {
    c.must_post("/api/v1/persistentvolumes",
                std::string(R"({"metadata":{"name":"pv-)") + node +
                    R"("},"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},)"
                    R"("storageClassName":"static","local":{"path":"/disk"},"nodeAffinity":)"
                    R"({"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":)"
                    R"("kubernetes.io/hostname","operator":"In","values":[")" +
                    node + R"("]}]}]}}}})");
  }
  c.add_claim("a", "static");
  c.add_claim("b", "static");
  c.add_claim("x", "static");
  c.add_pod("pa", "a");
  c.add_pod("pb", "b");
  c.advance(Seconds{5});
  CHECK(c.claim("a").status.phase == "Bound");
  CHECK(c.claim("b").status.phase == "Bound");
  CHECK(c.node_of("pa") != c.node_of("pb"));
  CHECK(c.claim("a").spec.volumeName == "pv-" + c.node_of("pa"));
  c.add_pod("px", "x");
  c.advance(Seconds{5});
  CHECK(c.node_of("px").empty());
}

}  // namespace
}  // namespace orch::server::scheduler
