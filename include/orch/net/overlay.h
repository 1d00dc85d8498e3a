// Pod network between nodes: VXLAN or plain routes (host-gw). The plan is a pure function of the
// nodes; apply() makes the kernel so by netlink, changing only what differs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/host.h"
#include "orch/net/netlink.h"

namespace orch::net {

enum class OverlayMode { kVxlan, kHostGw, kNone };
// Error: `invalid overlay "x": must be vxlan, host-gw or none`.
Result<OverlayMode, NetError> parse_overlay_mode(std::string_view text);

struct OverlayOptions {
  OverlayMode mode = OverlayMode::kVxlan;
  std::string device;  // InstanceNames::vxlan
  uint32_t vni = 1;
  uint16_t udp_port = 8472;
  std::string cluster_cidr;  // "10.42.0.0/16": never masqueraded among itself
  std::string table;         // InstanceNames::overlay_table
};
struct OverlayNode {
  std::string name, ip, pod_cidr;
  std::string vtep_mac;  // "" = derived from the node's address, as every node does
};

// 02:xx:a:b:c:d of the IPv4 address and the VNI.
std::string derive_vtep_mac(uint32_t node_ip, uint32_t vni);
// What pods' links may have: parent - 50 for vxlan, else parent.
uint32_t overlay_mtu(OverlayMode mode, uint32_t parent_mtu);

// link_index fields are 0: filled in by apply(). With `vxlan` set, routes go over it; else over
// whatever link reaches the gateway.
struct OverlayPlan {
  std::optional<VxlanSpec> vxlan;
  std::optional<Ipv4Prefix> device_address;  // pod CIDR's network address /32
  std::vector<Route> routes;
  std::vector<Neighbour> neighbours;
  std::vector<ForwardingEntry> forwarding;
  std::optional<Ipv4Prefix> masquerade_source;  // own pod CIDR
  std::optional<Ipv4Prefix> masquerade_except;  // cluster CIDR
  std::vector<std::string> skipped;             // "node x: invalid podCIDR ..."
};
// Nodes without address or pod CIDR yet, and `self` in `nodes`, are left out. Order of nodes does
// not matter.
OverlayPlan plan_overlay(const OverlayOptions& options, const OverlayNode& self,
                         const std::vector<OverlayNode>& nodes, uint32_t parent_mtu);

class Overlay {
 public:
  static std::unique_ptr<Overlay> create(const OverlayOptions& options);
  virtual ~Overlay() = default;
  // Idempotent, whole state: nodes no longer given lose their routes. One thread at a time. On an
  // error what could be done is done; call again.
  virtual Result<Unit, NetError> apply(const OverlayNode& self,
                                       const std::vector<OverlayNode>& nodes) = 0;
};

}  // namespace orch::net
