#pragma once

#include <cstdint>

namespace orch::net {

// rtm_protocol of host-gw routes: how we know our own ones among others' (iproute2 calls the
// numbers from 64 on free to use).
inline constexpr uint8_t kOverlayRouteProtocol = 79;

}  // namespace orch::net
