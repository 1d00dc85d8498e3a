#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>

#include <cerrno>
#include <cstring>

#include "net/netlink/rtnetlink.h"

namespace orch::net {

namespace {

constexpr uint16_t kAck = NLM_F_REQUEST | NLM_F_ACK;
constexpr uint16_t kDump = NLM_F_REQUEST | NLM_F_DUMP;

template <class T>
bool read_header(std::string_view payload, T& head, std::string_view& rest) {
  if (payload.size() < sizeof(T)) return false;
  std::memcpy(&head, payload.data(), sizeof head);
  rest = payload.substr(std::min(payload.size(), size_t{NLMSG_ALIGN(sizeof head)}));
  return true;
}

std::optional<Route> parse_route(std::string_view payload) {
  rtmsg head;
  std::string_view rest;
  if (!read_header(payload, head, rest) || head.rtm_family != AF_INET) return std::nullopt;
  if (head.rtm_type != RTN_UNICAST && head.rtm_type != RTN_LOCAL) return std::nullopt;
  Attributes attributes(rest);
  Route route;
  route.destination = {attributes.be32(RTA_DST), head.rtm_dst_len};
  route.gateway = attributes.be32(RTA_GATEWAY);
  route.link_index = static_cast<int>(attributes.u32(RTA_OIF));
  route.source = attributes.be32(RTA_PREFSRC);
  route.metric = attributes.u32(RTA_PRIORITY);
  route.onlink = head.rtm_flags & RTNH_F_ONLINK;
  route.protocol = head.rtm_protocol == RTPROT_STATIC ? 0 : head.rtm_protocol;
  return route;
}

}  // namespace

// ---- addresses ----

Result<std::vector<Address>, NetError> RtNetlink::addresses() {
  std::vector<Address> found;
  MessageWriter message;
  message.begin(RTM_GETADDR, kDump, socket_->next_sequence());
  ifaddrmsg head{};
  head.ifa_family = AF_INET;
  message.header(head);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    ifaddrmsg at;
    std::string_view rest;
    if (type != RTM_NEWADDR || !read_header(payload, at, rest) || at.ifa_family != AF_INET) return;
    Attributes attributes(rest);
    uint32_t address = attributes.be32(IFA_LOCAL, attributes.be32(IFA_ADDRESS));
    found.push_back({static_cast<int>(at.ifa_index), {address, at.ifa_prefixlen}});
  });
  if (!done) return Err("addresses: list: " + done.error().describe());
  return found;
}

Result<Unit, NetError> RtNetlink::change_address(uint16_t type, uint16_t flags,
                                                 const std::string& link, Ipv4Prefix address,
                                                 int fine_code) {
  ORCH_TRY(Link on, need_link(link));
  MessageWriter message;
  message.begin(type, flags, socket_->next_sequence());
  ifaddrmsg head{};
  head.ifa_family = AF_INET;
  head.ifa_prefixlen = address.length;
  head.ifa_index = static_cast<uint32_t>(on.index);
  message.header(head);
  message.attr_be32(IFA_LOCAL, address.address);
  message.attr_be32(IFA_ADDRESS, address.address);
  return run(message,
             fmt::format("link {}: {} address {}", link, type == RTM_NEWADDR ? "add" : "delete",
                         format_prefix(address)),
             fine_code);
}

Result<Unit, NetError> RtNetlink::ensure_address(const std::string& link, Ipv4Prefix address) {
  return change_address(RTM_NEWADDR, kAck | NLM_F_CREATE | NLM_F_EXCL, link, address, EEXIST);
}

Result<Unit, NetError> RtNetlink::remove_address(const std::string& link, Ipv4Prefix address) {
  return change_address(RTM_DELADDR, kAck, link, address, EADDRNOTAVAIL);
}

// ---- routes ----

MessageWriter RtNetlink::route_message(uint16_t type, uint16_t flags, const Route& route) {
  MessageWriter message;
  message.begin(type, flags, socket_->next_sequence());
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_dst_len = route.destination.length;
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = route.protocol ? route.protocol : RTPROT_STATIC;
  head.rtm_type = RTN_UNICAST;
  head.rtm_scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (type == RTM_DELROUTE) head.rtm_scope = RT_SCOPE_NOWHERE;
  if (route.onlink) head.rtm_flags = RTNH_F_ONLINK;
  message.header(head);
  if (route.destination.length) message.attr_be32(RTA_DST, route.destination.network());
  if (route.gateway) message.attr_be32(RTA_GATEWAY, route.gateway);
  if (route.link_index) message.attr_u32(RTA_OIF, static_cast<uint32_t>(route.link_index));
  if (route.source) message.attr_be32(RTA_PREFSRC, route.source);
  if (route.metric) message.attr_u32(RTA_PRIORITY, route.metric);
  return message;
}

Result<std::vector<Route>, NetError> RtNetlink::routes() {
  std::vector<Route> found;
  MessageWriter message;
  message.begin(RTM_GETROUTE, kDump, socket_->next_sequence());
  rtmsg head{};
  head.rtm_family = AF_INET;
  message.header(head);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    rtmsg at;
    std::string_view rest;
    if (type != RTM_NEWROUTE || !read_header(payload, at, rest)) return;
    if (at.rtm_type != RTN_UNICAST || Attributes(rest).u32(RTA_TABLE) != RT_TABLE_MAIN) return;
    if (auto route = parse_route(payload)) found.push_back(*route);
  });
  if (!done) return Err("routes: list: " + done.error().describe());
  return found;
}

