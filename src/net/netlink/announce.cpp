// Addresses that move between machines: held on a link of their own, told to the neighbours.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "orch/net/netlink.h"

namespace orch::net {
namespace {

constexpr int kRepeats = 3;  // one may be lost; nobody answers

// Request and reply with the address as both sender and target: some devices heed only the one,
// some only the other.
std::string arp_frame(uint32_t address, const std::string& mac, uint16_t operation) {
  std::string frame(6, '\xff');
  frame += mac;
  const auto put16 = [&frame](uint16_t value) {
    frame += static_cast<char>(value >> 8);
    frame += static_cast<char>(value & 255);
  };
  const uint32_t network_order = htonl(address);
  const std::string ip(reinterpret_cast<const char*>(&network_order), 4);
  put16(ETH_P_ARP);
  put16(ARPHRD_ETHER);
  put16(ETH_P_IP);
  frame += '\x06';
  frame += '\x04';
  put16(operation);
  frame += mac + ip;
  frame += std::string(6, operation == ARPOP_REQUEST ? '\0' : '\xff') + ip;
  return frame;
}

NetError failure(uint32_t address, const char* what) {
  return fmt::format("announcing {}: {}: {}", format_ipv4(address), what, std::strerror(errno));
}

}  // namespace

Result<std::vector<uint32_t>, NetError> hold_addresses(const std::string& link,
                                                       const std::vector<uint32_t>& addresses) {
  ORCH_TRY(auto netlink, Netlink::open());
  std::vector<uint32_t> fresh;
  if (addresses.empty()) {
    ORCH_CHECK(netlink->remove_link(link));
    return fresh;
  }
  ORCH_TRY(const auto held_by, netlink->ensure_dummy(link));
  ORCH_TRY(const auto all, netlink->addresses());
  const std::set<uint32_t> wanted(addresses.begin(), addresses.end());
  std::set<uint32_t> there;
  for (const Address& at : all) {
    if (at.link_index != held_by.index) continue;
    there.insert(at.prefix.address);
    if (wanted.count(at.prefix.address) == 0) {
      ORCH_CHECK(netlink->remove_address(link, at.prefix));
    }
  }
  for (const uint32_t address : wanted) {
    if (there.count(address) != 0) continue;
    ORCH_CHECK(netlink->ensure_address(link, {address, 32}));
    fresh.push_back(address);
  }
  return fresh;
}

Result<Unit, NetError> announce_address(uint32_t address, std::string_view via) {
  const auto own = parse_ipv4(via);
  if (!own) return Err(fmt::format("invalid IPv4 address \"{}\"", via));
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_TRY(const auto addresses, netlink->addresses());
  ORCH_TRY(const auto links, netlink->links());
  const auto at = std::find_if(addresses.begin(), addresses.end(),
                               [&](const Address& a) { return a.prefix.address == *own; });
  const auto link = std::find_if(links.begin(), links.end(), [&](const Link& l) {
    return at != addresses.end() && l.index == at->link_index;
  });
  if (link == links.end()) return Err(fmt::format("address {}: on no link of this machine", via));
  const auto mac = parse_mac(link->mac);
  if (!mac) return Unit{};  // loopback, a tunnel: there is nobody to tell
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return Err(failure(address, "socket"));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = link->index;
  to.sll_halen = 6;
  std::memset(to.sll_addr, 0xff, 6);
  Result<Unit, NetError> sent = Unit{};
  for (int i = 0; i < kRepeats && sent; ++i) {
    for (const uint16_t operation : {ARPOP_REQUEST, ARPOP_REPLY}) {
      const std::string frame = arp_frame(address, *mac, operation);
      if (sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) <
          0) {
        sent = Err(failure(address, "send"));
      }
    }
  }
  close(fd);
  return sent;
}

}  // namespace orch::net
