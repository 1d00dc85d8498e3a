// Which CSI volumes a node is to have attached. Pure.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "orch/api/volume_binding.h"

namespace orch::server {

// A CSI volume that a pod on the node uses.
struct UsedVolume {
  std::shared_ptr<const api::corev1::PersistentVolume> volume;
  std::vector<std::shared_ptr<const api::corev1::Pod>> pods;
  bool attach_required = true;  // by its CSIDriver
};

struct AttachInput {
  std::shared_ptr<const api::corev1::Node> node;  // null: it is gone
  std::string node_name;
  std::vector<UsedVolume> used;
  // Those of this node, and those of other nodes for the same volumes.
  std::vector<std::shared_ptr<const api::storagev1::VolumeAttachment>> attachments;
};

struct AttachPlan {
  std::vector<api::storagev1::VolumeAttachment> create;
  std::vector<std::string> remove;  // names
  // Volumes that another node has and that must be given back first.
  std::vector<const UsedVolume*> refused;
  // What the node's status.volumesAttached is to be.
  std::vector<api::corev1::AttachedVolume> attached;
};
AttachPlan plan_attachments(const AttachInput& input);

}  // namespace orch::server
