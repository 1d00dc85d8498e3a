// ImageLocality: prefers nodes that have the pod's images, the more the larger they are; images
// found on few nodes count less, so that pods do not all heap up there.
#include <algorithm>

#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

constexpr std::string_view kName = "ImageLocality";
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

// The pod's images that some node has.
struct Data final : CycleState::Data {
  struct Image {
    std::string name;
    double spread;  // part of the nodes that have it
  };
  std::vector<Image> images;  // one for each container that uses it
  std::unique_ptr<CycleState::Data> clone() const override { return std::make_unique<Data>(*this); }
};

class ImageLocality final : public PreScore, public Score {
 public:
  std::string_view name() const override { return kName; }

  Status pre_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                   Nodes) const override {
    auto data = std::make_unique<Data>();
    auto add = [&](const corev1::Container& container) {
      std::string image = normalized(container.image);
      auto having = snapshot.nodes_with_image.find(image);
      if (having == snapshot.nodes_with_image.end()) return;
      const double spread =
          static_cast<double>(having->second) / static_cast<double>(snapshot.nodes.size());
      data->images.push_back({std::move(image), spread});
    };
    if (snapshot.nodes_with_image.empty()) return Status::skip();
    const corev1::PodSpec& spec = pod.pod->spec;
    for (const auto& container : spec.initContainers) add(container);
    for (const auto& container : spec.containers) add(container);
    if (data->images.empty()) return Status::skip();
    state.put(kName, std::move(data));
    return Status::success();
  }

  int64_t score(const CycleState& state, const PodInfo& pod, const NodeInfo& node,
                const Snapshot&) const override {
    int64_t sum = 0;
    for (const auto& image : state.get<Data>(kName)->images) {
      auto at = node.image_bytes.find(image.name);
      if (at == node.image_bytes.end()) continue;
      sum += static_cast<int64_t>(static_cast<double>(at->second) * image.spread);
    }
    const corev1::PodSpec& spec = pod.pod->spec;
    const auto count = static_cast<int64_t>(spec.initContainers.size() + spec.containers.size());
    const int64_t max = std::max(kMinBytes + 1, kMaxBytesPerContainer * count);
    return kScoreMax * (std::clamp(sum, kMinBytes, max) - kMinBytes) / (max - kMinBytes);
  }
};

}  // namespace

std::unique_ptr<Plugin> make_image_locality(const PluginContext&) {
  return std::make_unique<ImageLocality>();
}

}  // namespace orch::server::scheduler::plugins
