// What every cluster has from its first start on: namespaces, the "kubernetes" Service, priority
// classes, flow control, API services, RBAC's basic roles. Created when absent (RBAC's rules are
// also brought back), never deleted; at the fixpoint nothing is written.
#pragma once

#include <string>

#include "orch/base/clock.h"
#include "orch/client/client.h"

namespace orch::server {

struct BootstrapFacts {
  std::string kubernetes_ip;      // ClusterIP of default/kubernetes
  std::string advertise_address;  // where the API server is reached; "": KubernetesEndpoints says
  uint16_t port = 6443;
  std::string client_ca_pem;  // signs users' certificates
  // Signs the certificate the server shows to extension servers, and its name; "": none.
  std::string request_header_ca_pem, request_header_name;
  WallTime now;
};

// Error: a sentence.
Result<Unit, std::string> bootstrap_objects(const client::Client& client,
                                            const BootstrapFacts& facts);

}  // namespace orch::server
