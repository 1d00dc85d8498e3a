// Admission of claims and volumes: finalizers, the default class, growth, and what nodes may
// change.
#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "orch/api/volume_binding.h"
#include "server/admission/admission.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;
using api::corev1::PersistentVolume;
using api::corev1::PersistentVolumeClaim;

constexpr const char* kClaims = "/api/v1/namespaces/default/persistentvolumeclaims";
constexpr const char* kVolumes = "/api/v1/persistentvolumes";
constexpr const char* kClasses = "/apis/storage.k8s.io/v1/storageclasses";

struct VolumesFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  PluginChain chain{{.informers = informers, .random = *random, .client = client}, {}};

  VolumesFixture() {
    Hooks hooks;
    hooks.admission = &chain;
    server->set_hooks(hooks);
    informers.start_all();
    executor->run_until_idle();
  }
  ~VolumesFixture() {
    informers.stop();
    executor->run_until_idle();
  }
  void must_post(const std::string& path, const std::string& body) {
    const auto answer = post(path, body);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
  }
  void add_class(const std::string& name, const std::string& more = "") {
    must_post(kClasses, R"({"metadata":{"name":")" + name +
                            R"(","annotations":{"storageclass.kubernetes.io/is-default-class":)"
                            R"("true"}},"provisioner":"example.com/p")" +
                            more + "}");
  }
  PersistentVolumeClaim add_claim(const std::string& name, const std::string& more = "") {
    must_post(kClaims, R"({"metadata":{"name":")" + name +
                           R"("},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":)"
                           R"({"storage":"1Gi"}})" +
                           more + "}}");
    return *client.get<PersistentVolumeClaim>("default", name);
  }
};

TEST_CASE("claims and volumes are born protected") {
  VolumesFixture f;
  CHECK(f.add_claim("c").metadata.finalizers ==
        std::vector<std::string>{"kubernetes.io/pvc-protection"});
  f.must_post(kVolumes,
              R"({"metadata":{"name":"v","finalizers":["kubernetes.io/pv-protection"]},"spec":)"
              R"({"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"hostPath":)"
              R"({"path":"/x"}}})");
  CHECK(f.client.get<PersistentVolume>("", "v")->metadata.finalizers ==
        std::vector<std::string>{"kubernetes.io/pv-protection"});
}

TEST_CASE("a claim that names no class gets the newest default one") {
  VolumesFixture f;
  CHECK_FALSE(f.add_claim("before").spec.storageClassName);
  f.add_class("b");
  f.add_class("a");  // of the same second: by name
  CHECK(f.add_claim("equal").spec.storageClassName == "a");
  f.advance(Seconds{2});
  f.add_class("newer");
  CHECK(f.add_claim("after").spec.storageClassName == "newer");
  CHECK(f.add_claim("none", R"(,"storageClassName":"")").spec.storageClassName == "");
}

TEST_CASE("a claim grows only when it is bound and its class can") {
  VolumesFixture f;
  f.add_class("fixed");
  f.advance(Seconds{2});
  const auto grow = [&](const std::string& name) {
    return f.patch(std::string(kClaims) + "/" + name, "application/merge-patch+json",
                   R"({"spec":{"resources":{"requests":{"storage":"2Gi"}}}})");
  };
  const auto bind = [&](PersistentVolumeClaim claim) {
    claim.status.phase = "Bound";
    REQUIRE(f.client.update_status(claim));
  };
  const auto fixed = f.add_claim("fixed");
  CHECK(grow("fixed").status != 200);
  bind(fixed);
  const auto refused = grow("fixed");
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        "persistentvolumeclaims \"fixed\" is forbidden: only dynamically provisioned pvc can be "
        "resized and the storageclass that provisions the pvc must support resize");
  f.add_class("elastic", R"(,"allowVolumeExpansion":true)");
  bind(f.add_claim("elastic"));
  CHECK(grow("elastic").status == 200);
}

TEST_CASE("a node takes its own finalizer off its own volumes, and does nothing else to volumes") {
  VolumesFixture f;
  auto node_transport = f.server->local_transport(
      {.name = "system:node:n1", .groups = {"system:nodes", "system:authenticated"}});
  client::Client node(*node_transport);
  f.must_post(kVolumes,
              R"({"metadata":{"name":"pvc-1","finalizers":["orch.local/local-path"],"annotations":)"
              R"({"pv.kubernetes.io/provisioned-by":"orch.local/local-path",)"
              R"("orch.local/local-path-node":"n1"}},"spec":{"accessModes":["ReadWriteOnce"],)"
              R"("capacity":{"storage":"1Gi"},"hostPath":{"path":"/x"}}})");
  const auto get = [&] { return *f.client.get<PersistentVolume>("", "pvc-1"); };
  const auto refused = [&](const PersistentVolume& volume) {
    auto written = node.update(volume);
    return !written && written.error().code == 403;
  };
  PersistentVolume volume = get();
  std::erase(volume.metadata.finalizers, api::kLocalPathFinalizer);
  CHECK(refused(volume));  // it is not being deleted
  f.del(std::string(kVolumes) + "/pvc-1");
  volume = get();
  REQUIRE(volume.metadata.deletionTimestamp);
  SECTION("not another's finalizer") {
    std::erase(volume.metadata.finalizers, "kubernetes.io/pv-protection");
    CHECK(refused(volume));
  }
  SECTION("not its content") {
    std::erase(volume.metadata.finalizers, api::kLocalPathFinalizer);
    volume.spec.persistentVolumeReclaimPolicy = "Delete";
    CHECK(refused(volume));
  }
  SECTION("not another node's") {
    auto other_transport =
        f.server->local_transport({.name = "system:node:n2", .groups = {"system:nodes"}});
    client::Client other(*other_transport);
    std::erase(volume.metadata.finalizers, api::kLocalPathFinalizer);
    auto written = other.update(volume);
    CHECK((!written && written.error().code == 403));
  }
  SECTION("no status, no new volumes") {
    volume.status.phase = "Bound";
    CHECK_FALSE(node.update_status(volume));
    PersistentVolume fresh = volume;
    fresh.metadata = {};
    fresh.metadata.name = "mine";
    CHECK_FALSE(node.create(fresh));
  }
  SECTION("but this") {
    std::erase(volume.metadata.finalizers, api::kLocalPathFinalizer);
    REQUIRE(node.update(volume));
    CHECK(get().metadata.finalizers == std::vector<std::string>{"kubernetes.io/pv-protection"});
  }
}

}  // namespace
}  // namespace orch::server
