// Attach-detach for CSI: a VolumeAttachment for every volume that pods of a node use, which the
// driver's attacher carries out; the outcome shows in the Node's status. Keys are node names.
#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/base/strings.h"
#include "server/controllers/attach_detach_plan.h"
#include "server/controllers/pods.h"
#include "server/controllers/specs.h"
#include "server/controllers/volume_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using corev1::Pod;
using storagev1::CSIDriver;
using storagev1::VolumeAttachment;

constexpr const char* kByVolume = "volume";

class AttachDetach final : public client::Reconciler {
 public:
  explicit AttachDetach(client::ControllerContext& context)
      : client_(context.client),
        events_(context.events),
        nodes_(context.informers.lister<Node>()),
        pods_(context.informers.lister<Pod>()),
        claims_(context.informers.lister<PersistentVolumeClaim>()),
        volumes_(context.informers.lister<PersistentVolume>()),
        drivers_(context.informers.lister<CSIDriver>()),
        attachments_(context.informers.lister<VolumeAttachment>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const AttachInput input = input_of(key.name);
    const AttachPlan plan = plan_attachments(input);
    for (const auto& attachment : plan.create) {
      auto created = client_.create(attachment);
      if (!created && !created.error().is("AlreadyExists")) {
        return Err(client::ReconcileError(created.error()));
      }
    }
    for (const auto& name : plan.remove) {
      auto removed = client_.remove<VolumeAttachment>("", name);
      if (!removed && !removed.error().is("NotFound")) {
        return Err(client::ReconcileError(removed.error()));
      }
    }
    for (const UsedVolume* used : plan.refused) tell_refused(*used);
    tell_outcomes(input);
    if (!input.node) return client::done();
    return write_attached(*input.node, plan.attached);
  }

 private:
  AttachInput input_of(const std::string& node) const {
    AttachInput input{
        .node = nodes_.get("", node), .node_name = node, .used = {}, .attachments = {}};
    std::map<std::string, UsedVolume> used;
    for (const auto& pod : pods_.by_index("node", node)) {
      if (is_terminal(*pod)) continue;
      for (const auto& key : claims_of(*pod)) {
        auto claim = claims_.get(key.namespace_, key.name);
        auto volume =
            claim && is_fully_bound(*claim) ? volumes_.get("", claim->spec.volumeName) : nullptr;
        if (!volume || !volume->spec.csi) continue;
        UsedVolume& entry = used[volume->metadata.name];
        entry.volume = volume;
        entry.pods.push_back(pod);
      }
    }
    input.attachments = attachments_.by_index("node", node);
    for (auto& [name, entry] : used) {
      auto driver = drivers_.get("", entry.volume->spec.csi->driver);
      entry.attach_required = !driver || driver->spec.attachRequired.value_or(true);
      for (auto& attachment : attachments_.by_index(kByVolume, name)) {
        if (attachment->spec.nodeName != node) input.attachments.push_back(std::move(attachment));
      }
      input.used.push_back(std::move(entry));
    }
    return input;
  }

  void tell_refused(const UsedVolume& used) {
    std::vector<std::string> others;
    const auto& ref = used.volume->spec.claimRef;
    if (ref) {
      for (const auto& pod : pods_.by_index(kPodsByClaim, ref->namespace_ + "/" + ref->name)) {
        if (!pod->spec.nodeName.empty() && pod->spec.nodeName != used.pods[0]->spec.nodeName) {
          others.push_back(pod->metadata.name);
        }
      }
    }
    const std::string why =
        others.empty() ? "Volume is already exclusively attached to one node and can't be attached "
                         "to another"
                       : "Volume is already used by pod(s) " + join(others, ", ");
    for (const auto& pod : used.pods) {
      events_.tell(
          *pod, "Warning", "FailedAttachVolume",
          fmt::format("Multi-Attach error for volume \"{}\" {}", used.volume->metadata.name, why));
    }
  }

  void tell_outcomes(const AttachInput& input) {
    for (const auto& used : input.used) {
      for (const auto& attachment : input.attachments) {
        const std::string& name = used.volume->metadata.name;
        if (attachment->spec.nodeName != input.node_name ||
            attachment->spec.source.persistentVolumeName.value_or("") != name) {
          continue;
        }
        for (const auto& pod : used.pods) {
          if (pod->status.phase == "Running") continue;
          if (attachment->status.attached) {
            events_.tell(*pod, "Normal", "SuccessfulAttachVolume",
                         fmt::format("AttachVolume.Attach succeeded for volume \"{}\" ", name));
          } else if (attachment->status.attachError) {
            events_.tell(*pod, "Warning", "FailedAttachVolume",
                         fmt::format("AttachVolume.Attach failed for volume \"{}\" : {}", name,
                                     attachment->status.attachError->message));
          }
        }
      }
    }
  }

