// The cluster's certificate authorities, keys and the leaves the server itself uses, kept in
// <data-dir>/server/tls (directories 700, keys 600). Made on first start; leaves are issued anew
// when a third of their life is left, their names changed or their CA did. CAs may be one's own:
// files placed there before the first start are checked and taken.
//
// <name>-ca.crt holds the certificate that <name>-ca.key is of, then what belongs to it: the
// issuers of an intermediate one; after a rotation the same CA signed by the one before, and that
// one. As a whole it is what others trust; those that are not self-signed go with every leaf.
#pragma once

#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/tls.h"

namespace orch::server {

// How long a leaf is valid, unless --certificate-lifetime says otherwise.
inline constexpr Seconds kLeafValid{365 * 24 * 3600};

struct PkiOptions {
  std::string directory;
  std::vector<std::string> server_dns_names, server_ips;  // of the API's serving certificate
  WallTime now;
  Seconds leaf_valid = kLeafValid;
};

struct Pki {
  net::KeyPair server_ca;  // signs serving certificates: the API's and the agents'
  net::KeyPair client_ca;  // signs client certificates: admin, agents, the API towards agents
  net::KeyPair request_header_ca;       // signs proxies that speak for users, and auth_proxy
  net::KeyPair serving;                 // of the API
  net::KeyPair admin;                   // system:admin in system:masters, for the kubeconfig
  net::KeyPair kubelet_client;          // what the API shows to agents
  net::KeyPair auth_proxy;              // system:auth-proxy: the API towards extension servers
  std::string service_account_key_pem;  // signs ServiceAccount tokens

  // Error: a sentence naming the file.
  static Result<Pki, std::string> load_or_create(const PkiOptions& options);
  // The leaves as they are to be now: read, or issued anew where they are due, missing or changed.
  Result<Unit, std::string> refresh_leaves(const PkiOptions& options);
};

// Certificates that go with every leaf of this CA, "" = none.
std::string chain_of(const net::KeyPair& ca);
// notBefore and notAfter of a leaf: a little in the past, as peers' clocks may be behind; not
// beyond its CA.
void set_validity(net::CertificateRequest& request, const net::KeyPair& ca, WallTime now,
                  Seconds valid);
bool needs_renewal(const net::CertificateInfo& info, WallTime now);

// For the store's etcd API, in a directory of their own: ca, server and client (.crt, .key).
struct EtcdPki {
  net::KeyPair ca, server, client;
  static Result<EtcdPki, std::string> load_or_create(const PkiOptions& options);
};
WallTime renewal_time(const net::CertificateInfo& info);

}  // namespace orch::server
