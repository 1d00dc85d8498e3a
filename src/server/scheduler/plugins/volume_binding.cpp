// VolumeBinding: nodes must reach the volumes a pod's claims are bound to; claims that wait for
// their first consumer are bound (or a volume for them is ordered) for the chosen node, before the
// pod is.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "orch/api/error.h"
#include "orch/api/volume_binding.h"
#include "server/scheduler/plugins/plugins.h"
#include "server/scheduler/volume_claims.h"

namespace orch::server::scheduler::plugins {
namespace {

using namespace api;
using ClaimPtr = VolumeView::Found<VolumeView::Claim>;
using VolumePtr = VolumeView::Found<VolumeView::Volume>;

constexpr std::string_view kName = "VolumeBinding";
constexpr const char* kBindConflict = "node(s) didn't find available persistent volumes to bind";
constexpr const char* kNodeConflict = "node(s) had volume node affinity conflict";
constexpr const char* kNotEnoughSpace = "node(s) did not have enough free storage";
constexpr const char* kNoVolume =
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

bool reaches(const corev1::PersistentVolume& volume, const corev1::Node& node) {
  const auto& affinity = volume.spec.nodeAffinity;
  if (!affinity || !affinity->required) return true;
  const auto& terms = affinity->required->nodeSelectorTerms;
  return std::any_of(terms.begin(), terms.end(),
                     [&](const auto& term) { return node_selector_term_matches(term, node); });
}

bool topology_allows(const storagev1::StorageClass& storage_class, const corev1::Node& node) {
  const auto& terms = storage_class.allowedTopologies;
  if (terms.empty()) return true;
  return std::any_of(terms.begin(), terms.end(), [&](const auto& term) {
    return std::all_of(term.matchLabelExpressions.begin(), term.matchLabelExpressions.end(),
                       [&](const auto& wanted) {
                         auto label = node.metadata.labels.find(wanted.key);
                         return label != node.metadata.labels.end() &&
                                std::find(wanted.values.begin(), wanted.values.end(),
                                          label->second) != wanted.values.end();
                       });
  });
}

bool has_capacity(const VolumeView& view, const storagev1::StorageClass& storage_class,
                  const corev1::PersistentVolumeClaim& claim, const corev1::Node& node) {
  auto driver = view.csi_driver(storage_class.provisioner);
  if (!driver || !driver->spec.storageCapacity.value_or(false)) return true;
  const Quantity wanted = storage_of(claim.spec.resources.requests);
  for (const auto& capacity : view.capacities()) {
    if (capacity->storageClassName != storage_class.metadata.name || !capacity->nodeTopology) {
      continue;
    }
    const auto& limit =
        capacity->maximumVolumeSize ? capacity->maximumVolumeSize : capacity->capacity;
    if (!limit || *limit < wanted) continue;
    auto selector = LabelSelector::from(*capacity->nodeTopology);
    if (selector && selector->matches(node.metadata.labels)) return true;
  }
  return false;
}

// What would be done for a pod on a node.
struct Binding {
  std::vector<std::pair<ClaimPtr, VolumePtr>> matches;  // bound to volumes that exist
  std::vector<ClaimPtr> orders;                         // provisioned for the node
  bool empty() const { return matches.empty() && orders.empty(); }
};

struct Data final : CycleState::Data {
  std::shared_ptr<const VolumeView> view;
  const Snapshot* snapshot = nullptr;  // of the cycle; not used once the pod was reserved
  std::vector<ClaimPtr> bound, delayed;
  std::vector<VolumePtr> candidates;  // of the classes of `delayed`
  // From Reserve on.
  NodeInfoPtr node;
  Binding binding;
  bool written = false;
  std::map<std::string, std::string> seen;  // claim uid -> resourceVersion before our write
  std::unique_ptr<CycleState::Data> clone() const override { return std::make_unique<Data>(*this); }
};

class VolumeBinding final : public PreFilter, public Filter, public Reserve, public PreBind {
 public:
  explicit VolumeBinding(const client::Client& client) : client_(client) {}
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    const auto& view = snapshot.view.volumes;
    auto claims = claims_of(pod, view.get());
    if (!claims) return Status::unresolvable(claims.error());
    if (claims->empty()) return Status::skip();
    auto data = std::make_unique<Data>();
    data->view = view;
    data->snapshot = &snapshot;
    for (auto& claim : *claims) {
      if (is_fully_bound(*claim)) {
        data->bound.push_back(std::move(claim));
        continue;
      }
      auto found = view->storage_class(class_of(*claim));
      if (!claim->spec.volumeName.empty() || !found || !waits_for_first_consumer(*found)) {
        return Status::unresolvable("pod has unbound immediate PersistentVolumeClaims");
      }
      data->delayed.push_back(std::move(claim));
    }
    // The smallest first, so that they do not take what the big ones need.
    std::stable_sort(data->delayed.begin(), data->delayed.end(), [](const auto& a, const auto& b) {
      return storage_of(a->spec.resources.requests) < storage_of(b->spec.resources.requests);
    });
    if (!data->delayed.empty()) {
      for (auto& volume : view->volumes()) {
        const bool wanted =
            std::any_of(data->delayed.begin(), data->delayed.end(),
                        [&](const auto& claim) { return class_of(*claim) == class_of(*volume); });
        if (wanted) data->candidates.push_back(std::move(volume));
      }
    }
    state.put(kName, std::move(data));
    return Status::success();
  }

