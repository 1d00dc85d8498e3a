// VolumeZone: volumes labelled with a zone or region are reached from nodes of it only.
#include <algorithm>

#include "orch/api/volume_binding.h"
#include "orch/base/strings.h"
#include "server/scheduler/plugins/plugins.h"
#include "server/scheduler/volume_claims.h"

namespace orch::server::scheduler::plugins {
namespace {

using namespace api;

constexpr std::string_view kName = "VolumeZone";
// Pairs of a label and what it was called before.
constexpr const char* kLabels[][2] = {
    {"topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"},
    {"topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"}};

struct Topology {
  std::string label, old_label;
  std::vector<std::string> values;  // alternatives
};

struct Data final : CycleState::Data {
  std::vector<Topology> wanted;
  std::unique_ptr<CycleState::Data> clone() const override { return std::make_unique<Data>(*this); }
};

// "a__b" is a set of zones.
std::vector<std::string> zones_of(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    const size_t at = text.find("__");
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 2);
  }
}

class VolumeZone final : public PreFilter, public Filter {
 public:
  std::string_view name() const override { return kName; }

  Status pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                    std::optional<std::set<std::string>>&) const override {
    const auto& view = snapshot.view.volumes;
    auto claims = claims_of(pod, view.get());
    if (!claims) return Status::unresolvable(claims.error());
    auto data = std::make_unique<Data>();
    for (const auto& claim : *claims) {
      // Those without a volume yet are VolumeBinding's.
      if (claim->spec.volumeName.empty()) continue;
      auto volume = view->volume(claim->spec.volumeName);
      if (!volume) continue;
      for (const auto& [label, old_label] : kLabels) {
        for (const char* key : {label, old_label}) {
          auto value = volume->metadata.labels.find(key);
          if (value == volume->metadata.labels.end()) continue;
          data->wanted.push_back({label, old_label, zones_of(value->second)});
        }
      }
    }
    if (data->wanted.empty()) return Status::skip();
    state.put(kName, std::move(data));
    return Status::success();
  }

  Status filter(const CycleState& state, const PodInfo&, const NodeInfo& node) const override {
    // A node without any such label is in a cluster that knows no zones.
    const bool zoned = std::any_of(std::begin(kLabels), std::end(kLabels), [&](const auto& pair) {
      return node.label(pair[0]) != nullptr || node.label(pair[1]) != nullptr;
    });
    if (!zoned) return Status::success();
    for (const auto& wanted : state.get<Data>(kName)->wanted) {
      const std::string* label = node.label(wanted.label);
      if (label == nullptr) label = node.label(wanted.old_label);
      if (label == nullptr ||
          std::find(wanted.values.begin(), wanted.values.end(), *label) == wanted.values.end()) {
        return Status::unresolvable("node(s) had no available volume zone");
      }
    }
    return Status::success();
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
};

}  // namespace

std::unique_ptr<Plugin> make_volume_zone(const PluginContext&) {
  return std::make_unique<VolumeZone>();
}

}  // namespace orch::server::scheduler::plugins
