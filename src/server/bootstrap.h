// What every cluster has from its first start on: namespaces, the "kubernetes" Service, priority
// classes, flow control, API services, RBAC's basic roles. Created when absent (RBAC's rules are
// also brought back), never deleted; at the fixpoint nothing is written.
#pragma once

#include <string>

#include "orch/base/clock.h"
#include "orch/client/client.h"
#include "orch/client/informer.h"
#include "server/auth/request_header.h"

namespace orch::server {

struct BootstrapFacts {
  std::string kubernetes_ip;      // ClusterIP of default/kubernetes
  std::string advertise_address;  // where the API server is reached; "": KubernetesEndpoints says
  uint16_t port = 6443;
  std::string client_ca_pem;  // signs users' certificates
  // Signs the certificate that the server shows to extension servers; "": none.
  std::string request_header_ca_pem;
  RequestHeaderOptions request_header;
  WallTime now;
};

// Error: a sentence.
Result<Unit, std::string> bootstrap_objects(const client::Client& client,
                                            const BootstrapFacts& facts);

// What extension servers learn the authorities from
// (kube-system/extension-apiserver-authentication) is brought back whenever it changes.
void keep_authentication_facts(Env& env, const client::Client& client,
                               client::InformerSet& informers, BootstrapFacts facts);

}  // namespace orch::server
