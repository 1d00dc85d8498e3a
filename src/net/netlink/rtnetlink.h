// The one implementation of Netlink: links in links.cpp, the rest in routes.cpp.
#pragma once

#include <linux/rtnetlink.h>

#include "net/netlink/socket.h"
#include "orch/net/netlink.h"

namespace orch::net {

class RtNetlink final : public Netlink {
 public:
  explicit RtNetlink(std::unique_ptr<NetlinkSocket> socket) : socket_(std::move(socket)) {}

  Result<std::vector<Link>, NetError> links() override;
  Result<std::optional<Link>, NetError> find_link(const std::string& name) override;
  Result<Link, NetError> ensure_bridge(const std::string& name, uint32_t mtu) override;
  Result<Link, NetError> ensure_vxlan(const VxlanSpec& spec) override;
  Result<Link, NetError> ensure_dummy(const std::string& name) override;
  Result<Unit, NetError> add_veth(const std::string& name, const std::string& peer,
                                  const std::string& peer_netns, uint32_t mtu) override;
  Result<Unit, NetError> remove_link(const std::string& name) override;
  Result<Unit, NetError> set_up(const std::string& name) override;
  Result<Unit, NetError> set_mtu(const std::string& name, uint32_t mtu) override;
  Result<Unit, NetError> set_mac(const std::string& name, const std::string& mac) override;
  Result<Unit, NetError> set_master(const std::string& name, const std::string& bridge) override;
  Result<Unit, NetError> set_port_flags(const std::string& name,
                                        const BridgePortFlags& flags) override;

  Result<std::vector<Address>, NetError> addresses() override;
  Result<Unit, NetError> ensure_address(const std::string& link, Ipv4Prefix address) override;
  Result<Unit, NetError> remove_address(const std::string& link, Ipv4Prefix address) override;
  Result<std::vector<Route>, NetError> routes() override;
  Result<Unit, NetError> ensure_route(const Route& route) override;
  Result<Unit, NetError> remove_route(const Route& route) override;
  Result<std::optional<Route>, NetError> lookup_route(uint32_t destination) override;
  Result<std::vector<Neighbour>, NetError> neighbours(int link_index) override;
  Result<Unit, NetError> ensure_neighbour(const Neighbour& neighbour) override;
  Result<Unit, NetError> remove_neighbour(const Neighbour& neighbour) override;
  Result<std::vector<ForwardingEntry>, NetError> forwarding(int link_index) override;
  Result<Unit, NetError> ensure_forwarding(const ForwardingEntry& entry) override;
  Result<Unit, NetError> remove_forwarding(const ForwardingEntry& entry) override;

 private:
  Result<Link, NetError> need_link(const std::string& name);
  // Starts a link request; the caller adds attributes.
  MessageWriter link_message(uint16_t type, uint16_t flags, int index);
  MessageWriter route_message(uint16_t type, uint16_t flags, const Route& route);
  Result<Unit, NetError> change_address(uint16_t type, uint16_t flags, const std::string& link,
                                        Ipv4Prefix address, int absent_code);
  Result<Unit, NetError> change_neighbour(uint16_t type, uint16_t flags, uint8_t family,
                                          int link_index, uint32_t address, const std::string& mac);
  Result<Unit, NetError> run(MessageWriter& message, const std::string& what, int fine_code = 0);

  std::unique_ptr<NetlinkSocket> socket_;
};

}  // namespace orch::net
