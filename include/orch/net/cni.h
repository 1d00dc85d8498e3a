// orch as its own CNI plugin (CNI spec 0.3.1 to 1.0.0): bridge, veth, host-local addresses,
// hostPort. The runtime runs the orch binary under the name orch-cni.
//
// Pods get their address as /32 with a route over the gateway: answers between pods of one node
// pass the host's IP layer, so Services work whether br_netfilter is there (then DNAT happens on
// the bridge, which is what hairpin mode on its ports is for) or not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "orch/base/result.h"
#include "orch/net/host.h"

namespace orch::net {

inline constexpr std::string_view kCniPluginName = "orch-cni";
// The second name: runtimes expect a plugin of this name beside the configured ones.
inline constexpr std::string_view kCniLoopbackName = "loopback";

// main() of the plugin: CNI_COMMAND and friends from the environment, configuration on stdin,
// result or error JSON on stdout. Returns the exit code.
int cni_main();

struct CniConfig {
  std::string network_name = "orch";
  std::string bridge;          // InstanceNames::bridge
  std::string pod_cidr;        // this node's, "10.42.0.0/24"; its first address is the gateway
  std::string state_dir;       // address reservations, one file each, survives reboots of orch
  std::string hostport_table;  // InstanceNames::hostport_table
  uint32_t mtu = 1500;
};
// Writes CONF_DIR/10-orch.conflist atomically, if it differs.
Result<Unit, NetError> write_cni_config(const std::string& conf_dir, const CniConfig& config);
// BIN_DIR/{orch-cni,loopback} -> `orch_binary` (symlinks, replaced atomically).
Result<Unit, NetError> install_cni_plugin(const std::string& bin_dir,
                                          const std::string& orch_binary);

}  // namespace orch::net
