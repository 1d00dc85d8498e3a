// VolumeRestrictions: a claim of mode ReadWriteOncePod serves one pod at a time, in the whole
// cluster. (The disks of cloud providers that upstream also looks at are reached through CSI here.)
#include <algorithm>

#include "orch/api/volume_binding.h"
#include "server/scheduler/plugins/plugins.h"
#include "server/scheduler/volume_claims.h"

namespace orch::server::scheduler::plugins {
namespace {

using namespace api;

constexpr std::string_view kName = "VolumeRestrictions";

struct Data final : CycleState::Data {
  std::set<std::string> claims;  // of mode ReadWriteOncePod
  int conflicts = 0;             // uses of them by other pods
  std::unique_ptr<CycleState::Data> clone() const override { return std::make_unique<Data>(*this); }

  int uses_by(const PodInfo& pod, const PodInfo& other) const {
    if (other.namespace_() != pod.namespace_() || other.uid() == pod.uid()) return 0;
    int count = 0;
    for (const auto& volume : other.pod->spec.volumes) {
      const std::string name = claim_name_of(*other.pod, volume);
      if (!name.empty() && claims.contains(name)) ++count;
    }
    return count;
  }
};

class VolumeRestrictions final : public PreFilter, public Filter {
 public:
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    auto claims = claims_of(pod, snapshot.view.volumes.get());
    if (!claims) return Status::unresolvable(claims.error());
    auto data = std::make_unique<Data>();
    for (const auto& claim : *claims) {
      const auto& modes = claim->spec.accessModes;
      if (std::find(modes.begin(), modes.end(), "ReadWriteOncePod") != modes.end()) {
        data->claims.insert(claim->metadata.name);
      }
    }
    if (data->claims.empty()) return Status::skip();
    for (const auto& node : snapshot.nodes) {
      for (const auto& other : node->pods) data->conflicts += data->uses_by(pod, *other);
    }
    state.put(kName, std::move(data));
    return Status::success();
  }

  void add_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo&,
               const Snapshot&) const override {
    auto* data = state.get<Data>(kName);
    data->conflicts += data->uses_by(pod, other);
  }
  void remove_pod(CycleState& state, const PodInfo& pod, const PodInfo& other, const NodeInfo&,
                  const Snapshot&) const override {
    auto* data = state.get<Data>(kName);
    data->conflicts -= data->uses_by(pod, other);
  }

  Status filter(const CycleState& state, const PodInfo&, const NodeInfo&) const override {
    if (state.get<Data>(kName)->conflicts <= 0) return Status::success();
    return Status::unschedulable(
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access "
        "mode");
  }

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod, ClusterEvent::kDelete) |
           ClusterEvent::mask(ClusterEvent::Kind::kStorage, ClusterEvent::kAll);
  }
  bool may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (event.kind != ClusterEvent::Kind::kAssignedPod || !event.has(ClusterEvent::kDelete)) {
      return false;
    }
    const auto& volumes = event.pod->pod->spec.volumes;
    return event.pod->namespace_() == pod.namespace_() &&
           std::any_of(volumes.begin(), volumes.end(), [&](const auto& theirs) {
             const std::string name = claim_name_of(*event.pod->pod, theirs);
             const auto& mine = pod.pod->spec.volumes;
             return !name.empty() && std::any_of(mine.begin(), mine.end(), [&](const auto& v) {
               return claim_name_of(*pod.pod, v) == name;
             });
           });
  }
  bool storage_may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    return &event.object->type() == &corev1::PersistentVolumeClaim::type_info() &&
           uses_claim(pod, *event.object);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_volume_restrictions(const PluginContext&) {
  return std::make_unique<VolumeRestrictions>();
}

}  // namespace orch::server::scheduler::plugins
