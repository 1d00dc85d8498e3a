#include "server/certificate_signer.h"

namespace orch::server {

Result<CsrSubject, std::string> CertificateSigner::read(std::string_view csr_pem) const {
  ORCH_TRY(auto csr, net::parse_csr(csr_pem));
  return CsrSubject{std::move(csr.common_name), std::move(csr.organizations),
                    std::move(csr.dns_names), std::move(csr.ip_addresses)};
}

Result<std::string, std::string> CertificateSigner::sign(const CertificateOrder& order) const {
  ORCH_TRY(auto csr, net::parse_csr(order.csr_pem));
  net::CertificateRequest request;
  request.common_name = std::move(csr.common_name);
  request.organizations = std::move(csr.organizations);
  request.dns_names = std::move(csr.dns_names);
  request.ip_addresses = std::move(csr.ip_addresses);
  request.server_auth = order.server_auth;
  request.client_auth = order.client_auth;
  request.not_before = order.not_before;
  request.not_after = order.not_after;
  const net::KeyPair& ca = order.for_serving ? pki_.server_ca : pki_.client_ca;
  ORCH_TRY(auto certificate, net::sign_csr(ca, order.csr_pem, request));
  return certificate + chain_of(ca);
}

}  // namespace orch::server
