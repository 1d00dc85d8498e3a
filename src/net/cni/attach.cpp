#include "net/cni/attach.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "net/cni/hostports.h"
#include "net/cni/ipam.h"
#include "orch/base/strings.h"

namespace orch::net {

namespace {

CniError network_failure(NetError error) { return {CniCode::kNetworkFailure, std::move(error)}; }

// Derived from the address, so that a reused address never meets a stale ARP entry.
std::string pod_mac(uint32_t ip) {
  return fmt::format("0a:58:{:02x}:{:02x}:{:02x}:{:02x}", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
                     ip & 255);
}

Result<Link, NetError> prepare_bridge(Netlink& netlink, const CniNetwork& network) {
  ORCH_TRY(Link bridge, netlink.ensure_bridge(network.bridge, network.mtu));
  // A node's pod CIDR may have changed since.
  ORCH_TRY(auto addresses, netlink.addresses());
  Ipv4Prefix gateway{network.gateway(), network.pod_cidr.length};
  for (const Address& at : addresses) {
    if (at.link_index == bridge.index && at.prefix != gateway) {
      ORCH_CHECK(netlink.remove_address(network.bridge, at.prefix));
    }
  }
  ORCH_CHECK(netlink.ensure_address(network.bridge, gateway));
  ORCH_CHECK(enable_forwarding());
  // Pods' traffic comes in and leaves by the bridge, and is meant to.
  (void)write_sysctl("net/ipv4/conf/" + network.bridge + "/send_redirects", "0");
  return bridge;
}

Result<Unit, NetError> configure_pod(const CniNetwork& network, const CniTarget& target,
                                     uint32_t address) {
  ORCH_TRY(auto netlink, Netlink::open());
  ORCH_CHECK(netlink->set_up("lo"));
  // A redirect would lead answers past the host, which then could not translate them back.
  (void)write_sysctl("net/ipv4/conf/all/accept_redirects", "0");
  (void)write_sysctl("net/ipv4/conf/" + target.interface + "/accept_redirects", "0");
  ORCH_CHECK(netlink->set_mac(target.interface, pod_mac(address)));
  ORCH_CHECK(netlink->ensure_address(target.interface, {address, 32}));
  ORCH_CHECK(netlink->set_up(target.interface));
  ORCH_TRY(auto link, netlink->find_link(target.interface));
  if (!link) return Err(fmt::format("link {}: vanished", target.interface));
  Route to_gateway;
  to_gateway.destination = {network.gateway(), 32};
  to_gateway.link_index = link->index;
  ORCH_CHECK(netlink->ensure_route(to_gateway));
  Route to_all;
  to_all.gateway = network.gateway();
  to_all.link_index = link->index;
  return netlink->ensure_route(to_all);
}

Result<CniAttachment, NetError> plug(Netlink& netlink, const CniNetwork& network,
                                     const CniTarget& target, const Link& bridge,
                                     uint32_t address) {
  CniAttachment at;
  at.bridge = network.bridge;
  at.bridge_mac = bridge.mac;
  at.host_link = host_link_name(target);
  at.pod_link = target.interface;
  at.pod_mac = pod_mac(address);
  at.netns = target.netns;
  at.address = address;
  at.gateway = network.gateway();
  // Left over from an ADD that was killed.
  ORCH_CHECK(netlink.remove_link(at.host_link));
  ORCH_CHECK(netlink.add_veth(at.host_link, target.interface, target.netns, network.mtu));
  ORCH_CHECK(run_in_netns(target.netns, [&] { return configure_pod(network, target, address); }));
  ORCH_CHECK(netlink.set_master(at.host_link, network.bridge));
  ORCH_CHECK(netlink.set_port_flags(at.host_link, {.hairpin = true}));
  ORCH_CHECK(netlink.set_up(at.host_link));
  ORCH_TRY(auto host_link, netlink.find_link(at.host_link));
  if (host_link) at.host_mac = host_link->mac;
  return at;
}

// The kernel lets traffic through a little after both ends are up; a container whose first packets
// are lost would wait a second for their repetition. Late is no error.
void wait_operational(const CniAttachment& at) {
  constexpr int kTries = 200;
  constexpr std::chrono::milliseconds kPause{2};
  auto host = Netlink::open();
  auto pod = Netlink::open_in(at.netns);
  if (!host || !pod) return;
  for (int i = 0; i < kTries; ++i) {
    auto outer = (*host)->find_link(at.host_link);
    auto inner = (*pod)->find_link(at.pod_link);
    if (!outer || !*outer || !inner || !*inner) return;
    if ((*outer)->operational && (*outer)->forwarding && (*inner)->operational) return;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

std::string host_link_name(const CniTarget& target) {
  return fmt::format("veth{:08x}", fnv1a32(target.container + "/" + target.interface));
}

Result<CniAttachment, CniError> attach(const CniNetwork& network, const CniTarget& target) {
  if (!netns_exists(target.netns)) {
    return Err(CniError{CniCode::kInvalidEnvironment,
                        fmt::format("CNI_NETNS {} is no network namespace", target.netns)});
  }
  auto pool = AddressPool::open(network.state_dir, network.pod_cidr);
  if (!pool) return Err(CniError{CniCode::kIoFailure, pool.error()});
  auto netlink = Netlink::open();
  if (!netlink) return Err(network_failure(netlink.error()));
  auto bridge = prepare_bridge(**netlink, network);
  if (!bridge) return Err(network_failure(bridge.error()));
  Reservation wanted{0, target.container, target.interface, target.netns};
  auto address = (*pool)->reserve(
      wanted, [&](uint32_t freed) { (void)remove_hostports(network.hostport_table, freed); });
  if (!address) return Err(CniError{CniCode::kIoFailure, address.error()});

  auto done = plug(**netlink, network, target, *bridge, *address);
  if (done) {
    auto alive = [&](uint32_t pod) {
      auto held = (*pool)->list();
      return held && std::any_of(held->begin(), held->end(), [&](const Reservation& one) {
               return one.address == pod && netns_exists(one.netns);
             });
    };
    auto ports = add_hostports(network.hostport_table, *address, network.ports, alive);
    if (ports) {
      pool->reset();  // others need not wait for us
      wait_operational(*done);
      return *std::move(done);
    }
    done = Err(ports.error());
  }
  (void)(*netlink)->remove_link(host_link_name(target));
  (void)remove_hostports(network.hostport_table, *address);
  (void)(*pool)->release(target.container, target.interface);
  return Err(network_failure(done.error()));
}

Result<Unit, CniError> detach(const CniNetwork& network, const CniTarget& target) {
  auto pool = AddressPool::open(network.state_dir, network.pod_cidr);
  if (!pool) return Err(CniError{CniCode::kIoFailure, pool.error()});
  auto netlink = Netlink::open();
  if (!netlink) return Err(network_failure(netlink.error()));
  auto held = (*pool)->list();
  if (!held) return Err(CniError{CniCode::kIoFailure, held.error()});
  // The address goes last: a DEL cut short is called again and finds what is left to do.
  for (const Reservation& one : *held) {
    if (one.container != target.container || one.interface != target.interface) continue;
    auto ports = remove_hostports(network.hostport_table, one.address);
    if (!ports) return Err(network_failure(ports.error()));
  }
  auto gone = (*netlink)->remove_link(host_link_name(target));
  if (!gone) return Err(network_failure(gone.error()));
  auto released = (*pool)->release(target.container, target.interface);
  if (!released) return Err(CniError{CniCode::kIoFailure, released.error()});
  return Unit{};
}

Result<Unit, CniError> check_attachment(const CniNetwork& network, const CniTarget& target) {
  auto failed = [](std::string message) {
    return Err(CniError{CniCode::kCheckFailure, std::move(message)});
  };
  auto pool = AddressPool::open(network.state_dir, network.pod_cidr);
  if (!pool) return Err(CniError{CniCode::kIoFailure, pool.error()});
  auto held = (*pool)->list();
  if (!held) return Err(CniError{CniCode::kIoFailure, held.error()});
  auto own = std::find_if(held->begin(), held->end(), [&](const Reservation& one) {
    return one.container == target.container && one.interface == target.interface;
  });
  if (own == held->end()) {
    return failed(fmt::format("container {} has no address", target.container));
  }
  auto netlink = Netlink::open();
  if (!netlink) return failed(netlink.error());
  std::string host_link = host_link_name(target);
  auto link = (*netlink)->find_link(host_link);
  auto bridge = (*netlink)->find_link(network.bridge);
  if (!link || !*link) return failed(fmt::format("link {} is missing", host_link));
  if (!bridge || !*bridge || (*link)->master != (*bridge)->index) {
    return failed(fmt::format("link {} is no port of {}", host_link, network.bridge));
  }
  auto inside = run_in_netns(target.netns, [&]() -> Result<Unit, NetError> {
    ORCH_TRY(auto pod, Netlink::open());
    ORCH_TRY(auto addresses, pod->addresses());
    bool has = std::any_of(addresses.begin(), addresses.end(),
                           [&](const Address& at) { return at.prefix.address == own->address; });
    if (!has) return Err(fmt::format("address {} is missing", format_ipv4(own->address)));
    ORCH_TRY(auto routes, pod->routes());
    bool out = std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
      return route.destination.length == 0 && route.gateway == network.gateway();
    });
    if (!out) return Err(NetError("the default route is missing"));
    return Unit{};
  });
  if (!inside) return failed(inside.error());
  return Unit{};
}

}  // namespace orch::net
