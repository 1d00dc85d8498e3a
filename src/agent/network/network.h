// The node's network, kept as the API says: pods' routes to other nodes (overlay), Services (proxy)
// and names (DNS). Watches Nodes, Services, EndpointSlices and Namespaces; changes are gathered for
// a moment and applied whole. start() and stop() from one thread.
#pragma once

#include <memory>
#include <string>

#include "orch/base/env.h"
#include "orch/client/informer.h"
#include "orch/net/host.h"
#include "orch/net/overlay.h"

namespace orch::agent {

struct NetworkConfig {
  std::string node_name, node_ip;
  std::string cluster_cidr, service_cidr, cluster_dns, cluster_domain;
  net::OverlayMode overlay = net::OverlayMode::kVxlan;
  std::string proxy_mode = "nftables";
  net::InstanceNames names;
  std::string cni_conf_dir, cni_state_dir;
};

class Network {
 public:
  // Error: a proxy mode that is not to be had.
  static Result<std::unique_ptr<Network>, std::string> create(Env& env,
                                                              client::InformerSet& informers,
                                                              NetworkConfig config);
  virtual ~Network() = default;
  virtual void start() = 0;
  virtual void stop() = 0;  // rules and links stay: pods go on; idempotent
  // The node has another address: overlay and routes follow. Any thread.
  virtual void set_address(const std::string& node_ip) = 0;
  // Writes the CNI configuration for this node's pod CIDR. "" = fine, else why not. Any thread.
  virtual std::string set_pod_cidr(const std::string& pod_cidr) = 0;
};

}  // namespace orch::agent
