// How routes over other nodes' addresses (host-gw) are known to be ours. Private to net.
#pragma once

#include <cstdint>
#include <string_view>

#include "orch/base/strings.h"

namespace orch::net {

// rtm_protocol of the overlay's routes; iproute2 leaves the numbers from 64 on to others.
inline constexpr uint8_t kOverlayRouteProtocol = 79;

// Two instances in one namespace tell their host-gw routes apart by metric. `device`:
// InstanceNames::vxlan, which names the overlay whatever its mode.
inline uint32_t overlay_route_metric(std::string_view device) {
  return 1000 + fnv1a32(device) % 60000;
}

}  // namespace orch::net
