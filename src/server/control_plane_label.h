// Labels this server's own node node-role.kubernetes.io/control-plane=true. The node may not do so
// itself (NodeRestriction: others rely on that label).
#pragma once

#include <string>

#include "orch/client/client.h"
#include "orch/client/informer.h"

namespace orch::server {

// From now on, whenever the Node is there without the label. `node_name`: "" = the host's name. The
// references outlive the informers' stop. `client` may patch nodes.
void keep_control_plane_label(Env& env, const client::Client& client,
                              client::InformerSet& informers, std::string node_name);

}  // namespace orch::server
