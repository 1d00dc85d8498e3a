// The decisions of the volume controllers.
#include <catch2/catch.hpp>

#include "server/controllers/local_path_plan.h"
#include "server/controllers/persistent_volume_plan.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using Do = ClaimDecision::Do;

Quantity quantity(const char* text) { return *Quantity::parse(text); }

PersistentVolumeClaim claim(const char* size = "1Gi") {
  PersistentVolumeClaim out;
  out.metadata.name = "data";
  out.metadata.namespace_ = "default";
  out.metadata.uid = "u1";
  out.spec.accessModes = {"ReadWriteOnce"};
  out.spec.resources.requests["storage"] = quantity(size);
  out.spec.storageClassName = "";
  out.status.phase = "Pending";
  return out;
}

PersistentVolume volume(const std::string& name, const char* size) {
  PersistentVolume out;
  out.metadata.name = name;
  out.spec.capacity["storage"] = quantity(size);
  out.spec.accessModes = {"ReadWriteOnce"};
  out.spec.persistentVolumeReclaimPolicy = "Retain";
  out.status.phase = "Available";
  return out;
}

std::shared_ptr<const storagev1::StorageClass> a_class(const std::string& name,
                                                       const std::string& mode = "Immediate",
                                                       const std::string& by = "example.com/p") {
  storagev1::StorageClass out;
  out.metadata.name = name;
  out.provisioner = by;
  out.volumeBindingMode = mode;
  return std::make_shared<const storagev1::StorageClass>(out);
}

ClaimDecision decide(const PersistentVolumeClaim& c, const std::vector<PersistentVolume>& volumes,
                     std::shared_ptr<const storagev1::StorageClass> storage_class = nullptr,
                     std::shared_ptr<const storagev1::StorageClass> by_default = nullptr,
                     std::vector<std::string> pods = {}) {
  ClaimInput input{c, {}, std::move(storage_class), std::move(by_default), std::move(pods)};
  for (const auto& v : volumes) input.volumes.push_back(std::make_shared<PersistentVolume>(v));
  return decide_claim(input);
}

std::string chosen(const ClaimDecision& decision) {
  return decision.volume ? decision.volume->metadata.name : "";
}
std::string text(const std::optional<VolumeEvent>& event) {
  return event ? event->type + " " + event->reason + ": " + event->message : "";
}

TEST_CASE("a claim takes the smallest volume that is big enough") {
  auto found = decide(claim(), {volume("small", "500Mi"), volume("big", "5Gi"),
                                volume("fits", "2Gi"), volume("huge", "10Gi")});
  CHECK(found.action == Do::kBind);
  CHECK(chosen(found) == "fits");
}

TEST_CASE("what keeps a volume from serving a claim") {
  auto refused = [](const PersistentVolume& v, const PersistentVolumeClaim& c = claim()) {
    return decide(c, {v}).action == Do::kPending;
  };
  PersistentVolume v = volume("v", "1Gi");
  CHECK_FALSE(refused(v));
  SECTION("class") { v.spec.storageClassName = "other"; }
  SECTION("access modes") { v.spec.accessModes = {"ReadOnlyMany"}; }
  SECTION("mode") { v.spec.volumeMode = "Block"; }
  SECTION("someone else's") {
    auto& ref = v.spec.claimRef.emplace();
    ref.namespace_ = "default";
    ref.name = "other";
  }
  SECTION("an earlier claim of the same name") {
    auto& ref = v.spec.claimRef.emplace();
    ref.namespace_ = "default";
    ref.name = "data";
    ref.uid = "u0";
  }
  SECTION("phase") { v.status.phase = "Released"; }
  SECTION("being deleted") { v.metadata.deletionTimestamp = Time(WallTime{}); }
  CHECK(refused(v));
}

TEST_CASE("a selector looks at labels") {
  PersistentVolumeClaim c = claim();
  c.spec.selector.emplace().matchLabels["disk"] = "ssd";
  PersistentVolume labelled = volume("labelled", "9Gi");
  labelled.metadata.labels["disk"] = "ssd";
  CHECK(chosen(decide(c, {volume("plain", "1Gi"), labelled})) == "labelled");
}

TEST_CASE("a volume reserved for the claim comes before a better one") {
  PersistentVolume reserved = volume("reserved", "9Gi");
  auto& ref = reserved.spec.claimRef.emplace();
  ref.namespace_ = "default";
  ref.name = "data";
  CHECK(chosen(decide(claim(), {volume("fits", "1Gi"), reserved})) == "reserved");
}

