// CNI's JSON, in and out (CNI specification 0.3.1, 0.4.0, 1.0.0). Private to net/cni.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/cni.h"
#include "orch/net/netlink.h"

namespace orch::net {

// Codes of the specification; 100 and up are the plugin's own.
enum class CniCode : int {
  kIncompatibleVersion = 1,
  kInvalidEnvironment = 4,
  kIoFailure = 5,
  kDecodeFailure = 6,
  kInvalidConfig = 7,
  kNetworkFailure = 100,
  kCheckFailure = 101,
};
struct CniError {
  CniCode code = CniCode::kNetworkFailure;
  std::string message;
};

struct PortMapping {
  uint32_t host_ip = 0;  // 0 = any local address
  uint16_t host_port = 0, container_port = 0;
  uint8_t protocol = 6;
  bool operator==(const PortMapping&) const = default;
};
// The configuration on stdin, checked.
struct CniNetwork {
  std::string cni_version, name, bridge, state_dir, hostport_table;
  Ipv4Prefix pod_cidr;
  uint32_t mtu = 1500;
  std::vector<PortMapping> ports;
  uint32_t gateway() const { return pod_cidr.network() + 1; }
};
Result<CniNetwork, CniError> parse_network(std::string_view text);
// Only its cniVersion, for VERSION and for errors; "" if there is none.
std::string parse_version(std::string_view text);
// The plugin's type as configured: "orch-cni" or "loopback"; "" if there is none.
std::string parse_type(std::string_view text);

struct CniAttachment {
  std::string bridge, bridge_mac, host_link, host_mac, pod_link, pod_mac, netns;
  uint32_t address = 0, gateway = 0;
};
std::string render_result(const CniNetwork& network, const CniAttachment& attachment);
// Of the loopback plugin: lo, no addresses of ours.
std::string render_loopback_result(std::string_view cni_version, const std::string& netns);
std::string render_error(std::string_view cni_version, const CniError& error);
std::string render_versions(std::string_view cni_version);
std::string render_conflist(const CniConfig& config);

}  // namespace orch::net