  client::ReconcileResult write_attached(const Node& node,
                                         const std::vector<corev1::AttachedVolume>& attached) {
    const auto& now = node.status.volumesAttached;
    const bool same = std::equal(now.begin(), now.end(), attached.begin(), attached.end(),
                                 [](const auto& a, const auto& b) { return equal(a, b); });
    if (same) return client::done();
    std::vector<std::string> items;
    for (const auto& volume : attached) items.push_back(to_json(volume));
    auto patched = client_.patch<Node>(
        "", node.metadata.name, PatchType::kMerge,
        fmt::format(R"({{"status":{{"volumesAttached":[{}]}}}})", join(items, ",")), "status");
    if (patched || patched.error().is("NotFound")) return client::done();
    return Err(client::ReconcileError(patched.error()));
  }

  const client::Client& client_;
  OnceRecorder events_;
  client::Lister<Node> nodes_;
  client::Lister<Pod> pods_;
  client::Lister<PersistentVolumeClaim> claims_;
  client::Lister<PersistentVolume> volumes_;
  client::Lister<CSIDriver> drivers_;
  client::Lister<VolumeAttachment> attachments_;
};

// The nodes of the pods that use a claim.
void add_nodes_of(const client::Lister<Pod>& pods, const std::string& claim,
                  std::vector<ObjectKey>& out) {
  for (const auto& pod : pods.by_index(kPodsByClaim, claim)) {
    if (!pod->spec.nodeName.empty()) out.push_back({"", pod->spec.nodeName});
  }
}

void index_attachments(client::InformerSet& informers) {
  auto& informer = informers.get<VolumeAttachment>();
  informer.add_index("node", [](const Object& object) -> std::vector<std::string> {
    return {static_cast<const VolumeAttachment&>(object).spec.nodeName};
  });
  informer.add_index(kByVolume, [](const Object& object) -> std::vector<std::string> {
    return {
        static_cast<const VolumeAttachment&>(object).spec.source.persistentVolumeName.value_or("")};
  });
}

}  // namespace

client::ControllerSpec attach_detach(client::ControllerContext& context, const ControllersConfig&) {
  index_pods_by_claim(context.informers);
  index_attachments(context.informers);
  const auto pods = context.informers.lister<Pod>();
  using Keys = std::vector<ObjectKey>;
  auto of_pod = [](const Pod& pod) -> Keys {
    if (pod.spec.nodeName.empty() || claims_of(pod).empty()) return {};
    return {{"", pod.spec.nodeName}};
  };
  auto of_claim = [pods](const PersistentVolumeClaim& claim) {
    Keys keys;
    if (is_fully_bound(claim)) add_nodes_of(pods, key_of(claim).str(), keys);
    return keys;
  };
  auto of_volume = [pods](const PersistentVolume& volume) {
    Keys keys;
    const auto& ref = volume.spec.claimRef;
    if (volume.spec.csi && ref) add_nodes_of(pods, ref->namespace_ + "/" + ref->name, keys);
    return keys;
  };
  // A volume that one node gave back is free for the next.
  auto of_attachment = [pods, volumes = context.informers.lister<PersistentVolume>()](
                           const VolumeAttachment& attachment) {
    Keys keys{{"", attachment.spec.nodeName}};
    auto volume = volumes.get("", attachment.spec.source.persistentVolumeName.value_or(""));
    if (volume && volume->spec.claimRef) {
      const auto& ref = *volume->spec.claimRef;
      add_nodes_of(pods, ref.namespace_ + "/" + ref.name, keys);
    }
    return keys;
  };
  Keys (*of_driver)(const CSIDriver&) = [](const CSIDriver&) { return Keys{}; };
  return {.name = "persistentvolume-attach-detach-controller",
          .watches = {client::mapped<Pod>(of_pod), client::mapped<PersistentVolumeClaim>(of_claim),
                      client::mapped<PersistentVolume>(of_volume),
                      client::mapped<VolumeAttachment>(of_attachment),
                      client::mapped<CSIDriver>(of_driver), client::primary<Node>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<AttachDetach>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