TEST_CASE("fewer access modes beyond those asked for are better") {
  PersistentVolume many = volume("many", "1Gi");
  many.spec.accessModes = {"ReadWriteOnce", "ReadOnlyMany"};
  CHECK(chosen(decide(claim(), {many, volume("one", "3Gi")})) == "one");
}

TEST_CASE("a claim without a volume says what it waits for") {
  CHECK(text(decide(claim(), {}).event) ==
        "Normal FailedBinding: no persistent volumes available for this claim and no storage "
        "class is set");
  PersistentVolumeClaim c = claim();
  c.spec.storageClassName = "fast";
  CHECK(text(decide(c, {}).event) ==
        "Warning ProvisioningFailed: storageclass.storage.k8s.io \"fast\" not found");
  CHECK(text(decide(c, {}, a_class("fast", "Immediate", kNoProvisioner)).event) ==
        "Warning ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner");
  const auto lazy = a_class("fast", "WaitForFirstConsumer");
  CHECK(text(decide(c, {}, lazy).event) ==
        "Normal WaitForFirstConsumer: waiting for first consumer to be created before binding");
  CHECK(text(decide(c, {}, lazy, nullptr, {"p1"}).event) ==
        "Normal WaitForPodScheduled: waiting for pod p1 to be scheduled");
  CHECK(text(decide(c, {}, lazy, nullptr, {"p1", "p2"}).event) ==
        "Normal WaitForPodScheduled: waiting for pods p1,p2 to be scheduled");
}

TEST_CASE("a class that waits leaves free volumes to the scheduler") {
  PersistentVolumeClaim c = claim();
  c.spec.storageClassName = "lazy";
  PersistentVolume v = volume("v", "1Gi");
  v.spec.storageClassName = "lazy";
  const auto lazy = a_class("lazy", "WaitForFirstConsumer");
  CHECK(decide(c, {v}, lazy).action == Do::kPending);
  SECTION("until it has reserved one") {
    bind_volume(v, c);
    CHECK(v.metadata.annotations.at(kBoundByController) == "yes");
    CHECK(chosen(decide(c, {v}, lazy)) == "v");
  }
  SECTION("or chosen a node") {
    c.metadata.annotations[kSelectedNode] = "n1";
    const auto decision = decide(c, {}, lazy);
    CHECK(decision.action == Do::kProvision);
    CHECK(decision.provisioner == "example.com/p");
  }
}

TEST_CASE("a provisioner is asked for a volume") {
  PersistentVolumeClaim c = claim();
  c.spec.storageClassName = "fast";
  const auto decision = decide(c, {}, a_class("fast"));
  CHECK(decision.action == Do::kProvision);
  CHECK(text(decision.event) ==
        "Normal ExternalProvisioning: Waiting for a volume to be created either by the external "
        "provisioner 'example.com/p' or manually by the system administrator. If volume creation "
        "is delayed, please verify that the provisioner is running and correctly registered.");
}

TEST_CASE("a claim that names no class gets the default one later; one that names none does not") {
  PersistentVolumeClaim c = claim();
  CHECK(decide(c, {}, nullptr, a_class("main")).action == Do::kPending);
  c.spec.storageClassName.reset();
  const auto decision = decide(c, {}, nullptr, a_class("main"));
  CHECK(decision.action == Do::kAssignClass);
  CHECK(decision.storage_class == "main");
}

TEST_CASE("a volume asked for by name") {
  PersistentVolumeClaim c = claim();
  c.spec.volumeName = "v";
  PersistentVolume v = volume("v", "1Gi");
  CHECK(decide(c, {}).action == Do::kPending);
  CHECK(decide(c, {v}).action == Do::kBind);
  v.spec.capacity["storage"] = quantity("1Mi");
  CHECK(text(decide(c, {v}).event) ==
        "Warning VolumeMismatch: Cannot bind to requested volume \"v\": requested PV is too small");
  v = volume("v", "1Gi");
  v.spec.claimRef.emplace().name = "other";
  CHECK(text(decide(c, {v}).event) ==
        "Warning FailedBinding: volume \"v\" already bound to a different claim.");
}

