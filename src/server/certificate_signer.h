// The cluster's authorities as the signing controllers see them. The pki outlives it; any thread.
#pragma once

#include "server/controllers/certificate_authority.h"
#include "server/pki/pki.h"

namespace orch::server {

class CertificateSigner final : public CertificateAuthority {
 public:
  explicit CertificateSigner(const Pki& pki) : pki_(pki) {}
  Result<CsrSubject, std::string> read(std::string_view csr_pem) const override;
  Result<std::string, std::string> sign(const CertificateOrder& order) const override;

 private:
  const Pki& pki_;
};

}  // namespace orch::server
