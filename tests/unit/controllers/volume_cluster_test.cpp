// The volume controllers against the real API server, in virtual time.
#include "orch/api/storagev1.h"
#include "orch/api/volume_binding.h"
#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;

constexpr const char* kClaims = "/api/v1/namespaces/default/persistentvolumeclaims";
constexpr const char* kVolumes = "/api/v1/persistentvolumes";
constexpr const char* kClasses = "/apis/storage.k8s.io/v1/storageclasses";

std::string claim(const std::string& name, const std::string& size = "1Gi",
                  const std::string& more = "") {
  return R"({"metadata":{"name":")" + name +
         R"("},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":")" +
         size + "\"}}" + more + "}}";
}
std::string volume(const std::string& name, const std::string& size, const std::string& more = "") {
  return R"({"metadata":{"name":")" + name +
         R"("},"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":")" + size +
         R"("},"hostPath":{"path":"/tmp/x"})" + more + "}}";
}
const std::string kNoClass = R"(,"storageClassName":"")";

struct Volumes : Cluster {
  PersistentVolumeClaim the_claim(const std::string& name) {
    auto got = client.get<PersistentVolumeClaim>("default", name);
    REQUIRE(got);
    return *got;
  }
  PersistentVolume the_volume(const std::string& name) {
    auto got = client.get<PersistentVolume>("", name);
    REQUIRE(got);
    return *got;
  }
  bool gone(const std::string& path) { return get(path).status == 404; }
  void add_node(const std::string& name, const std::string& directory) {
    must_post("/api/v1/nodes", R"({"metadata":{"name":")" + name +
                                   R"(","labels":{"kubernetes.io/hostname":")" + name +
                                   R"("},"annotations":{"orch.local/local-path-directory":")" +
                                   directory + "\"}}}");
  }
  void select_node(const std::string& claim_name, const std::string& node) {
    const auto answer = patch(
        std::string(kClaims) + "/" + claim_name, "application/merge-patch+json",
        R"({"metadata":{"annotations":{"volume.kubernetes.io/selected-node":")" + node + "\"}}}");
    REQUIRE(answer.status == 200);
    settle();
  }
  void drop_finalizer(const std::string& volume_name) {  // what the agent does
    PersistentVolume v = the_volume(volume_name);
    std::erase(v.metadata.finalizers, api::kLocalPathFinalizer);
    REQUIRE(client.update(v));
    settle();
  }
};

TEST_CASE("a claim is bound to a volume, both ways, and given back its volume's data") {
  Volumes c;
  c.must_post(kVolumes, volume("big", "5Gi"));
  c.must_post(kVolumes, volume("v", "2Gi"));
  c.must_post(kClaims, claim("data", "1Gi", kNoClass));
  c.settle();
  const auto pvc = c.the_claim("data");
  CHECK(pvc.status.phase == "Bound");
  CHECK(pvc.spec.volumeName == "v");
  CHECK(pvc.metadata.annotations == api::Labels{{"pv.kubernetes.io/bind-completed", "yes"},
                                                {"pv.kubernetes.io/bound-by-controller", "yes"}});
  CHECK(pvc.status.capacity.at("storage").str() == "2Gi");
  const auto pv = c.the_volume("v");
  CHECK(pv.status.phase == "Bound");
  CHECK(pv.spec.claimRef->uid == pvc.metadata.uid);
  CHECK(c.the_volume("big").status.phase == "Available");
  c.check_quiet();

  c.must_delete(std::string(kClaims) + "/data");
  CHECK(c.gone(std::string(kClaims) + "/data"));
  CHECK(c.the_volume("v").status.phase == "Released");
  c.check_quiet();
}

TEST_CASE("a claim without a class waits, with an event, until a volume comes") {
  Volumes c;
  c.must_post(kClaims, claim("data", "1Gi", kNoClass));
  c.settle();
  CHECK(c.the_claim("data").status.phase == "Pending");
  CHECK(c.events_of("data") ==
        std::vector<std::string>{"FailedBinding: no persistent volumes available for this claim "
                                 "and no storage class is set"});
  c.must_post(kVolumes, volume("v", "1Gi"));
  c.settle();
  CHECK(c.the_claim("data").status.phase == "Bound");
  c.check_quiet();
}

TEST_CASE("two claims never share a volume") {
  Volumes c;
  c.must_post(kClaims, claim("a", "1Gi", kNoClass));
  c.must_post(kClaims, claim("b", "1Gi", kNoClass));
  c.must_post(kVolumes, volume("v", "1Gi"));
  c.settle();
  CHECK((c.the_claim("a").spec.volumeName == "v") != (c.the_claim("b").spec.volumeName == "v"));
}

TEST_CASE("a bound claim whose volume vanishes is lost") {
  Volumes c;
  c.must_post(kVolumes, volume("v", "1Gi"));
  c.must_post(kClaims, claim("data", "1Gi", kNoClass));
  c.settle();
  c.del(std::string(kVolumes) + "/v");
  CHECK_FALSE(c.gone(std::string(kVolumes) + "/v"));  // protected while it is bound
  auto pv = c.the_volume("v");
  pv.metadata.finalizers.clear();
  REQUIRE(c.client.update(pv));
  c.settle();
  CHECK(c.gone(std::string(kVolumes) + "/v"));
  CHECK(c.the_claim("data").status.phase == "Lost");
}

