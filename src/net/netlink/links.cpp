#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/netlink/rtnetlink.h"
#include "orch/base/strings.h"

namespace orch::net {

namespace {

constexpr uint16_t kAck = NLM_F_REQUEST | NLM_F_ACK;

Link parse_link(std::string_view payload) {
  Link link;
  if (payload.size() < sizeof(ifinfomsg)) return link;
  ifinfomsg head;
  std::memcpy(&head, payload.data(), sizeof head);
  Attributes attributes(payload.substr(NLMSG_ALIGN(sizeof head)));
  link.index = head.ifi_index;
  link.up = head.ifi_flags & IFF_UP;
  link.name = attributes.text(IFLA_IFNAME);
  link.mtu = attributes.u32(IFLA_MTU);
  link.master = static_cast<int>(attributes.u32(IFLA_MASTER));
  link.mac = format_mac(attributes.get(IFLA_ADDRESS));
  Attributes info = attributes.nested(IFLA_LINKINFO);
  link.kind = info.text(IFLA_INFO_KIND);
  link.operational = attributes.u8(IFLA_OPERSTATE) == IF_OPER_UP;
  link.forwarding = info.text(IFLA_INFO_SLAVE_KIND) == "bridge" &&
                    info.nested(IFLA_INFO_SLAVE_DATA).u8(IFLA_BRPORT_STATE) == BR_STATE_FORWARDING;
  if (link.kind == "vxlan") {
    Attributes data = info.nested(IFLA_INFO_DATA);
    link.vxlan_vni = data.u32(IFLA_VXLAN_ID);
    link.vxlan_port = data.be16(IFLA_VXLAN_PORT);
    link.vxlan_local = data.be32(IFLA_VXLAN_LOCAL);
  }
  return link;
}

// A bridge otherwise takes its ports' lowest MAC, and changes it as pods come and go.
std::string stable_mac(const std::string& name) {
  uint64_t hash = fnv1a64(name);
  std::string mac("\x02\x6f", 2);
  for (int i = 0; i < 4; ++i) mac.push_back(static_cast<char>(hash >> (8 * i)));
  return mac;
}

}  // namespace

Result<std::unique_ptr<Netlink>, NetError> Netlink::open() {
  ORCH_TRY(auto socket, NetlinkSocket::open(NETLINK_ROUTE));
  return std::unique_ptr<Netlink>(std::make_unique<RtNetlink>(std::move(socket)));
}

Result<std::unique_ptr<Netlink>, NetError> Netlink::open_in(const std::string& netns_path) {
  std::unique_ptr<Netlink> opened;
  // A socket belongs to the namespace it was made in, whichever thread uses it later.
  ORCH_CHECK(run_in_netns(netns_path, [&]() -> Result<Unit, NetError> {
    ORCH_TRY(opened, Netlink::open());
    return Unit{};
  }));
  return opened;
}

Result<Unit, NetError> RtNetlink::run(MessageWriter& message, const std::string& what,
                                      int fine_code) {
  auto done = socket_->transact(message);
  if (!done && done.error().code != fine_code) {
    return Err(fmt::format("{}: {}", what, done.error().describe()));
  }
  return Unit{};
}

MessageWriter RtNetlink::link_message(uint16_t type, uint16_t flags, int index) {
  MessageWriter message;
  message.begin(type, flags, socket_->next_sequence());
  ifinfomsg head{};
  head.ifi_family = AF_UNSPEC;
  head.ifi_index = index;
  message.header(head);
  return message;
}

Result<std::vector<Link>, NetError> RtNetlink::links() {
  std::vector<Link> links;
  MessageWriter message = link_message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    if (type == RTM_NEWLINK) links.push_back(parse_link(payload));
  });
  if (!done) return Err("links: list: " + done.error().describe());
  return links;
}

Result<std::optional<Link>, NetError> RtNetlink::find_link(const std::string& name) {
  std::optional<Link> found;
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return Err(fmt::format("link \"{}\": a name has 1 to {} characters", name, IFNAMSIZ - 1));
  }
  MessageWriter message = link_message(RTM_GETLINK, kAck, 0);
  message.attr_text(IFLA_IFNAME, name);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    if (type == RTM_NEWLINK) found = parse_link(payload);
  });
  if (!done && done.error().code != ENODEV) {
    return Err(fmt::format("link {}: get: {}", name, done.error().describe()));
  }
  return found;
}

