#include "server/scheduler/node_info.h"

#include <algorithm>

namespace orch::server::scheduler {
namespace {

// A node has too few pods for sums of these to overflow.
constexpr int64_t kNonzeroMax = int64_t{1} << 50;

}  // namespace

const std::string* NodeInfo::label(const std::string& key) const {
  auto at = node->metadata.labels.find(key);
  return at == node->metadata.labels.end() ? nullptr : &at->second;
}

void NodeInfo::set_node(std::shared_ptr<const corev1::Node> now) {
  node = std::move(now);
  allocatable = {};
  image_bytes.clear();
  if (!node) return;
  allocatable = resources_of(node->status.allocatable);
  for (const auto& image : node->status.images) {
    for (const auto& name : image.names) image_bytes[name] = image.sizeBytes;
  }
}

void NodeInfo::account(const PodInfo& pod, bool adds) {
  const int64_t sign = adds ? 1 : -1;
  const size_t one = adds ? size_t{1} : ~size_t{0};
  if (adds) {
    requested.add(pod.requests);
    used_ports.insert(pod.host_ports.begin(), pod.host_ports.end());
  } else {
    requested.subtract(pod.requests);
    for (const auto& port : pod.host_ports) {
      if (auto used = used_ports.find(port); used != used_ports.end()) used_ports.erase(used);
    }
  }
  // Requests for scoring only: beyond this cap a node is full anyway.
  nonzero_milli_cpu += sign * std::min(pod.nonzero_milli_cpu, kNonzeroMax);
  nonzero_memory_bytes += sign * std::min(pod.nonzero_memory_bytes, kNonzeroMax);
  if (pod.has_affinity()) pods_with_affinity += one;
  if (!pod.required_anti_affinity.empty()) pods_with_required_anti_affinity += one;
}

void NodeInfo::add_pod(const PodInfoPtr& pod) {
  pods.push_back(pod);
  account(*pod, true);
}

bool NodeInfo::remove_pod(const PodInfoPtr& pod) {
  auto at = std::find(pods.begin(), pods.end(), pod);
  if (at == pods.end()) return false;
  const bool capped = requested.capped();
  pods.erase(at);
  account(*pod, false);
  if (capped) recount();
  return true;
}

bool NodeInfo::is_nominated(const PodInfo& pod) const {
  if (pod.nominated_node.empty()) return false;
  return std::any_of(nominated.begin(), nominated.end(),
                     [&](const PodInfoPtr& other) { return other->uid() == pod.uid(); });
}

void NodeInfo::replace_pod(const PodInfoPtr& old, const PodInfoPtr& now) {
  auto at = std::find(pods.begin(), pods.end(), old);
  if (at == pods.end()) return add_pod(now);
  const bool capped = requested.capped();
  account(*old, false);
  *at = now;
  account(*now, true);
  if (capped) recount();
}

void NodeInfo::recount() {
  requested = {};
  for (const auto& pod : pods) requested.add(pod->requests);
}

}  // namespace orch::server::scheduler
