// rtnetlink: links, addresses, routes, neighbours, forwarding entries, in any network namespace.
// All ensure_* calls are idempotent: they make it so, or find it so. One Netlink is one socket,
// tied to the namespace it was opened in; not thread-safe. Errors: "link orch0: add: Operation not
// permitted", naming the link or address and the kernel's reason.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/host.h"

namespace orch::net {

// ---- values: IPv4 in host byte order ----

std::optional<uint32_t> parse_ipv4(std::string_view text);
std::string format_ipv4(uint32_t address);
struct Ipv4Prefix {
  uint32_t address = 0;  // as written, host bits kept
  uint8_t length = 0;
  uint32_t mask() const { return length == 0 ? 0 : ~uint32_t{0} << (32 - length); }
  uint32_t network() const { return address & mask(); }
  bool contains(uint32_t ip) const { return (ip & mask()) == network(); }
  bool operator==(const Ipv4Prefix&) const = default;
  auto operator<=>(const Ipv4Prefix&) const = default;
};
std::optional<Ipv4Prefix> parse_prefix(std::string_view text);  // "10.42.0.0/24"
std::string format_prefix(const Ipv4Prefix& prefix);
// "02:42:0a:2a:00:05" <-> 6 bytes.
std::optional<std::string> parse_mac(std::string_view text);
std::string format_mac(std::string_view bytes);

struct Link {
  int index = 0;
  std::string name, kind;  // kind: "bridge", "veth", "vxlan", "" ...
  std::string mac;         // "02:..."
  uint32_t mtu = 0;
  int master = 0;            // index of the bridge it is a port of
  bool up = false;           // as configured
  bool operational = false;  // and it carries traffic (RFC 2863 operational state)
  bool forwarding = false;   // a bridge port that its bridge sends to
  uint32_t vxlan_vni = 0;
  uint16_t vxlan_port = 0;
  uint32_t vxlan_local = 0;
};
struct Address {
  int link_index = 0;
  Ipv4Prefix prefix;
  bool operator==(const Address&) const = default;
};
struct Route {
  Ipv4Prefix destination;  // length 0 = default
  uint32_t gateway = 0;    // 0 = directly on the link
  int link_index = 0;
  uint32_t source = 0;  // preferred source; 0 = the kernel's choice
  bool onlink = false;
  uint8_t protocol = 0;  // RTPROT_*; 0 = static
  uint32_t metric = 0;
  bool operator==(const Route&) const = default;
};
struct Neighbour {
  int link_index = 0;
  uint32_t address = 0;
  std::string mac;
  bool operator==(const Neighbour&) const = default;
};
struct ForwardingEntry {  // a vxlan's "MAC behind remote address"
  int link_index = 0;
  std::string mac;
  uint32_t remote = 0;
  bool operator==(const ForwardingEntry&) const = default;
};
struct VxlanSpec {
  std::string name;
  uint32_t vni = 1;
  uint16_t udp_port = 8472;
  uint32_t local = 0;  // outer source address
  std::string mac;
  uint32_t mtu = 1450;
};
struct BridgePortFlags {
  bool hairpin = false;
  bool isolated = false;  // no layer-2 path to other isolated ports
};

class Netlink {
 public:
  // In the calling thread's network namespace.
  static Result<std::unique_ptr<Netlink>, NetError> open();
  // In the namespace at a path ("/var/run/netns/x", "/proc/1/ns/net").
  static Result<std::unique_ptr<Netlink>, NetError> open_in(const std::string& netns_path);
  virtual ~Netlink() = default;

