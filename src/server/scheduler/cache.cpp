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
std::vector<NodeInfoPtr> zones_in_turn(const std::vector<std::shared_ptr<NodeInfo>>& sorted) {
  std::map<std::string, std::vector<NodeInfoPtr>> zones;
  size_t longest = 0;
  for (const auto& info : sorted) {
    auto& zone = zones[zone_of(*info)];
    zone.push_back(info);
    longest = std::max(longest, zone.size());
  }
  std::vector<NodeInfoPtr> out;
  out.reserve(sorted.size());
  for (size_t i = 0; i < longest; ++i) {
    for (const auto& [zone, nodes] : zones) {
      if (i < nodes.size()) out.push_back(nodes[i]);
    }
  }
  return out;
}

}  // namespace

uint32_t Cache::slot_of(const std::string& name) {
  auto [at, fresh] = numbers_.try_emplace(name, 0);
  if (!fresh) return at->second;
  if (free_.empty()) {
    at->second = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
    names_.emplace_back();
  } else {
    at->second = free_.back();
    free_.pop_back();
  }
  slots_[at->second] = std::make_shared<NodeInfo>();
  slots_[at->second]->slot = at->second;
  names_[at->second] = name;
  return at->second;
}

// A copy of its own if the snapshot holds the present one.
NodeInfo& Cache::writable(uint32_t slot) {
  auto& info = slots_[slot];
  const bool noted = info->generation > shown_;
  if (info.use_count() > 1) info = std::make_shared<NodeInfo>(*info);
  info->generation = ++generations_;
  if (!noted) changed_.push_back(slot);
  return *info;
}

void Cache::drop_if_empty(const std::string& name, uint32_t slot) {
  const auto& info = slots_[slot];
  if (info->node || !info->pods.empty() || !info->nominated.empty()) return;
  changed_.push_back(slot);
  numbers_.erase(name);  // before what it may refer to
  slots_[slot] = nullptr;
  names_[slot].clear();
  free_.push_back(slot);
}

void Cache::put_node(std::shared_ptr<const corev1::Node> node) {
  NodeInfo& info = writable(slot_of(node->metadata.name));
  const auto images = info.image_bytes;
  const bool fresh = !info.node;
  const std::string zone = fresh ? "" : zone_of(info);
  info.set_node(std::move(node));
  if (fresh || zone != zone_of(info)) membership_changed_ = true;
  if (info.image_bytes != images) images_changed_ = true;
}

void Cache::remove_node(const std::string& name) {
  auto at = numbers_.find(name);
  if (at == numbers_.end()) return;
  const uint32_t slot = at->second;
  writable(slot).set_node(nullptr);
  membership_changed_ = true;
  drop_if_empty(name, slot);
}

std::shared_ptr<const corev1::Node> Cache::node(const std::string& name) const {
  auto at = numbers_.find(name);
  return at == numbers_.end() ? nullptr : slots_[at->second]->node;
}

void Cache::place(const PodInfoPtr& pod, const std::string& node, bool assumed) {
  const uint32_t slot = slot_of(node);
  auto known = pods_.find(pod->uid());
  if (known != pods_.end() && known->second.slot == slot) {
    writable(slot).replace_pod(known->second.pod, pod);
    assumed_ -= known->second.assumed ? 1 : 0;
    known->second = {pod, slot, assumed};
  } else {
    // Added first: the slot is held, should the pod's going leave another one empty.
    writable(slot).add_pod(pod);
    if (known != pods_.end()) remove_pod(pod->uid());
    pods_[pod->uid()] = {pod, slot, assumed};
  }
  assumed_ += assumed ? 1 : 0;
}

void Cache::put_pod(const PodInfoPtr& pod) {
  nominate(pod, "");
  place(pod, pod->pod->spec.nodeName, false);
}

void Cache::remove_pod(const std::string& uid) {
  auto at = pods_.find(uid);
  if (at == pods_.end()) return;
  const Placed placed = std::move(at->second);
  pods_.erase(at);
  assumed_ -= placed.assumed ? 1 : 0;
  writable(placed.slot).remove_pod(placed.pod);
  drop_if_empty(names_[placed.slot], placed.slot);
}

PodInfoPtr Cache::pod(const std::string& uid) const {
  auto at = pods_.find(uid);
  return at == pods_.end() ? nullptr : at->second.pod;
}

std::string Cache::node_of(const std::string& uid) const {
  auto at = pods_.find(uid);
  return at == pods_.end() ? "" : names_[at->second.slot];
}

const NodeInfo* Cache::info(const std::string& node) const {
  auto at = numbers_.find(node);
  return at == numbers_.end() ? nullptr : slots_[at->second].get();
}

std::string Cache::nomination(const std::string& uid) const {
  auto at = nominated_to_.find(uid);
  return at == nominated_to_.end() ? "" : at->second;
}

bool Cache::is_assumed(const std::string& uid) const {
  auto at = pods_.find(uid);
  return at != pods_.end() && at->second.assumed;
}

void Cache::assume(const PodInfoPtr& pod, const std::string& node) {
  nominate(pod, "");
  place(pod, node, true);
}

void Cache::forget(const std::string& uid) {
  if (is_assumed(uid)) remove_pod(uid);
}

void Cache::nominate(const PodInfoPtr& pod, const std::string& node) {
  if (auto known = nominated_to_.find(pod->uid()); known != nominated_to_.end()) {
    const std::string before = std::move(known->second);
    nominated_to_.erase(known);
    const uint32_t slot = numbers_.at(before);
    std::erase_if(writable(slot).nominated,
                  [&](const PodInfoPtr& other) { return other->uid() == pod->uid(); });
    drop_if_empty(before, slot);
  }
  if (node.empty()) return;
  writable(slot_of(node)).nominated.push_back(pod);
  nominated_to_[pod->uid()] = node;
}

std::vector<PodInfoPtr> Cache::nominated_below(const std::string& node, int32_t priority) const {
  std::vector<PodInfoPtr> out;
  auto at = numbers_.find(node);
  if (at == numbers_.end()) return out;
  for (const auto& pod : slots_[at->second]->nominated) {
    if (pod->priority < priority) out.push_back(pod);
  }
  return out;
}

void Cache::update(Snapshot& snapshot) {
  if (snapshot.slots.size() < slots_.size()) snapshot.slots.resize(slots_.size());
  for (const uint32_t slot : changed_) {
    const auto& info = slots_[slot];
    auto& shown = snapshot.slots[slot];
    if (info && info->node) {
      shown = info;
      if (!membership_changed_) snapshot.replace(snapshot.index.at(info->name()), info);
    } else {
      shown = nullptr;
    }
    snapshot.note_change(slot);
  }
  if (membership_changed_) {
    std::vector<std::shared_ptr<NodeInfo>> sorted;
    for (const auto& [name, slot] : numbers_) {
      if (slots_[slot]->node) sorted.push_back(slots_[slot]);
    }
    snapshot.nodes = zones_in_turn(sorted);
  }
  if (membership_changed_ || images_changed_) snapshot.rebuild_index();
  changed_.clear();
  shown_ = generations_;
  membership_changed_ = images_changed_ = false;
}

}  // namespace orch::server::scheduler