Result<Unit, NetError> RtNetlink::ensure_route(const Route& route) {
  MessageWriter message = route_message(RTM_NEWROUTE, kAck | NLM_F_CREATE | NLM_F_REPLACE, route);
  return run(message, fmt::format("route {}: add", format_prefix(route.destination)));
}

Result<Unit, NetError> RtNetlink::remove_route(const Route& route) {
  MessageWriter message = route_message(RTM_DELROUTE, kAck, route);
  return run(message, fmt::format("route {}: delete", format_prefix(route.destination)), ESRCH);
}

Result<std::optional<Route>, NetError> RtNetlink::lookup_route(uint32_t destination) {
  std::optional<Route> found;
  MessageWriter message;
  message.begin(RTM_GETROUTE, kAck, socket_->next_sequence());
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_dst_len = 32;
  message.header(head);
  message.attr_be32(RTA_DST, destination);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    if (type == RTM_NEWROUTE) found = parse_route(payload);
  });
  if (done) return found;
  int code = done.error().code;
  if (code == ENETUNREACH || code == EHOSTUNREACH || code == EACCES || code == EINVAL) {
    return std::optional<Route>{};
  }
  return Err(fmt::format("route to {}: {}", format_ipv4(destination), done.error().describe()));
}

// ---- neighbours and forwarding entries ----

Result<std::vector<Neighbour>, NetError> RtNetlink::neighbours(int link_index) {
  std::vector<Neighbour> found;
  MessageWriter message;
  message.begin(RTM_GETNEIGH, kDump, socket_->next_sequence());
  ndmsg head{};
  head.ndm_family = AF_INET;
  message.header(head);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    ndmsg at;
    std::string_view rest;
    if (type != RTM_NEWNEIGH || !read_header(payload, at, rest)) return;
    if (at.ndm_ifindex != link_index || !(at.ndm_state & NUD_PERMANENT)) return;
    Attributes attributes(rest);
    found.push_back({link_index, attributes.be32(NDA_DST), format_mac(attributes.get(NDA_LLADDR))});
  });
  if (!done) return Err("neighbours: list: " + done.error().describe());
  return found;
}

Result<std::vector<ForwardingEntry>, NetError> RtNetlink::forwarding(int link_index) {
  std::vector<ForwardingEntry> found;
  MessageWriter message;
  message.begin(RTM_GETNEIGH, kDump, socket_->next_sequence());
  // The kernel tells this request from a plain link dump by its longer header.
  ifinfomsg head{};
  head.ifi_family = AF_BRIDGE;
  message.header(head);
  auto done = socket_->query(message, [&](uint16_t type, std::string_view payload) {
    ndmsg at;
    std::string_view rest;
    if (type != RTM_NEWNEIGH || !read_header(payload, at, rest)) return;
    Attributes attributes(rest);
    if (at.ndm_ifindex != link_index || !attributes.has(NDA_DST)) return;
    found.push_back({link_index, format_mac(attributes.get(NDA_LLADDR)), attributes.be32(NDA_DST)});
  });
  if (!done) return Err("forwarding entries: list: " + done.error().describe());
  return found;
}

Result<Unit, NetError> RtNetlink::change_neighbour(uint16_t type, uint16_t flags, uint8_t family,
                                                   int link_index, uint32_t address,
                                                   const std::string& mac) {
  auto bytes = parse_mac(mac);
  if (!bytes)
    return Err(fmt::format("neighbour {}: invalid MAC \"{}\"", format_ipv4(address), mac));
  MessageWriter message;
  message.begin(type, flags, socket_->next_sequence());
  ndmsg head{};
  head.ndm_family = family;
  head.ndm_ifindex = link_index;
  head.ndm_state = family == AF_BRIDGE ? NUD_NOARP | NUD_PERMANENT : NUD_PERMANENT;
  head.ndm_flags = family == AF_BRIDGE ? NTF_SELF : 0;
  message.header(head);
  message.attr_be32(NDA_DST, address);
  message.attr(NDA_LLADDR, *bytes);
  return run(
      message,
      fmt::format("{} {} at {} (link {}): {}",
                  family == AF_BRIDGE ? "forwarding entry" : "neighbour", format_ipv4(address), mac,
                  link_index, type == RTM_NEWNEIGH ? "add" : "delete"),
      type == RTM_DELNEIGH ? ENOENT : 0);
}

Result<Unit, NetError> RtNetlink::ensure_neighbour(const Neighbour& n) {
  return change_neighbour(RTM_NEWNEIGH, kAck | NLM_F_CREATE | NLM_F_REPLACE, AF_INET, n.link_index,
                          n.address, n.mac);
}
Result<Unit, NetError> RtNetlink::remove_neighbour(const Neighbour& n) {
  return change_neighbour(RTM_DELNEIGH, kAck, AF_INET, n.link_index, n.address, n.mac);
}
Result<Unit, NetError> RtNetlink::ensure_forwarding(const ForwardingEntry& e) {
  return change_neighbour(RTM_NEWNEIGH, kAck | NLM_F_CREATE | NLM_F_REPLACE, AF_BRIDGE,
                          e.link_index, e.remote, e.mac);
}
Result<Unit, NetError> RtNetlink::remove_forwarding(const ForwardingEntry& e) {
  return change_neighbour(RTM_DELNEIGH, kAck, AF_BRIDGE, e.link_index, e.remote, e.mac);
}

}  // namespace orch::net
