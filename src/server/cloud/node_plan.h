// What cloud-node-controller makes of a Node from what the provider says of its machine. Pure.
#pragma once

#include "server/cloud/provider.h"

namespace orch::server {

// Sets providerID (never changed once set), labels of instance type, zone and region with their
// beta twins, and takes the uninitialized taint. True if something changed.
bool apply_metadata(const InstanceMetadata& metadata, api::corev1::Node& node);
// status.addresses as the provider has them. True if something changed; order does not count.
bool apply_addresses(const InstanceMetadata& metadata, api::corev1::Node& node);

}  // namespace orch::server
