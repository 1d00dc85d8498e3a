#include "server/cloud/node_plan.h"

#include <algorithm>
#include <set>

#include "server/cloud/cloud_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;

constexpr std::string_view kInstanceType = "node.kubernetes.io/instance-type";
constexpr std::string_view kZone = "topology.kubernetes.io/zone";
constexpr std::string_view kRegion = "topology.kubernetes.io/region";

// The left one decides; the right one is its name of older days.
constexpr std::pair<std::string_view, std::string_view> kTwins[] = {
    {kInstanceType, "beta.kubernetes.io/instance-type"},
    {kZone, "failure-domain.beta.kubernetes.io/zone"},
    {kRegion, "failure-domain.beta.kubernetes.io/region"},
    {"kubernetes.io/os", "beta.kubernetes.io/os"},
    {"kubernetes.io/arch", "beta.kubernetes.io/arch"},
};

bool set_label(Node& node, std::string_view key, const std::string& value) {
  std::string& now = node.metadata.labels[std::string(key)];
  if (now == value) return false;
  now = value;
  return true;
}

std::set<std::pair<std::string, std::string>> as_set(
    const std::vector<corev1::NodeAddress>& addresses) {
  std::set<std::pair<std::string, std::string>> out;
  for (const auto& address : addresses) out.emplace(address.type, address.address);
  return out;
}

}  // namespace

bool apply_metadata(const InstanceMetadata& metadata, Node& node) {
  bool changed = false;
  if (node.spec.providerID.empty() && !metadata.provider_id.empty()) {
    node.spec.providerID = metadata.provider_id;
    changed = true;
  }
  // A label somebody gave the node by hand stays, as the machine's owner knows better.
  for (const auto& [key, value] :
       {std::pair{kInstanceType, metadata.instance_type}, std::pair{kZone, metadata.zone},
        std::pair{kRegion, metadata.region}}) {
    if (!value.empty() && node.metadata.labels.count(std::string(key)) == 0) {
      changed = set_label(node, key, value) || changed;
    }
  }
  for (const auto& [key, twin] : kTwins) {
    auto label = node.metadata.labels.find(std::string(key));
    if (label == node.metadata.labels.end()) continue;
    changed = set_label(node, twin, std::string(label->second)) || changed;
  }
  const auto taken = std::erase_if(
      node.spec.taints, [](const auto& taint) { return taint.key == kTaintUninitialized; });
  return changed || taken > 0;
}

bool apply_addresses(const InstanceMetadata& metadata, Node& node) {
  if (metadata.addresses.empty() || as_set(metadata.addresses) == as_set(node.status.addresses)) {
    return false;
  }
  node.status.addresses = metadata.addresses;
  return true;
}

}  // namespace orch::server
