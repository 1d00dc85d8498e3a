// Names of CSI volumes that several components must agree on.
#pragma once

#include <string>
#include <string_view>

namespace orch::client {

// The VolumeAttachment of a volume on a node: "csi-" and a hash, as upstream's.
std::string attachment_name(std::string_view handle, std::string_view driver,
                            std::string_view node);
// "kubernetes.io/csi/<driver>^<handle>": the volume in a Node's status.
std::string csi_volume_name(std::string_view driver, std::string_view handle);

}  // namespace orch::client