TEST_CASE("a bound claim whose volume is gone or another's is lost") {
  PersistentVolumeClaim c = claim();
  PersistentVolume v = volume("v", "1Gi");
  bind_volume(v, c);
  bind_claim(c, v);
  CHECK(decide(c, {v}).action == Do::kBind);
  CHECK(text(decide(c, {}).event) ==
        "Warning ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is "
        "lost!");
  v.spec.claimRef->uid = "other";
  const auto decision = decide(c, {v});
  CHECK(decision.action == Do::kLost);
  CHECK(text(decision.event) ==
        "Warning ClaimMisbound: Two claims are bound to the same volume, this one is bound "
        "incorrectly");
}

TEST_CASE("binding again changes nothing") {
  PersistentVolumeClaim c = claim();
  PersistentVolume v = volume("v", "2Gi");
  bind_volume(v, c);
  bind_claim(c, v);
  set_claim_status(c, "Bound", &v);
  CHECK(c.status.capacity.at("storage") == quantity("2Gi"));
  CHECK(c.metadata.annotations.at(kBoundByController) == "yes");
  PersistentVolumeClaim c2 = c;
  PersistentVolume v2 = v;
  c2.metadata.resourceVersion = "77";
  bind_volume(v2, c2);
  CHECK(equal(v, v2));
  bind_claim(c2, v2);
  set_claim_status(c2, "Bound", &v2);
  c2.metadata.resourceVersion.clear();
  CHECK(equal(c, c2));
}

TEST_CASE("a claim that is to grow waits for whoever can do that") {
  PersistentVolumeClaim c = claim();
  PersistentVolume v = volume("v", "1Gi");
  bind_volume(v, c);
  bind_claim(c, v);
  set_claim_status(c, "Bound", &v);
  CHECK_FALSE(decide(c, {v}).event);
  c.spec.resources.requests["storage"] = quantity("2Gi");
  CHECK(text(decide(c, {v}).event) ==
        "Warning ExternalExpanding: waiting for an external controller to expand this PVC");
  set_claim_status(c, "Bound", &v);
  CHECK(c.status.capacity.at("storage") == quantity("1Gi"));
}

// ---- volumes ----

VolumeDecision decide_volume_of(const PersistentVolume& v, const PersistentVolumeClaim* c) {
  return decide_volume(
      {v, c == nullptr ? nullptr : std::make_shared<const PersistentVolumeClaim>(*c)});
}

TEST_CASE("a volume's phase follows its claim") {
  PersistentVolume v = volume("v", "1Gi");
  CHECK(decide_volume_of(v, nullptr).phase == "Available");
  v.spec.claimRef.emplace().name = "data";
  CHECK(decide_volume_of(v, nullptr).phase == "Available");
  PersistentVolumeClaim c = claim();
  v = volume("v", "1Gi");
  bind_volume(v, c);
  CHECK(decide_volume_of(v, &c).action == VolumeDecision::Do::kNothing);
  bind_claim(c, v);
  CHECK(decide_volume_of(v, &c).phase == "Bound");
  v.status.phase = "Bound";
  CHECK(decide_volume_of(v, nullptr).phase == "Released");
  PersistentVolumeClaim again = c;
  again.metadata.uid = "u2";
  CHECK(decide_volume_of(v, &again).phase == "Released");
}

TEST_CASE("a released volume is treated by its policy") {
  PersistentVolume v = volume("v", "1Gi");
  bind_volume(v, claim());
  v.status.phase = "Released";
  CHECK(decide_volume_of(v, nullptr).action == VolumeDecision::Do::kNothing);
  v.spec.persistentVolumeReclaimPolicy = "Recycle";
  CHECK(text(decide_volume_of(v, nullptr).event) ==
        "Warning VolumeFailedRecycle: No recycler plugin found for the volume!");
  v.spec.persistentVolumeReclaimPolicy = "Delete";
  v.spec.hostPath.emplace().path = "/data";
  CHECK(text(decide_volume_of(v, nullptr).event) ==
        "Warning VolumeFailedDelete: host_path deleter only supports /tmp/.+ but received "
        "provided /data");
  v.spec.hostPath.reset();
  CHECK(text(decide_volume_of(v, nullptr).event) ==
        "Warning VolumeFailedDelete: error getting deleter volume plugin for volume \"v\": no "
        "deletable volume plugin matched");
  v.metadata.annotations[kProvisionedBy] = "example.com/p";
  CHECK(decide_volume_of(v, nullptr).action == VolumeDecision::Do::kNothing);
}

