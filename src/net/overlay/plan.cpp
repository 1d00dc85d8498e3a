// plan_overlay(): links, routes and neighbours that a set of nodes asks for. Pure.
#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "net/netlink/route_owner.h"
#include "orch/net/overlay.h"

namespace orch::net {

namespace {

constexpr uint32_t kVxlanOverheadBytes = 50;  // IPv4 20, UDP 8, VXLAN 8, Ethernet 14

struct Peer {
  std::string name, mac;
  uint32_t ip = 0;
  Ipv4Prefix pods;
};

std::vector<Peer> usable_peers(const OverlayOptions& options, const OverlayNode& self,
                               const std::vector<OverlayNode>& nodes,
                               std::vector<std::string>& skipped) {
  std::vector<Peer> peers;
  auto own = parse_prefix(self.pod_cidr);
  for (const OverlayNode& node : nodes) {
    if (node.name == self.name || node.ip.empty() || node.pod_cidr.empty()) continue;
    auto ip = parse_ipv4(node.ip);
    auto pods = parse_prefix(node.pod_cidr);
    if (!ip) {
      skipped.push_back(fmt::format("node {}: invalid address \"{}\"", node.name, node.ip));
    } else if (!pods || pods->length == 0) {
      skipped.push_back(fmt::format("node {}: invalid podCIDR \"{}\"", node.name, node.pod_cidr));
    } else if (own && (own->contains(pods->network()) || pods->contains(own->network()))) {
      skipped.push_back(fmt::format("node {}: podCIDR {} overlaps with this node's {}", node.name,
                                    node.pod_cidr, self.pod_cidr));
    } else {
      std::string mac = node.vtep_mac.empty() ? derive_vtep_mac(*ip, options.vni) : node.vtep_mac;
      peers.push_back({node.name, mac, *ip, {pods->network(), pods->length}});
    }
  }
  std::sort(peers.begin(), peers.end(),
            [](const Peer& a, const Peer& b) { return a.name < b.name; });
  return peers;
}

void plan_vxlan(const OverlayOptions& options, const OverlayNode& self, uint32_t self_ip,
                uint32_t parent_mtu, const std::vector<Peer>& peers, OverlayPlan& plan) {
  VxlanSpec spec;
  spec.name = options.device;
  spec.vni = options.vni;
  spec.udp_port = options.udp_port;
  spec.local = self_ip;
  spec.mac = self.vtep_mac.empty() ? derive_vtep_mac(self_ip, options.vni) : self.vtep_mac;
  spec.mtu = overlay_mtu(OverlayMode::kVxlan, parent_mtu);
  plan.vxlan = spec;
  if (auto own = parse_prefix(self.pod_cidr)) plan.device_address = Ipv4Prefix{own->network(), 32};
  for (const Peer& peer : peers) {
    Route route;
    route.destination = peer.pods;
    route.gateway = peer.pods.network();
    route.onlink = true;
    route.protocol = kOverlayRouteProtocol;
    plan.routes.push_back(route);
    plan.neighbours.push_back({0, peer.pods.network(), peer.mac});
    plan.forwarding.push_back({0, peer.mac, peer.ip});
  }
}

}  // namespace

Result<OverlayMode, NetError> parse_overlay_mode(std::string_view text) {
  if (text == "vxlan") return OverlayMode::kVxlan;
  if (text == "host-gw") return OverlayMode::kHostGw;
  if (text == "none") return OverlayMode::kNone;
  return Err(fmt::format("invalid overlay \"{}\": must be vxlan, host-gw or none", text));
}

std::string derive_vtep_mac(uint32_t node_ip, uint32_t vni) {
  return fmt::format("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", vni & 255, node_ip >> 24,
                     node_ip >> 16 & 255, node_ip >> 8 & 255, node_ip & 255);
}

uint32_t overlay_mtu(OverlayMode mode, uint32_t parent_mtu) {
  if (mode != OverlayMode::kVxlan) return parent_mtu;
  return parent_mtu > kVxlanOverheadBytes ? parent_mtu - kVxlanOverheadBytes : parent_mtu;
}

OverlayPlan plan_overlay(const OverlayOptions& options, const OverlayNode& self,
                         const std::vector<OverlayNode>& nodes, uint32_t parent_mtu) {
  OverlayPlan plan;
  auto self_ip = parse_ipv4(self.ip);
  if (!self_ip) {
    plan.skipped.push_back(fmt::format("node {}: invalid address \"{}\"", self.name, self.ip));
    return plan;
  }
  auto own = parse_prefix(self.pod_cidr);
  auto cluster = parse_prefix(options.cluster_cidr);
  if (own && cluster) {
    plan.masquerade_source = Ipv4Prefix{own->network(), own->length};
    plan.masquerade_except = Ipv4Prefix{cluster->network(), cluster->length};
  }
  if (options.mode == OverlayMode::kNone) return plan;
  std::vector<Peer> peers = usable_peers(options, self, nodes, plan.skipped);
  if (options.mode == OverlayMode::kVxlan) {
    plan_vxlan(options, self, *self_ip, parent_mtu, peers, plan);
    return plan;
  }
  for (const Peer& peer : peers) {
    Route route;
    route.destination = peer.pods;
    route.gateway = peer.ip;
    route.protocol = kOverlayRouteProtocol;
    route.metric = overlay_route_metric(options.device);
    plan.routes.push_back(route);
  }
  return plan;
}

}  // namespace orch::net