  Status filter(const CycleState& state, const PodInfo&, const NodeInfo& node) const override {
    Binding ignored;
    return find(*state.get<Data>(kName), *node.node, ignored);
  }

  Status reserve(CycleState& state, const PodInfo&, const std::string& node) override {
    auto* data = state.get<Data>(kName);
    if (data == nullptr) return Status::success();
    const NodeInfoPtr* info = data->snapshot->find(node);
    if (info == nullptr) return Status::error(fmt::format("node {} is gone", go_quoted(node)));
    data->node = *info;
    data->snapshot = nullptr;
    data->candidates = data->delayed.empty() ? std::vector<VolumePtr>() : data->view->volumes();
    std::lock_guard lock(mutex_);
    Status status = find_locked(*data, *data->node->node, data->binding);
    if (!status.ok()) return status;
    for (const auto& [claim, volume] : data->binding.matches) {
      assumed_[volume->metadata.name] = {claim->metadata.uid, volume};
    }
    for (const auto& claim : data->binding.orders) ordered_[claim->metadata.uid] = node;
    return Status::success();
  }

  void unreserve(CycleState& state, const PodInfo&, const std::string&) noexcept override {
    if (auto* data = state.get<Data>(kName)) forget(*data);
  }

  Status pre_bind(CycleState& state, const PodInfo&, const std::string& node) override {
    auto* data = state.get<Data>(kName);
    if (data == nullptr || data->binding.empty()) return Status::success();
    if (!data->written) {
      if (Status status = write(*data, node); !status.ok()) return status;
      data->written = true;
    }
    Status status = check(*data, node);
    if (status.ok()) forget(*data);
    return status;
  }

  ClusterEvent::Mask interests() const override {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode,
                              ClusterEvent::kAdd | ClusterEvent::kLabel) |
           ClusterEvent::mask(ClusterEvent::Kind::kStorage, ClusterEvent::kAll);
  }
  bool may_help(const ClusterEvent& event, const PodInfo&) const override {
    return event.kind == ClusterEvent::Kind::kNode &&
           event.has(ClusterEvent::kAdd | ClusterEvent::kLabel);
  }
  bool storage_may_help(const ClusterEvent& event, const PodInfo& pod) const override {
    if (&event.object->type() != &corev1::PersistentVolumeClaim::type_info()) return true;
    return uses_claim(pod, *event.object);
  }

 private:
  struct Assumed {
    std::string claim_uid;
    VolumePtr volume;
  };

  Status find(const Data& data, const corev1::Node& node, Binding& out) const {
    if (data.delayed.empty()) return find_locked(data, node, out);
    std::lock_guard lock(mutex_);
    return find_locked(data, node, out);
  }

  // mutex_ is needed only if there are delayed claims.
  Status find_locked(const Data& data, const corev1::Node& node, Binding& out) const {
    out = {};
    bool conflict = false, missing = false, unmatched = false, no_space = false;
    for (const auto& claim : data.bound) {
      auto volume = data.view->volume(claim->spec.volumeName);
      if (!volume) {
        missing = true;
      } else if (!reaches(*volume, node)) {
        conflict = true;
      }
    }
    std::set<std::string> taken;
    for (const auto& claim : data.delayed) {
      const std::string selected = selected_node(*claim);
      if (!selected.empty() && selected != node.metadata.name) {
        unmatched = true;
        continue;
      }
      VolumePtr match = selected.empty() ? best_volume(data, *claim, node, taken) : nullptr;
      if (match) {
        taken.insert(match->metadata.name);
        out.matches.emplace_back(claim, std::move(match));
        continue;
      }
      auto found = data.view->storage_class(class_of(*claim));
      if (!found || found->provisioner.empty() || found->provisioner == kNoProvisioner ||
          !topology_allows(*found, node)) {
        unmatched = true;
      } else if (!has_capacity(*data.view, *found, *claim, node)) {
        no_space = true;
      } else {
        out.orders.push_back(claim);
      }
    }
    Status status{Code::kUnschedulableAndUnresolvable, {}, {}};
    if (conflict) status.reasons.emplace_back(kNodeConflict);
    if (unmatched) status.reasons.emplace_back(kBindConflict);
    if (no_space) status.reasons.emplace_back(kNotEnoughSpace);
    if (missing) status.reasons.emplace_back(kNoVolume);
    return status.reasons.empty() ? Status::success() : status;
  }