TEST_CASE("a volume whose claim is bound elsewhere is given back") {
  PersistentVolume v = volume("v", "1Gi");
  PersistentVolumeClaim c = claim();
  bind_volume(v, c);
  c.spec.volumeName = "other";
  CHECK(decide_volume_of(v, &c).action == VolumeDecision::Do::kUnbind);
  PersistentVolume ours = v;
  unbind_volume(ours);
  CHECK_FALSE(ours.spec.claimRef);
  v.metadata.annotations.erase(kBoundByController);  // reserved by a user
  unbind_volume(v);
  CHECK(v.spec.claimRef->name == "data");
  CHECK(v.spec.claimRef->uid.empty());
}

// ---- local-path ----

struct Provision {
  PersistentVolumeClaim c = claim();
  std::shared_ptr<const storagev1::StorageClass> storage_class =
      std::make_shared<const storagev1::StorageClass>(local_path_class());
  std::shared_ptr<corev1::Node> node = std::make_shared<corev1::Node>();
  Provision() {
    c.spec.storageClassName = "local-path";
    c.metadata.annotations = {{kStorageProvisioner, kLocalPathProvisioner}, {kSelectedNode, "n1"}};
    node->metadata.name = "n1";
    node->metadata.labels["kubernetes.io/hostname"] = "host1";
    node->metadata.annotations[kLocalPathDirectory] = "/var/lib/orch/storage";
  }
  ProvisionDecision decide() const { return decide_provision({c, storage_class, node}); }
};

TEST_CASE("local-path makes a volume on the selected node") {
  Provision p;
  const auto decision = p.decide();
  REQUIRE(decision.action == ProvisionDecision::Do::kCreate);
  const auto& v = *decision.volume;
  CHECK(v.metadata.name == "pvc-u1");
  CHECK(v.spec.local->path == "/var/lib/orch/storage/pvc-u1");
  CHECK(v.metadata.annotations ==
        std::map<std::string, std::string>{{kProvisionedBy, kLocalPathProvisioner},
                                           {kLocalPathNode, "n1"}});
  CHECK(v.metadata.finalizers == std::vector<std::string>{kLocalPathFinalizer});
  CHECK(is_bound_to(v, p.c));
  CHECK(v.spec.persistentVolumeReclaimPolicy == "Delete");
  const auto& requirement = v.spec.nodeAffinity->required->nodeSelectorTerms[0].matchExpressions[0];
  CHECK(requirement.values == std::vector<std::string>{"host1"});
}

TEST_CASE("local-path leaves alone what is not its own or not decided yet") {
  Provision p;
  SECTION("no node") { p.c.metadata.annotations.erase(kSelectedNode); }
  SECTION("bound") { p.c.spec.volumeName = "v"; }
  SECTION("another provisioner") { p.c.metadata.annotations[kStorageProvisioner] = "x.com/y"; }
  SECTION("being deleted") { p.c.metadata.deletionTimestamp = Time(WallTime{}); }
  CHECK(p.decide().action == ProvisionDecision::Do::kNothing);
}

TEST_CASE("local-path refuses what it cannot do") {
  Provision p;
  SECTION("access mode") {
    p.c.spec.accessModes = {"ReadWriteMany"};
    CHECK(p.decide().error ==
          "access mode ReadWriteMany is not supported: only ReadWriteOnce and ReadWriteOncePod "
          "are");
  }
  SECTION("block") { p.c.spec.volumeMode = "Block"; }
  SECTION("a node that offers nothing") {
    p.node->metadata.annotations.clear();
    CHECK(p.decide().error == "node \"n1\" offers no directory for volumes");
  }
  CHECK(p.decide().action == ProvisionDecision::Do::kRefuse);
}

TEST_CASE("local-path lets the scheduler choose again when the node is gone") {
  Provision p;
  p.node = nullptr;
  CHECK(p.decide().action == ProvisionDecision::Do::kReselect);
}

TEST_CASE("only released local-path volumes of policy Delete are deleted") {
  PersistentVolume v = *Provision().decide().volume;
  CHECK_FALSE(to_delete(v));
  v.status.phase = "Released";
  CHECK(to_delete(v));
  v.spec.persistentVolumeReclaimPolicy = "Retain";
  CHECK_FALSE(to_delete(v));
  v.spec.persistentVolumeReclaimPolicy = "Delete";
  v.metadata.annotations[kProvisionedBy] = "example.com/p";
  CHECK_FALSE(to_delete(v));
}

}  // namespace
}  // namespace orch::server
