#include "server/scheduler/node_info.h"

#include <algorithm>

namespace orch::server::scheduler {

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

void NodeInfo::add_pod(const PodInfoPtr& pod) {
  pods.push_back(pod);
  requested.add(pod->requests);
  nonzero_milli_cpu += pod->nonzero_milli_cpu;
  nonzero_memory_bytes += pod->nonzero_memory_bytes;
  used_ports.insert(pod->host_ports.begin(), pod->host_ports.end());
  if (pod->has_affinity()) ++pods_with_affinity;
  if (!pod->required_anti_affinity.empty()) ++pods_with_required_anti_affinity;
}

bool NodeInfo::remove_pod(const std::string& uid) {
  auto at = std::find_if(pods.begin(), pods.end(), [&](const auto& p) { return p->uid() == uid; });
  if (at == pods.end()) return false;
  const PodInfoPtr pod = *at;
  pods.erase(at);
  requested.subtract(pod->requests);
  nonzero_milli_cpu -= pod->nonzero_milli_cpu;
  nonzero_memory_bytes -= pod->nonzero_memory_bytes;
  for (const auto& port : pod->host_ports) {
    if (auto used = used_ports.find(port); used != used_ports.end()) used_ports.erase(used);
  }
  if (pod->has_affinity()) --pods_with_affinity;
  if (!pod->required_anti_affinity.empty()) --pods_with_required_anti_affinity;
  return true;
}

}  // namespace orch::server::scheduler
