// TLS contexts and X.509, without OpenSSL in the interface. PEM texts in, PEM texts out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::net {

struct KeyPair {
  std::string certificate_pem;  // leaf first, then intermediates
  std::string private_key_pem;
};

class TlsServerContext {
 public:
  struct Options {
    KeyPair key_pair;
    std::string client_ca_pem;  // "" = client certificates are not asked for
    bool client_certificate_required = false;
    // Whose certificates are no clients' but those of proxies that say who the client is
    // (PeerCertificate::front_proxy). "" = there are none.
    std::string front_proxy_ca_pem;
    bool http2 = false;  // speaks HTTP/2 ("h2") instead of HTTP/1.1
  };
  static Result<std::shared_ptr<TlsServerContext>, std::string> create(const Options& options);
  virtual ~TlsServerContext() = default;
  // New connections use the new pair; running ones go on. Any thread.
  virtual Result<Unit, std::string> reload(const KeyPair& key_pair) = 0;
};

class TlsClientContext {
 public:
  struct Options {
    std::string ca_pem;                 // "" = the system's
    KeyPair key_pair;                   // empty = no client certificate
    bool insecure_skip_verify = false;  // only for fetching the CA to check its hash
    bool http2 = false;                 // speaks HTTP/2 ("h2") instead of HTTP/1.1
  };
  static Result<std::shared_ptr<TlsClientContext>, std::string> create(const Options& options);
  virtual ~TlsClientContext() = default;
  virtual Result<Unit, std::string> reload(const KeyPair& key_pair) = 0;
};

// ---- X.509 and keys (ECDSA P-256) ----

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool server_auth = false, client_auth = false, is_ca = false;
  WallTime not_before, not_after;
};
struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, ip_addresses;
  bool server_auth = false, client_auth = false, is_ca = false;
  bool self_signed = false;
  WallTime not_before, not_after;
  std::string issuer_common_name, serial_hex, fingerprint_sha256;
};

Result<KeyPair, std::string> make_ca(std::string_view common_name, WallTime now, Seconds valid);
// A fresh key and its certificate, signed by `ca`.
Result<KeyPair, std::string> issue(const KeyPair& ca, const CertificateRequest& request);
// Signs a PKCS#10 request's public key; subject and names are the caller's decision.
Result<std::string, std::string> sign_csr(const KeyPair& ca, std::string_view csr_pem,
                                          const CertificateRequest& request);
// A certificate for subject and key of another CA's certificate, signed by `ca`: who trusts `ca`
// then trusts what the other signs.
Result<std::string, std::string> cross_sign(const KeyPair& ca, std::string_view certificate_pem,
                                            WallTime not_before, WallTime not_after);
// The certificates of a PEM text one by one, each ending in a line feed.
std::vector<std::string> pem_certificates(std::string_view pem);
struct CsrInfo {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, ip_addresses;
};
Result<CsrInfo, std::string> parse_csr(std::string_view csr_pem);  // checks its self-signature
struct Csr {
  std::string csr_pem, private_key_pem;
};
Result<Csr, std::string> make_csr(const CsrInfo& info);
Result<CertificateInfo, std::string> parse_certificate(std::string_view pem);
bool verify_chain(std::string_view ca_pem, std::string_view certificate_pem, WallTime now);
std::string sha256_hex(std::string_view bytes);
std::string sha256(std::string_view bytes);  // raw 32 bytes

// ES256 signing (JWT): raw r||s signatures, P-256 keys.
Result<std::string, std::string> make_signing_key();  // private key PEM
Result<std::string, std::string> es256_sign(std::string_view private_key_pem,
                                            std::string_view data);
bool es256_verify(std::string_view key_pem, std::string_view data, std::string_view signature);
struct EcPublicPoint {
  std::string x, y;  // 32 bytes each, for JWKS
};
Result<EcPublicPoint, std::string> ec_public_point(std::string_view key_pem);
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace orch::net