TEST_CASE("the default class is given to claims that came before it") {
  Volumes c;
  c.must_delete(std::string(kClasses) + "/local-path");
  c.must_post(kClaims, claim("data"));
  c.settle();
  CHECK_FALSE(c.the_claim("data").spec.storageClassName);
  c.must_post(kClasses, R"({"metadata":{"name":"main","annotations":{"storageclass.kubernetes.io/)"
                        R"(is-default-class":"true"}},"provisioner":"example.com/p"})");
  c.settle();
  const auto pvc = c.the_claim("data");
  CHECK(pvc.spec.storageClassName == "main");
  CHECK(pvc.metadata.annotations.at("volume.kubernetes.io/storage-provisioner") == "example.com/p");
  c.check_quiet();
}

TEST_CASE("a claim in use is kept until the pod is gone") {
  Volumes c;
  c.must_post(kVolumes, volume("v", "1Gi"));
  c.must_post(kClaims, claim("data", "1Gi", kNoClass));
  c.must_post(kPods, pod("p", R"(,"nodeName":"n1","volumes":[{"name":"d",)"
                              R"("persistentVolumeClaim":{"claimName":"data"}}])"));
  c.settle();
  CHECK(api::has_finalizer(c.the_claim("data").metadata, "kubernetes.io/pvc-protection"));
  CHECK(api::has_finalizer(c.the_volume("v").metadata, "kubernetes.io/pv-protection"));
  c.must_delete(std::string(kClaims) + "/data");
  CHECK(c.the_claim("data").metadata.deletionTimestamp);
  c.check_quiet();
  c.del(std::string(kPods) + "/p?gracePeriodSeconds=0");
  c.settle();
  CHECK(c.gone(std::string(kClaims) + "/data"));
}

TEST_CASE("a generic ephemeral volume has a claim of its pod's") {
  Volumes c;
  const std::string volumes =
      R"(,"volumes":[{"name":"scratch","ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":)"
      R"({"a":"b"}},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":)"
      R"({"storage":"1Gi"}}}}}}])";
  c.must_post(kPods, pod("p", volumes));
  c.settle();
  const auto pvc = c.the_claim("p-scratch");
  CHECK(pvc.metadata.labels.at("a") == "b");
  REQUIRE(pvc.metadata.ownerReferences.size() == 1);
  CHECK(pvc.metadata.ownerReferences[0].name == "p");
  CHECK(pvc.metadata.ownerReferences[0].controller == true);
  c.check_quiet();
  c.del(std::string(kPods) + "/p?gracePeriodSeconds=0");
  c.settle();
  CHECK(c.gone(std::string(kClaims) + "/p-scratch"));
}

TEST_CASE("local-path: a volume on the selected node, its data removed by the node") {
  Volumes c;
  CHECK(c.get(std::string(kClasses) + "/local-path").at("volumeBindingMode") ==
        "WaitForFirstConsumer");
  c.add_node("n1", "/data/storage");
  c.must_post(kClaims, claim("data", "1Gi", R"(,"storageClassName":"local-path")"));
  c.settle();
  CHECK(c.events_of("data") ==
        std::vector<std::string>{
            "WaitForFirstConsumer: waiting for first consumer to be created before binding"});
  c.select_node("data", "n1");
  const auto pvc = c.the_claim("data");
  CHECK(pvc.status.phase == "Bound");
  const std::string name = "pvc-" + pvc.metadata.uid;
  CHECK(pvc.spec.volumeName == name);
  const auto pv = c.the_volume(name);
  CHECK(pv.spec.local->path == "/data/storage/" + name);
  CHECK(pv.status.phase == "Bound");
  c.check_quiet();

  c.must_delete(std::string(kClaims) + "/data");
  CHECK(c.gone(std::string(kClaims) + "/data"));
  const auto released = c.the_volume(name);  // waits for the node
  CHECK(released.metadata.deletionTimestamp);
  CHECK(released.metadata.finalizers == std::vector<std::string>{api::kLocalPathFinalizer});
  c.check_quiet();
  SECTION("that answers") {
    c.drop_finalizer(name);
    CHECK(c.gone(std::string(kVolumes) + "/" + name));
  }
  SECTION("that is gone for good") {
    c.must_delete("/api/v1/nodes/n1");
    CHECK(c.gone(std::string(kVolumes) + "/" + name));
  }
}

TEST_CASE("local-path: a selected node that does not exist is given back") {
  Volumes c;
  c.must_post(kClaims, claim("data", "1Gi", R"(,"storageClassName":"local-path")"));
  c.select_node("data", "nowhere");
  CHECK(c.the_claim("data").metadata.annotations.count(api::kSelectedNode) == 0);
  c.check_quiet();
}

}  // namespace
}  // namespace orch::server::test
