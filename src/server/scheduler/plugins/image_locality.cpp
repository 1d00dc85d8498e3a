// ImageLocality: prefers nodes that have the pod's images, the more the larger they are; images
// found on few nodes count less, so that pods do not all heap up there.
#include <algorithm>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr int64_t kMegabyte = 1024 * 1024;
constexpr int64_t kMinBytes = 23 * kMegabyte;
constexpr int64_t kMaxBytesPerContainer = 1000 * kMegabyte;

// "nginx" means "nginx:latest" in a node's list.
std::string normalized(const std::string& image) {
  const auto slash = image.rfind('/');
  const auto colon = image.rfind(':');
  const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tagged ? image : image + ":latest";
}

class ImageLocality final : public Score {
 public:
  std::string_view name() const override { return "ImageLocality"; }

  int64_t score(const CycleState&, const PodInfo& pod, const NodeInfo& node,
                const Snapshot& snapshot) const override {
    int64_t sum = 0;
    auto add = [&](const corev1::Container& container) {
      const std::string image = normalized(container.image);
      auto at = node.image_bytes.find(image);
      if (at == node.image_bytes.end()) return;
      auto having = snapshot.nodes_with_image.find(image);
      if (having == snapshot.nodes_with_image.end() || snapshot.nodes.empty()) return;
      const double spread =
          static_cast<double>(having->second) / static_cast<double>(snapshot.nodes.size());
      sum += static_cast<int64_t>(static_cast<double>(at->second) * spread);
    };
    const corev1::PodSpec& spec = pod.pod->spec;
    for (const auto& container : spec.initContainers) add(container);
    for (const auto& container : spec.containers) add(container);
    const auto count = static_cast<int64_t>(spec.initContainers.size() + spec.containers.size());
    const int64_t max = std::max(kMinBytes + 1, kMaxBytesPerContainer * count);
    return kScoreMax * (std::clamp(sum, kMinBytes, max) - kMinBytes) / (max - kMinBytes);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_image_locality(const client::Client&) {
  return std::make_unique<ImageLocality>();
}

}  // namespace orch::server::scheduler::plugins