  virtual Result<std::vector<Link>, NetError> links() = 0;
  virtual Result<std::optional<Link>, NetError> find_link(const std::string& name) = 0;
  virtual Result<Link, NetError> ensure_bridge(const std::string& name, uint32_t mtu) = 0;
  // Recreated if VNI, port or local address differ.
  virtual Result<Link, NetError> ensure_vxlan(const VxlanSpec& spec) = 0;
  // A link that only carries addresses: dummy, or a port-less bridge where the kernel has no dummy.
  virtual Result<Link, NetError> ensure_dummy(const std::string& name) = 0;
  // `peer` is made inside the namespace at `peer_netns` ("" = this one). Error if `name` exists.
  virtual Result<Unit, NetError> add_veth(const std::string& name, const std::string& peer,
                                          const std::string& peer_netns, uint32_t mtu) = 0;
  virtual Result<Unit, NetError> remove_link(const std::string& name) = 0;  // absent is fine
  virtual Result<Unit, NetError> set_up(const std::string& name) = 0;
  virtual Result<Unit, NetError> set_mtu(const std::string& name, uint32_t mtu) = 0;
  virtual Result<Unit, NetError> set_mac(const std::string& name, const std::string& mac) = 0;
  virtual Result<Unit, NetError> set_master(const std::string& name, const std::string& bridge) = 0;
  virtual Result<Unit, NetError> set_port_flags(const std::string& name,
                                                const BridgePortFlags& flags) = 0;

  virtual Result<std::vector<Address>, NetError> addresses() = 0;
  virtual Result<Unit, NetError> ensure_address(const std::string& link, Ipv4Prefix address) = 0;
  virtual Result<Unit, NetError> remove_address(const std::string& link, Ipv4Prefix address) = 0;

  virtual Result<std::vector<Route>, NetError> routes() = 0;            // main table, IPv4 unicast
  virtual Result<Unit, NetError> ensure_route(const Route& route) = 0;  // replaces
  virtual Result<Unit, NetError> remove_route(const Route& route) = 0;  // absent is fine
  // How the kernel would reach `destination` from here; nullopt = unreachable.
  virtual Result<std::optional<Route>, NetError> lookup_route(uint32_t destination) = 0;

  virtual Result<std::vector<Neighbour>, NetError> neighbours(int link_index) = 0;  // permanent
  virtual Result<Unit, NetError> ensure_neighbour(const Neighbour& neighbour) = 0;
  virtual Result<Unit, NetError> remove_neighbour(const Neighbour& neighbour) = 0;
  virtual Result<std::vector<ForwardingEntry>, NetError> forwarding(int link_index) = 0;
  virtual Result<Unit, NetError> ensure_forwarding(const ForwardingEntry& entry) = 0;
  virtual Result<Unit, NetError> remove_forwarding(const ForwardingEntry& entry) = 0;
};

// Runs `fn` on a helper thread inside the namespace and waits; the caller's thread never moves.
Result<Unit, NetError> run_in_netns(const std::string& netns_path,
                                    const std::function<Result<Unit, NetError>()>& fn);
// Makes a named network namespace (bind mount at `path`), with lo up; removes it. For tests too.
Result<Unit, NetError> make_netns(const std::string& path);
Result<Unit, NetError> remove_netns(const std::string& path);  // absent is fine

// Writes /proc/sys/NAME ("net/ipv4/ip_forward") of the calling thread's namespace.
Result<Unit, NetError> write_sysctl(const std::string& name, std::string_view value);
// IPv4 forwarding on.
Result<Unit, NetError> enable_forwarding();

// `link` exists, is up and holds `address`/32: every node answers cluster DNS on the same address.
Result<Unit, NetError> ensure_dummy_address(const std::string& link, std::string_view address);
// `link` holds exactly these addresses, each as /32, so that the kernel answers for them on every
// link (ARP); with none the link goes. Returns those that are new here.
Result<std::vector<uint32_t>, NetError> hold_addresses(const std::string& link,
                                                       const std::vector<uint32_t>& addresses);
// Tells the neighbours on the link of `via` (an address of this machine) that `address` is here now
// (gratuitous ARP, RFC 5227 section 3).
Result<Unit, NetError> announce_address(uint32_t address, std::string_view via);
// Where the host has no route towards Services (no default route), gives it one over `link`, so
// that its own connections to cluster IPs get as far as the proxy. `source` = the node's address.
Result<Unit, NetError> ensure_service_route(const std::string& link, std::string_view service_cidr,
                                            std::string_view source);

}  // namespace orch::net
