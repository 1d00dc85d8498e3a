// hostPort: map elements in a table of its own. Called under the address pool's lock only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "net/cni/protocol.h"
#include "orch/base/result.h"

namespace orch::net {

// Idempotent. A port held by another pod is an error, unless `alive` says that pod is gone.
Result<Unit, NetError> add_hostports(const std::string& table, uint32_t pod,
                                     const std::vector<PortMapping>& ports,
                                     const std::function<bool(uint32_t pod)>& alive);
// Everything that leads to the pod; nothing there is fine.
Result<Unit, NetError> remove_hostports(const std::string& table, uint32_t pod);

}  // namespace orch::net
