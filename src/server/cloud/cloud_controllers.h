// The cloud controller manager: cloud-node-controller, cloud-node-lifecycle-controller,
// node-route-controller and servicelb (upstream's service-lb-controller), all over a CloudProvider,
// which outlives them. Run beside the other controllers, by the same switches.
#pragma once

#include <string_view>
#include <vector>

#include "orch/client/reconciler.h"
#include "server/cloud/provider.h"

namespace orch::server {

// Taints and labels upstream's cloud controllers are known by.
inline constexpr std::string_view kTaintUninitialized =
    "node.cloudprovider.kubernetes.io/uninitialized";
inline constexpr std::string_view kTaintShutdown = "node.cloudprovider.kubernetes.io/shutdown";

std::vector<client::ControllerSpec> cloud_controllers(CloudProvider& provider);

client::ControllerSpec cloud_node_controller(CloudProvider& provider);
client::ControllerSpec cloud_node_lifecycle_controller(CloudProvider& provider);
client::ControllerSpec node_route_controller(CloudProvider& provider);
client::ControllerSpec service_controller(CloudProvider& provider);

}  // namespace orch::server
