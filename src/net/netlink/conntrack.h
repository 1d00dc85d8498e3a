// Connection tracking entries by ctnetlink. Private to net.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "orch/base/result.h"
#include "orch/net/host.h"

namespace orch::net {

struct ConntrackEntry {
  uint8_t protocol = 0;
  uint32_t original_source = 0, original_destination = 0;  // host order
  uint16_t original_source_port = 0, original_destination_port = 0;
  uint32_t reply_source = 0;  // who really answers, after DNAT
  uint16_t reply_source_port = 0;
};
// Deletes the IPv4 entries that `doomed` picks; returns how many.
Result<size_t, NetError> flush_conntrack(const std::function<bool(const ConntrackEntry&)>& doomed);

}  // namespace orch::net
