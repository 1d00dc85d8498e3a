#include "server/scheduler/snapshot.h"

#include <algorithm>

#include "server/scheduler/indexes.h"

namespace orch::server::scheduler {
namespace {

constexpr size_t kLogMin = 1024;

Snapshot::Tag tag_of(const NodeInfo& node) {
  return {node.generation, node.slot, !node.nominated.empty()};
}

}  // namespace

Snapshot::Snapshot() : indexes_(std::make_shared<Indexes>()) {}

void Snapshot::note_change(uint32_t slot) {
  // Who is that far behind looks at every node instead.
  if (log.size() >= std::max(kLogMin, 4 * slots.size())) {
    log_begin = log_end();
    log.clear();
  }
  log.push_back(slot);
}

const NodeInfoPtr* Snapshot::find(const std::string& name) const {
  auto at = index.find(name);
  return at == index.end() ? nullptr : &nodes[at->second];
}

api::Labels Snapshot::namespace_labels(const std::string& ns) const {
  return view.namespace_labels ? view.namespace_labels(ns) : api::Labels{};
}

void Snapshot::replace(size_t at, NodeInfoPtr node) {
  tags[at] = tag_of(*node);
  nodes[at] = std::move(node);
}

void Snapshot::rebuild_index() {
  tags.clear();
  for (const auto& node : nodes) tags.push_back(tag_of(*node));
  index.clear();
  nodes_with_image.clear();
  for (size_t i = 0; i < nodes.size(); ++i) {
    index[nodes[i]->name()] = i;
    for (const auto& [image, bytes] : nodes[i]->image_bytes) ++nodes_with_image[image];
  }
}

Snapshot Snapshot::of(std::vector<NodeInfo> nodes) {
  Snapshot out;
  for (auto& node : nodes) {
    node.slot = static_cast<uint32_t>(out.nodes.size());
    node.generation = out.nodes.size() + 1;
    out.nodes.push_back(std::make_shared<NodeInfo>(std::move(node)));
  }
  out.slots = out.nodes;
  out.rebuild_index();
  return out;
}

bool term_matches(const AffinityTerm& term, const PodInfo& pod, const Snapshot& snapshot) {
  if (!term.selector.matches(pod.labels())) return false;
  if (term.namespaces.contains(pod.namespace_())) return true;
  // An empty selector means every namespace; only a selective one needs the labels.
  if (term.namespace_selector.empty()) return true;
  if (!term.asks_namespaces()) return false;
  return term.namespace_selector.matches(snapshot.namespace_labels(pod.namespace_()));
}

}  // namespace orch::server::scheduler
