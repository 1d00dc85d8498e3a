#include "server/scheduler/cache.h"

#include <algorithm>

namespace orch::server::scheduler {
namespace {

std::string zone_of(const NodeInfo& node) {
  const std::string* region = node.label("topology.kubernetes.io/region");
  const std::string* zone = node.label("topology.kubernetes.io/zone");
  return (region ? *region : "") + '\0' + (zone ? *zone : "");
}

// One node of each zone in turn.
std::vector<NodeInfoPtr> zones_in_turn(
    const std::map<std::string, std::shared_ptr<NodeInfo>>& all) {
  std::map<std::string, std::vector<NodeInfoPtr>> zones;
  size_t longest = 0;
  for (const auto& [name, info] : all) {
    if (!info->node) continue;
    auto& zone = zones[zone_of(*info)];
    zone.push_back(info);
    longest = std::max(longest, zone.size());
  }
  std::vector<NodeInfoPtr> out;
  for (size_t i = 0; i < longest; ++i) {
    for (const auto& [zone, nodes] : zones) {
      if (i < nodes.size()) out.push_back(nodes[i]);
    }
  }
  return out;
}

}  // namespace

// A copy of its own if the snapshot holds the present one.
NodeInfo& Cache::writable(const std::string& name) {
  auto& info = nodes_[name];
  if (!info) {
    info = std::make_shared<NodeInfo>();
  } else if (info.use_count() > 1) {
    info = std::make_shared<NodeInfo>(*info);
  }
  changed_.insert(name);
  return *info;
}

void Cache::drop_if_empty(const std::string& name) {
  auto at = nodes_.find(name);
  if (at != nodes_.end() && !at->second->node && at->second->pods.empty()) nodes_.erase(at);
}

void Cache::put_node(std::shared_ptr<const corev1::Node> node) {
  const std::string name = node->metadata.name;
  NodeInfo& info = writable(name);
  const auto images = info.image_bytes;
  const bool fresh = !info.node;
  const std::string zone = fresh ? "" : zone_of(info);
  info.set_node(std::move(node));
  if (fresh || zone != zone_of(info)) membership_changed_ = true;
  if (info.image_bytes != images) images_changed_ = true;
}

void Cache::remove_node(const std::string& name) {
  if (!nodes_.contains(name)) return;
  writable(name).set_node(nullptr);
  membership_changed_ = true;
  drop_if_empty(name);
}

std::shared_ptr<const corev1::Node> Cache::node(const std::string& name) const {
  auto at = nodes_.find(name);
  return at == nodes_.end() ? nullptr : at->second->node;
}

void Cache::place(const PodInfoPtr& pod, const std::string& node) {
  remove_pod(pod->uid());
  writable(node).add_pod(pod);
  pods_[pod->uid()] = {pod, node};
}

void Cache::put_pod(const PodInfoPtr& pod) {
  nominate(pod, "");
  place(pod, pod->pod->spec.nodeName);
}

void Cache::remove_pod(const std::string& uid) {
  assumed_.erase(uid);
  auto at = pods_.find(uid);
  if (at == pods_.end()) return;
  const std::string node = at->second.node;
  writable(node).remove_pod(uid);
  pods_.erase(at);
  drop_if_empty(node);
}

PodInfoPtr Cache::pod(const std::string& uid) const {
  auto at = pods_.find(uid);
  return at == pods_.end() ? nullptr : at->second.pod;
}

void Cache::assume(const PodInfoPtr& pod, const std::string& node) {
  nominate(pod, "");
  place(pod, node);
  assumed_.insert(pod->uid());
}

void Cache::forget(const std::string& uid) {
  if (is_assumed(uid)) remove_pod(uid);
}

void Cache::nominate(const PodInfoPtr& pod, const std::string& node) {
  for (auto at = nominated_.begin(); at != nominated_.end();) {
    nominated_changed_ |= std::erase_if(at->second, [&](const PodInfoPtr& other) {
                            return other->uid() == pod->uid();
                          }) > 0;
    at = at->second.empty() ? nominated_.erase(at) : std::next(at);
  }
  if (node.empty()) return;
  nominated_[node].push_back(pod);
  nominated_changed_ = true;
}

std::vector<PodInfoPtr> Cache::nominated_below(const std::string& node, int32_t priority) const {
  std::vector<PodInfoPtr> out;
  auto at = nominated_.find(node);
  if (at == nominated_.end()) return out;
  for (const auto& pod : at->second) {
    if (pod->priority < priority) out.push_back(pod);
  }
  return out;
}

void Cache::update(Snapshot& snapshot) {
  if (membership_changed_) {
    snapshot.nodes = zones_in_turn(nodes_);
    snapshot.rebuild_index();
  } else {
    for (const auto& name : changed_) {
      auto at = snapshot.index.find(name);
      if (at != snapshot.index.end()) snapshot.nodes[at->second] = nodes_.at(name);
    }
    if (images_changed_) snapshot.rebuild_index();
  }
  if (nominated_changed_) snapshot.nominated = nominated_;
  changed_.clear();
  membership_changed_ = images_changed_ = nominated_changed_ = false;
}

}  // namespace orch::server::scheduler
