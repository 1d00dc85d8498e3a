// What the machine's network looks like, and the names under which one orch instance makes its own
// links and tables. Blocking kernel calls; any thread; errors are text naming link or address.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::net {

using NetError = std::string;

// Source address of the default route, or, without one, the first global IPv4 address of a link
// that is up. Links of orch's own (bridge, vxlan, veth) are not considered.
Result<std::string, NetError> default_ipv4_address();
// MTU of the link holding `address`.
Result<uint32_t, NetError> mtu_of_address(std::string_view address);
// Every IPv4 address of this network namespace but loopback's.
Result<std::vector<std::string>, NetError> local_ipv4_addresses();

// Names of the links and tables of one instance. Two instances with different data directories
// never share one.
struct InstanceNames {
  std::string bridge;          // pods' bridge (CNI)
  std::string vxlan;           // overlay device
  std::string dns_link;        // carries the cluster DNS address
  std::string lb_link;         // carries the load balancers' addresses this node announces
  std::string proxy_table;     // nf_tables, family ip
  std::string overlay_table;   // masquerade of pods -> outside
  std::string hostport_table;  // CNI hostPort
};
// "/var/lib/orch" gives orch0, orch.vx, orch.dns, orch-proxy ...; other directories a hash of the
// path in place of "orch". Link names fit IFNAMSIZ.
InstanceNames instance_names(std::string_view data_dir);

// Deletes the links (with their addresses, routes, neighbours and veths), and tables of an
// instance. What is not there is fine; all errors are collected. For `orch killall`.
std::vector<NetError> remove_all(const InstanceNames& names);

}  // namespace orch::net