  std::string selected_node(const corev1::PersistentVolumeClaim& claim) const {
    std::string out = annotation(claim.metadata, kSelectedNode);
    if (!out.empty()) return out;
    auto at = ordered_.find(claim.metadata.uid);
    return at == ordered_.end() ? "" : at->second;
  }

  VolumePtr best_volume(const Data& data, const corev1::PersistentVolumeClaim& claim,
                        const corev1::Node& node, const std::set<std::string>& taken) const {
    VolumePtr best;
    for (const auto& volume : data.candidates) {
      if (taken.contains(volume->metadata.name) || !has_access_modes(claim, *volume)) continue;
      auto assumed = assumed_.find(volume->metadata.name);
      if (assumed != assumed_.end() && assumed->second.claim_uid != claim.metadata.uid) continue;
      if (is_bound_to(*volume, claim)) {
        return reaches(*volume, node) ? volume : nullptr;
      }
      if (!matches_unbound(*volume, claim) || !reaches(*volume, node)) continue;
      if (!best || storage_of(volume->spec.capacity) < storage_of(best->spec.capacity)) {
        best = volume;
      }
    }
    return best;
  }

  Status write(Data& data, const std::string& node) {
    const auto failed = [](const Error& error) {
      return Status::error("binding volumes: " + error.message);
    };
    for (const auto& [claim, volume] : data.binding.matches) {
      corev1::PersistentVolume wanted = *volume;
      bind_volume(wanted, *claim);
      if (equal(wanted, *volume)) continue;
      if (auto written = client_.update(wanted); !written) return failed(written.error());
    }
    for (const auto& claim : data.binding.orders) {
      data.seen[claim->metadata.uid] = claim->metadata.resourceVersion;
      if (annotation(claim->metadata, kSelectedNode) == node) continue;
      corev1::PersistentVolumeClaim wanted = *claim;
      wanted.metadata.annotations[kSelectedNode] = node;
      if (auto written = client_.update(wanted); !written) return failed(written.error());
    }
    return Status::success();
  }

  // Whether the claims are bound by now, to volumes that the node reaches.
  Status check(const Data& data, const std::string& node) const {
    std::vector<ClaimPtr> all = data.binding.orders;
    for (const auto& [claim, volume] : data.binding.matches) all.push_back(claim);
    bool waiting = false;
    for (const auto& claim : all) {
      const std::string& name = claim->metadata.name;
      auto now = data.view->claim(claim->metadata.namespace_, name);
      if (!now || now->metadata.uid != claim->metadata.uid) {
        return Status::error(
            fmt::format("binding volumes: persistentvolumeclaim {} not found", go_quoted(name)));
      }
      if (is_fully_bound(*now)) {
        auto volume = data.view->volume(now->spec.volumeName);
        if (volume && !reaches(*volume, *data.node->node)) {
          return Status::error(
              fmt::format("binding volumes: pv {} node affinity doesn't match node {}",
                          go_quoted(volume->metadata.name), go_quoted(node)));
        }
        waiting |= !volume;
        continue;
      }
      waiting = true;
      auto seen = data.seen.find(claim->metadata.uid);
      // A provisioner that cannot serve the node takes the annotation away again.
      if (seen != data.seen.end() && seen->second != now->metadata.resourceVersion &&
          annotation(now->metadata, kSelectedNode) != node) {
        return Status::error(
            fmt::format("binding volumes: provisioning failed for PVC {}", go_quoted(name)));
      }
    }
    return waiting ? Status::wait() : Status::success();
  }

  void forget(const Data& data) noexcept {
    std::lock_guard lock(mutex_);
    for (const auto& [claim, volume] : data.binding.matches) {
      assumed_.erase(volume->metadata.name);
    }
    for (const auto& claim : data.binding.orders) ordered_.erase(claim->metadata.uid);
  }

  const client::Client& client_;
  // What was decided but the caches do not show yet, by pods that are being bound.
  mutable std::mutex mutex_;
  std::map<std::string, Assumed> assumed_;      // by volume name
  std::map<std::string, std::string> ordered_;  // claim uid -> node
};

}  // namespace

std::unique_ptr<Plugin> make_volume_binding(const PluginContext& context) {
  return std::make_unique<VolumeBinding>(context.client);
}

}  // namespace orch::server::scheduler::plugins
