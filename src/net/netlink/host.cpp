#include "orch/net/host.h"

#include <fmt/format.h>

#include <map>

#include "net/netlink/nftables.h"
#include "net/netlink/route_owner.h"
#include "orch/base/strings.h"
#include "orch/net/netlink.h"

namespace orch::net {

namespace {

// Orders candidates for the node's address: real links before other bridges; -1 = never.
int address_rank(const Link& link) {
  if (!link.up || link.name == "lo" || link.kind == "vxlan" || link.master != 0) return -1;
  if (link.kind == "bridge") return link.name.starts_with("orch") ? -1 : 1;
  return link.name.starts_with("orch") && link.kind == "dummy" ? -1 : 0;
}

constexpr uint32_t kLinkLocal = 0xa9fe0000;  // 169.254.0.0/16

}  // namespace

Result<std::string, NetError> default_ipv4_address() {
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_TRY(auto routes, netlink->routes());
  for (const Route& route : routes) {
    if (route.destination.length != 0) continue;
    // A documentation address (RFC 5737): reached over the default route like any other.
    ORCH_TRY(auto via, netlink->lookup_route(*parse_ipv4("192.0.2.1")));
    if (via && via->source) return format_ipv4(via->source);
  }
  ORCH_TRY(auto links, netlink->links());
  ORCH_TRY(auto addresses, netlink->addresses());
  for (int rank = 0; rank <= 1; ++rank) {
    for (const Link& link : links) {
      if (address_rank(link) != rank) continue;
      for (const Address& address : addresses) {
        uint32_t ip = address.prefix.address;
        if (address.link_index == link.index && (ip & 0xffff0000) != kLinkLocal) {
          return format_ipv4(ip);
        }
      }
    }
  }
  return Err(NetError("no IPv4 address: no default route and no link that is up has one"));
}

Result<uint32_t, NetError> mtu_of_address(std::string_view address) {
  auto ip = parse_ipv4(address);
  if (!ip) return Err(fmt::format("invalid IPv4 address \"{}\"", address));
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_TRY(auto addresses, netlink->addresses());
  ORCH_TRY(auto links, netlink->links());
  for (const Address& at : addresses) {
    if (at.prefix.address != *ip) continue;
    for (const Link& link : links) {
      if (link.index == at.link_index) return link.mtu;
    }
  }
  return Err(fmt::format("address {}: on no link of this machine", address));
}

Result<std::vector<std::string>, NetError> local_ipv4_addresses() {
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_TRY(auto addresses, netlink->addresses());
  std::vector<std::string> found;
  for (const Address& at : addresses) {
    if (at.prefix.address >> 24 != 127) found.push_back(format_ipv4(at.prefix.address));
  }
  return found;
}

InstanceNames instance_names(std::string_view data_dir) {
  while (data_dir.size() > 1 && data_dir.ends_with('/')) data_dir.remove_suffix(1);
  std::string base = "orch";
  if (data_dir != "/var/lib/orch") base = fmt::format("o{:08x}", fnv1a32(data_dir));
  InstanceNames names;
  names.bridge = base == "orch" ? "orch0" : "orch" + base + "b";
  names.vxlan = base == "orch" ? "orch.vx" : "orch" + base + "x";
  names.dns_link = base == "orch" ? "orch.dns" : "orch" + base + "d";
  names.lb_link = base == "orch" ? "orch.lb" : "orch" + base + "l";
  names.proxy_table = base == "orch" ? "orch-proxy" : "orch-" + base + "-proxy";
  names.overlay_table = base == "orch" ? "orch-overlay" : "orch-" + base + "-overlay";
  names.hostport_table = base == "orch" ? "orch-hostport" : "orch-" + base + "-hostport";
  return names;
}

std::vector<NetError> remove_all(const InstanceNames& names) {
  std::vector<NetError> errors;
  auto note = [&](const Result<Unit, NetError>& done) {
    if (!done) errors.push_back(done.error());
  };
  if (auto nft = NfTables::open()) {
    for (const auto* table : {&names.proxy_table, &names.overlay_table, &names.hostport_table}) {
      note((*nft)->delete_table(*table));
    }
  } else {
    errors.push_back(nft.error());
  }
  auto netlink = Netlink::open();
  if (!netlink) {
    errors.push_back(netlink.error());
    return errors;
  }
  auto routes = (*netlink)->routes();
  if (!routes) errors.push_back(routes.error());
  for (const Route& route : routes.value_or(std::vector<Route>{})) {
    bool ours = route.protocol == kOverlayRouteProtocol &&
                route.metric == overlay_route_metric(names.vxlan);
    if (ours) note((*netlink)->remove_route(route));
  }
  // Ports first: a bridge leaves its veths behind when it goes.
  auto links = (*netlink)->links();
  if (!links) {
    errors.push_back(links.error());
    return errors;
  }
  int bridge = 0;
  for (const Link& link : *links) {
    if (link.name == names.bridge) bridge = link.index;
  }
  for (const Link& link : *links) {
    if (bridge != 0 && link.master == bridge && link.kind == "veth") {
      note((*netlink)->remove_link(link.name));
    }
  }
  for (const auto* link : {&names.bridge, &names.vxlan, &names.dns_link, &names.lb_link}) {
    note((*netlink)->remove_link(*link));
  }
  return errors;
}

Result<Unit, NetError> ensure_dummy_address(const std::string& link, std::string_view address) {
  auto ip = parse_ipv4(address);
  if (!ip) return Err(fmt::format("link {}: invalid IPv4 address \"{}\"", link, address));
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_CHECK(netlink->ensure_dummy(link));
  return netlink->ensure_address(link, {*ip, 32});
}

Result<Unit, NetError> ensure_service_route(const std::string& link, std::string_view service_cidr,
                                            std::string_view source) {
  auto cidr = parse_prefix(service_cidr);
  auto from = parse_ipv4(source);
  if (!cidr) return Err(fmt::format("invalid service CIDR \"{}\"", service_cidr));
  if (!from) return Err(fmt::format("invalid node address \"{}\"", source));
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_TRY(auto via, netlink->lookup_route(cidr->network() + 1));
  if (via) return Unit{};
  ORCH_TRY(auto on, netlink->find_link(link));
  if (!on) return Err(fmt::format("link {}: no such link", link));
  Route route;
  route.destination = *cidr;
  route.link_index = on->index;
  route.source = *from;
  return netlink->ensure_route(route);
}

}  // namespace orch::net
