// ServerConfig, checked and completed: everything parsed once, defaults filled in. Pure but for
// asking the machine for its address.
#pragma once

#include <sys/types.h>
#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/server/server.h"
#include "server/cloud/lb_pool.h"
#include "server/controllers/cidr.h"

namespace orch::server {

struct Settings {
  std::string directory;          // <data-dir>/server
  std::string advertise_address;  // an IPv4 address
  std::string cluster_dns;        // the cluster's DNS address
  std::string kubernetes_ip;      // first address of the service CIDR
  std::string node_name;          // of this machine
  std::string local_url_host;     // how this machine reaches the API: 127.0.0.1 or the bind address
  mode_t kubeconfig_mode = 0600;
  LbPool lb_pool;
  Seconds certificate_lifetime{};
  std::vector<std::string> certificate_dns_names, certificate_ips;
};

// Error: a sentence naming the flag.
Result<Settings, std::string> make_settings(const ServerConfig& config);

}  // namespace orch::server
