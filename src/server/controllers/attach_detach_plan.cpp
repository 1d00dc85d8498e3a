#include "server/controllers/attach_detach_plan.h"

#include <algorithm>

#include "orch/client/attachment.h"

namespace orch::server {

using namespace api;
using corev1::PersistentVolume;
using storagev1::VolumeAttachment;

namespace {

// A volume that several nodes may have at once.
bool is_shared(const PersistentVolume& volume) {
  const auto& modes = volume.spec.accessModes;
  return std::any_of(modes.begin(), modes.end(), [](const auto& mode) {
    return mode == "ReadWriteMany" || mode == "ReadOnlyMany";
  });
}

}  // namespace

AttachPlan plan_attachments(const AttachInput& input) {
  AttachPlan out;
  std::set<std::string> wanted;  // volume names
  for (const auto& used : input.used) {
    const PersistentVolume& volume = *used.volume;
    const std::string& name = volume.metadata.name;
    if (!used.attach_required || !input.node) continue;
    wanted.insert(name);
    bool here = false, elsewhere = false;
    for (const auto& attachment : input.attachments) {
      if (attachment->spec.source.persistentVolumeName.value_or("") != name) continue;
      if (attachment->spec.nodeName == input.node_name) {
        here = true;
        if (attachment->status.attached && !attachment->metadata.deletionTimestamp) {
          auto& attached = out.attached.emplace_back();
          attached.name =
              client::csi_volume_name(volume.spec.csi->driver, volume.spec.csi->volumeHandle);
        }
      } else {
        elsewhere = true;
      }
    }
    if (here) continue;
    if (elsewhere && !is_shared(volume)) {
      out.refused.push_back(&used);
      continue;
    }
    auto& attachment = out.create.emplace_back();
    const auto& csi = *volume.spec.csi;
    attachment.metadata.name =
        client::attachment_name(csi.volumeHandle, csi.driver, input.node_name);
    attachment.spec.attacher = csi.driver;
    attachment.spec.nodeName = input.node_name;
    attachment.spec.source.persistentVolumeName = name;
  }
  for (const auto& attachment : input.attachments) {
    if (attachment->spec.nodeName != input.node_name || attachment->metadata.deletionTimestamp ||
        !attachment->spec.source.persistentVolumeName ||
        wanted.contains(*attachment->spec.source.persistentVolumeName)) {
      continue;
    }
    // Not before the node has unmounted it.
    const std::string prefix = client::csi_volume_name(attachment->spec.attacher, "");
    bool mounted = false;
    if (input.node) {
      for (const auto& name : input.node->status.volumesInUse) {
        if (!name.starts_with(prefix)) continue;
        mounted |= attachment->metadata.name == client::attachment_name(name.substr(prefix.size()),
                                                                        attachment->spec.attacher,
                                                                        input.node_name);
      }
    }
    if (!mounted) out.remove.push_back(attachment->metadata.name);
  }
  std::sort(out.attached.begin(), out.attached.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

}  // namespace orch::server
