// Attach-detach of CSI volumes: the plan, and the way to a Node's status.
#include "orch/api/storagev1.h"
#include "orch/api/volume_binding.h"
#include "orch/client/attachment.h"
#include "server/controllers/attach_detach_plan.h"
#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

using api::storagev1::VolumeAttachment;
using corev1::PersistentVolume;

std::shared_ptr<const PersistentVolume> csi_volume(const std::string& mode = "ReadWriteOnce") {
  PersistentVolume out;
  out.metadata.name = "v";
  out.spec.accessModes = {mode};
  auto& csi = out.spec.csi.emplace();
  csi.driver = "disk.example.com";
  csi.volumeHandle = "h1";
  return std::make_shared<const PersistentVolume>(out);
}

std::shared_ptr<const VolumeAttachment> attachment(const std::string& node, bool attached) {
  VolumeAttachment out;
  out.metadata.name = client::attachment_name("h1", "disk.example.com", node);
  out.spec.attacher = "disk.example.com";
  out.spec.nodeName = node;
  out.spec.source.persistentVolumeName = "v";
  out.status.attached = attached;
  return std::make_shared<const VolumeAttachment>(out);
}

AttachInput on_n1() {
  auto node = std::make_shared<corev1::Node>();
  node->metadata.name = "n1";
  return {.node = node, .node_name = "n1", .used = {{csi_volume(), {}, true}}, .attachments = {}};
}

TEST_CASE("a used volume is attached, once") {
  AttachInput input = on_n1();
  AttachPlan plan = plan_attachments(input);
  REQUIRE(plan.create.size() == 1);
  CHECK(plan.create[0].metadata.name == attachment("n1", false)->metadata.name);
  CHECK(plan.create[0].metadata.name.size() == 4 + 64);
  input.attachments = {attachment("n1", false)};
  plan = plan_attachments(input);
  CHECK(plan.create.empty());
  CHECK(plan.attached.empty());
  input.attachments = {attachment("n1", true)};
  plan = plan_attachments(input);
  REQUIRE(plan.attached.size() == 1);
  CHECK(plan.attached[0].name == "kubernetes.io/csi/disk.example.com^h1");
}

TEST_CASE("a driver that attaches nothing needs no object") {
  AttachInput input = on_n1();
  input.used[0].attach_required = false;
  CHECK(plan_attachments(input).create.empty());
}

TEST_CASE("another node gives the volume back first, unless it is shared") {
  AttachInput input = on_n1();
  input.attachments = {attachment("n2", true)};
  AttachPlan plan = plan_attachments(input);
  CHECK(plan.create.empty());
  CHECK(plan.refused.size() == 1);
  input.used[0].volume = csi_volume("ReadWriteMany");
  CHECK(plan_attachments(input).create.size() == 1);
}

TEST_CASE("what no pod uses is detached when the node has unmounted it") {
  AttachInput input = on_n1();
  input.used.clear();
  input.attachments = {attachment("n1", true)};
  CHECK(plan_attachments(input).remove.size() == 1);
  auto node = std::make_shared<corev1::Node>(*input.node);
  node->status.volumesInUse = {"kubernetes.io/csi/disk.example.com^h1"};
  input.node = node;
  CHECK(plan_attachments(input).remove.empty());
  input.node = nullptr;  // the node is gone
  CHECK(plan_attachments(input).remove.size() == 1);
}

TEST_CASE("a pod's CSI volume is attached to its node and detached after it") {
  Cluster c;
  c.must_post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})");
  c.must_post("/api/v1/persistentvolumes",
              R"({"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],"capacity":)"
              R"({"storage":"1Gi"},"csi":{"driver":"disk.example.com","volumeHandle":"h1"}}})");
  c.must_post("/api/v1/namespaces/default/persistentvolumeclaims",
              R"({"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],)"
              R"("storageClassName":"","resources":{"requests":{"storage":"1Gi"}}}})");
  c.must_post(kPods, pod("p", R"(,"nodeName":"n1","volumes":[{"name":"d",)"
                              R"("persistentVolumeClaim":{"claimName":"data"}}])"));
  c.settle();
  auto all = c.client.list<VolumeAttachment>();
  REQUIRE(all);
  REQUIRE(all->items.size() == 1);
  VolumeAttachment made = *all->items[0];
  CHECK(made.spec.nodeName == "n1");
  made.status.attached = true;
  REQUIRE(c.client.update_status(made));
  c.settle();
  CHECK(c.get("/api/v1/nodes/n1").at("status.volumesAttached") ==
        R"([{"name":"kubernetes.io/csi/disk.example.com^h1","devicePath":""}])");
  CHECK(c.events_of("p") ==
        std::vector<std::string>{"SuccessfulAttachVolume: AttachVolume.Attach succeeded for volume "
                                 "\"v\" "});
  c.check_quiet();
  c.del(std::string(kPods) + "/p?gracePeriodSeconds=0");
  c.settle();
  CHECK(c.client.list<VolumeAttachment>()->items.empty());
  CHECK(c.get("/api/v1/nodes/n1").at("status.volumesAttached") == "");
  c.check_quiet();
}

}  // namespace
}  // namespace orch::server::test
