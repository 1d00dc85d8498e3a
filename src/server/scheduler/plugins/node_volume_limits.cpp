// NodeVolumeLimits: no more volumes of a CSI driver on a node than its CSINode says it can attach.
#include "orch/api/volume_binding.h"
#include "server/scheduler/plugins/plugins.h"
#include "server/scheduler/volume_claims.h"

namespace orch::server::scheduler::plugins {
namespace {

using namespace api;

constexpr std::string_view kName = "NodeVolumeLimits";

// "driver" -> handles of volumes; a claim that has no volume yet counts under its own name.
using Volumes = std::map<std::string, std::set<std::string>>;

struct Data final : CycleState::Data {
  std::shared_ptr<const VolumeView> view;
  Volumes wanted;
  std::unique_ptr<CycleState::Data> clone() const override { return std::make_unique<Data>(*this); }
};

void add_volumes(const corev1::Pod& pod, const VolumeView& view, Volumes& out) {
  for (const auto& volume : pod.spec.volumes) {
    const std::string name = claim_name_of(pod, volume);
    auto claim = name.empty() ? nullptr : view.claim(pod.metadata.namespace_, name);
    if (!claim) continue;
    if (!claim->spec.volumeName.empty()) {
      auto bound = view.volume(claim->spec.volumeName);
      if (bound && bound->spec.csi)
        out[bound->spec.csi->driver].insert(bound->spec.csi->volumeHandle);
      continue;
    }
    auto storage_class = view.storage_class(class_of(*claim));
    if (storage_class && view.csi_driver(storage_class->provisioner)) {
      out[storage_class->provisioner].insert(key_of(*claim).str());
    }
  }
}

class NodeVolumeLimits final : public PreFilter, public Filter {
 public:
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    if (!has_claims(pod) || !snapshot.view.volumes) return Status::skip();
    auto data = std::make_unique<Data>();
    data->view = snapshot.view.volumes;
    add_volumes(*pod.pod, *data->view, data->wanted);
    if (data->wanted.empty()) return Status::skip();
    state.put(kName, std::move(data));
    return Status::success();
  }

  Status filter(const CycleState& state, const PodInfo&, const NodeInfo& node) const override {
    const auto& data = *state.get<Data>(kName);
    auto csi_node = data.view->csi_node(node.name());
    if (!csi_node) return Status::success();
    Volumes used;
    for (const auto& pod : node.pods) add_volumes(*pod->pod, *data.view, used);
    for (const auto& driver : csi_node->spec.drivers) {
      auto wanted = data.wanted.find(driver.name);
      if (wanted == data.wanted.end() || !driver.allocatable || !driver.allocatable->count) {
        continue;
      }
      auto& all = used[driver.name];
      const size_t before = all.size();
      all.insert(wanted->second.begin(), wanted->second.end());
      if (all.size() > before &&
          all.size() > static_cast<size_t>(std::max(0, *driver.allocatable->count))) {
        return Status::unschedulable("node(s) exceed max volume count");
      }
    }
    return Status::success();
  }

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAdd) |
           ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod, ClusterEvent::kDelete) |
           ClusterEvent::mask(ClusterEvent::Kind::kStorage, ClusterEvent::kAll);
  }
  bool may_help(const ClusterEvent& event, const PodInfo&) const override {
    if (event.kind == ClusterEvent::Kind::kNode) return event.has(ClusterEvent::kAdd);
    return event.has(ClusterEvent::kDelete) && has_claims(*event.pod);
  }
  bool storage_may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    const auto* type = &event.object->type();
    if (type == &corev1::PersistentVolumeClaim::type_info()) return uses_claim(pod, *event.object);
    return type == &storagev1::CSINode::type_info();
  }
};

}  // namespace

std::unique_ptr<Plugin> make_node_volume_limits(const PluginContext&) {
  return std::make_unique<NodeVolumeLimits>();
}

}  // namespace orch::server::scheduler::plugins
