// The built-in provider for machines nobody manages: what it knows of a machine, the machine's
// agent said itself; load balancers are the nodes' own addresses or those of a pool; pods' routes
// are the overlay's. Any thread.
#pragma once

#include "server/cloud/lb_pool.h"
#include "server/cloud/provider.h"

namespace orch::server {

// Annotations by which an agent tells its addresses (--node-ip, --node-external-ip).
inline constexpr const char* kProvidedNodeIp = "alpha.kubernetes.io/provided-node-ip";
inline constexpr const char* kNodeExternalIp = "orch.io/node-external-ip";

std::unique_ptr<CloudProvider> make_edge_provider(LbPool pool);

}  // namespace orch::server
