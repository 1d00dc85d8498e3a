// The cluster's certificate authorities, keys and the leaves the server itself uses, kept in
// <data-dir>/server/tls (directories 700, keys 600). Made on first start; leaves are issued anew
// when a third of their life is left, their names changed or their CA did. Loaded once.
#pragma once

#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/tls.h"

namespace orch::server {

struct PkiOptions {
  std::string directory;
  std::vector<std::string> server_dns_names, server_ips;  // of the API's serving certificate
  WallTime now;
};

struct Pki {
  net::KeyPair server_ca;   // signs serving certificates: the API's and the agents'
  net::KeyPair client_ca;   // signs client certificates: admin, agents, the API towards agents
  net::KeyPair serving;     // of the API
  net::KeyPair admin;       // system:admin in system:masters, for the kubeconfig
  net::KeyPair kubelet_client;  // what the API shows to agents
  std::string service_account_key_pem;  // signs ServiceAccount tokens

  // Error: a sentence naming the file.
  static Result<Pki, std::string> load_or_create(const PkiOptions& options);
};

// How long a leaf is valid, and from when on it is replaced.
inline constexpr Seconds kLeafValid{365 * 24 * 3600};
bool needs_renewal(const net::CertificateInfo& info, WallTime now);

}  // namespace orch::server