Result<Link, NetError> RtNetlink::need_link(const std::string& name) {
  ORCH_TRY(auto link, find_link(name));
  if (!link) return Err(fmt::format("link {}: {}", name, std::strerror(ENODEV)));
  return *std::move(link);
}

Result<Link, NetError> RtNetlink::ensure_bridge(const std::string& name, uint32_t mtu) {
  ORCH_TRY(auto found, find_link(name));
  if (found && found->kind != "bridge") {
    return Err(fmt::format("link {}: exists and is no bridge (kind \"{}\")", name, found->kind));
  }
  if (!found) {
    MessageWriter message = link_message(RTM_NEWLINK, kAck | NLM_F_CREATE | NLM_F_EXCL, 0);
    message.attr_text(IFLA_IFNAME, name);
    message.attr(IFLA_ADDRESS, stable_mac(name));
    if (mtu) message.attr_u32(IFLA_MTU, mtu);
    size_t info = message.begin_nest(IFLA_LINKINFO);
    message.attr_text(IFLA_INFO_KIND, "bridge");
    message.end_nest(info);
    // Another process may have been faster: that is as good.
    ORCH_CHECK(run(message, fmt::format("link {}: add bridge", name), EEXIST));
  }
  ORCH_TRY(Link link, need_link(name));
  if (mtu && link.mtu != mtu) ORCH_CHECK(set_mtu(name, mtu));
  if (!link.up) ORCH_CHECK(set_up(name));
  return need_link(name);
}

Result<Link, NetError> RtNetlink::ensure_vxlan(const VxlanSpec& spec) {
  ORCH_TRY(auto found, find_link(spec.name));
  if (found && (found->kind != "vxlan" || found->vxlan_vni != spec.vni ||
                found->vxlan_port != spec.udp_port || found->vxlan_local != spec.local)) {
    if (found->kind != "vxlan") {
      return Err(
          fmt::format("link {}: exists and is no vxlan (kind \"{}\")", spec.name, found->kind));
    }
    ORCH_CHECK(remove_link(spec.name));
    found.reset();
  }
  auto mac = parse_mac(spec.mac);
  if (!mac) return Err(fmt::format("link {}: invalid MAC \"{}\"", spec.name, spec.mac));
  if (!found) {
    MessageWriter message = link_message(RTM_NEWLINK, kAck | NLM_F_CREATE | NLM_F_EXCL, 0);
    message.attr_text(IFLA_IFNAME, spec.name);
    message.attr(IFLA_ADDRESS, *mac);
    message.attr_u32(IFLA_MTU, spec.mtu);
    size_t info = message.begin_nest(IFLA_LINKINFO);
    message.attr_text(IFLA_INFO_KIND, "vxlan");
    size_t data = message.begin_nest(IFLA_INFO_DATA);
    message.attr_u32(IFLA_VXLAN_ID, spec.vni);
    message.attr_be32(IFLA_VXLAN_LOCAL, spec.local);
    message.attr_be16(IFLA_VXLAN_PORT, spec.udp_port);
    message.attr_u8(IFLA_VXLAN_LEARNING, 0);
    message.end_nest(data);
    message.end_nest(info);
    ORCH_CHECK(run(message, fmt::format("link {}: add vxlan vni {} port {}", spec.name, spec.vni,
                                        spec.udp_port)));
  }
  ORCH_TRY(Link link, need_link(spec.name));
  if (link.mac != spec.mac) ORCH_CHECK(set_mac(spec.name, spec.mac));
  if (link.mtu != spec.mtu) ORCH_CHECK(set_mtu(spec.name, spec.mtu));
  if (!link.up) ORCH_CHECK(set_up(spec.name));
  return need_link(spec.name);
}

Result<Link, NetError> RtNetlink::ensure_dummy(const std::string& name) {
  ORCH_TRY(auto found, find_link(name));
  if (!found) {
    MessageWriter message = link_message(RTM_NEWLINK, kAck | NLM_F_CREATE | NLM_F_EXCL, 0);
    message.attr_text(IFLA_IFNAME, name);
    size_t info = message.begin_nest(IFLA_LINKINFO);
    message.attr_text(IFLA_INFO_KIND, "dummy");
    message.end_nest(info);
    auto made = socket_->transact(message);
    if (!made && made.error().code == EOPNOTSUPP) return ensure_bridge(name, 0);
    if (!made && made.error().code != EEXIST) {
      return Err(fmt::format("link {}: add dummy: {}", name, made.error().describe()));
    }
  }
  ORCH_CHECK(set_up(name));
  return need_link(name);
}

