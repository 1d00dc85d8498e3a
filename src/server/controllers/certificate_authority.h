// What the signing controllers need of the cluster's certificate authorities. Implemented by the
// server, which alone has the keys; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::server {

// The subject of a PKCS#10 request and the names it asks for.
struct CsrSubject {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, ip_addresses;
};

struct CertificateOrder {
  std::string csr_pem;
  bool server_auth = false, client_auth = false;
  bool for_serving = false;  // by the authority that clients trust servers by
  WallTime not_before, not_after;
};

class CertificateAuthority {
 public:
  virtual ~CertificateAuthority() = default;
  virtual Result<CsrSubject, std::string> read(std::string_view csr_pem) const = 0;
  // The certificate's PEM.
  virtual Result<std::string, std::string> sign(const CertificateOrder& order) const = 0;
};

}  // namespace orch::server