Result<Unit, NetError> RtNetlink::add_veth(const std::string& name, const std::string& peer,
                                           const std::string& peer_netns, uint32_t mtu) {
  int fd = -1;
  if (!peer_netns.empty()) {
    fd = ::open(peer_netns.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return Err(fmt::format("network namespace {}: open: {}", peer_netns, std::strerror(errno)));
    }
  }
  MessageWriter message = link_message(RTM_NEWLINK, kAck | NLM_F_CREATE | NLM_F_EXCL, 0);
  message.attr_text(IFLA_IFNAME, name);
  if (mtu) message.attr_u32(IFLA_MTU, mtu);
  size_t info = message.begin_nest(IFLA_LINKINFO);
  message.attr_text(IFLA_INFO_KIND, "veth");
  size_t data = message.begin_nest(IFLA_INFO_DATA);
  size_t other = message.begin_nest(VETH_INFO_PEER);
  message.header(ifinfomsg{});
  message.attr_text(IFLA_IFNAME, peer);
  if (mtu) message.attr_u32(IFLA_MTU, mtu);
  if (fd >= 0) message.attr_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(fd));
  message.end_nest(other);
  message.end_nest(data);
  message.end_nest(info);
  auto made = run(message, fmt::format("link {}: add veth with peer {}", name, peer));
  if (fd >= 0) close(fd);
  return made;
}

Result<Unit, NetError> RtNetlink::remove_link(const std::string& name) {
  MessageWriter message = link_message(RTM_DELLINK, kAck, 0);
  message.attr_text(IFLA_IFNAME, name);
  return run(message, fmt::format("link {}: delete", name), ENODEV);
}

Result<Unit, NetError> RtNetlink::set_up(const std::string& name) {
  MessageWriter message;
  message.begin(RTM_NEWLINK, kAck, socket_->next_sequence());
  ifinfomsg head{};
  head.ifi_flags = IFF_UP;
  head.ifi_change = IFF_UP;
  message.header(head);
  message.attr_text(IFLA_IFNAME, name);
  return run(message, fmt::format("link {}: set up", name));
}

Result<Unit, NetError> RtNetlink::set_mtu(const std::string& name, uint32_t mtu) {
  MessageWriter message = link_message(RTM_NEWLINK, kAck, 0);
  message.attr_text(IFLA_IFNAME, name);
  message.attr_u32(IFLA_MTU, mtu);
  return run(message, fmt::format("link {}: set MTU {}", name, mtu));
}

Result<Unit, NetError> RtNetlink::set_mac(const std::string& name, const std::string& mac) {
  auto bytes = parse_mac(mac);
  if (!bytes) return Err(fmt::format("link {}: invalid MAC \"{}\"", name, mac));
  MessageWriter message = link_message(RTM_NEWLINK, kAck, 0);
  message.attr_text(IFLA_IFNAME, name);
  message.attr(IFLA_ADDRESS, *bytes);
  return run(message, fmt::format("link {}: set MAC {}", name, mac));
}

Result<Unit, NetError> RtNetlink::set_master(const std::string& name, const std::string& bridge) {
  ORCH_TRY(Link master, need_link(bridge));
  MessageWriter message = link_message(RTM_NEWLINK, kAck, 0);
  message.attr_text(IFLA_IFNAME, name);
  message.attr_u32(IFLA_MASTER, static_cast<uint32_t>(master.index));
  return run(message, fmt::format("link {}: set master {}", name, bridge));
}

Result<Unit, NetError> RtNetlink::set_port_flags(const std::string& name,
                                                 const BridgePortFlags& flags) {
  ORCH_TRY(Link link, need_link(name));
  MessageWriter message;
  message.begin(RTM_SETLINK, kAck, socket_->next_sequence());
  ifinfomsg head{};
  head.ifi_family = AF_BRIDGE;
  head.ifi_index = link.index;
  message.header(head);
  size_t port = message.begin_nest(IFLA_PROTINFO);
  message.attr_u8(IFLA_BRPORT_MODE, flags.hairpin ? 1 : 0);
  message.attr_u8(IFLA_BRPORT_ISOLATED, flags.isolated ? 1 : 0);
  message.end_nest(port);
  return run(message, fmt::format("link {}: set bridge port flags", name));
}

}  // namespace orch::net
