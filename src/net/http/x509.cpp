// Certificates, requests and authorities (include/orch/net/tls.h).
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "net/http/openssl_types.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::net {
namespace {

using BasicConstraintsPtr = std::unique_ptr<BASIC_CONSTRAINTS, OpensslFree<BASIC_CONSTRAINTS_free>>;
using BitStringPtr = std::unique_ptr<ASN1_BIT_STRING, OpensslFree<ASN1_BIT_STRING_free>>;
using OctetStringPtr = std::unique_ptr<ASN1_OCTET_STRING, OpensslFree<ASN1_OCTET_STRING_free>>;
using UsagePtr = std::unique_ptr<EXTENDED_KEY_USAGE, OpensslFree<EXTENDED_KEY_USAGE_free>>;
using KeyIdPtr = std::unique_ptr<AUTHORITY_KEYID, OpensslFree<AUTHORITY_KEYID_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;
using TimePtr = std::unique_ptr<ASN1_TIME, OpensslFree<ASN1_TIME_free>>;
using StorePtr = std::unique_ptr<X509_STORE, OpensslFree<X509_STORE_free>>;
using StoreCtxPtr = std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>>;

void free_extensions(STACK_OF(X509_EXTENSION) * extensions) {
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
using ExtensionsPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), OpensslFree<free_extensions>>;
void free_certificates(STACK_OF(X509) * certificates) { sk_X509_pop_free(certificates, X509_free); }
using CertificatesPtr = std::unique_ptr<STACK_OF(X509), OpensslFree<free_certificates>>;

std::string key_pem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return bio_text(bio.get());
}

std::string text_of(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return bio_text(bio.get());
}

bool add_name(X509_NAME* name, int nid, const std::string& text) {
  return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

Result<Unit, std::string> fill_name(X509_NAME* name, const std::string& common_name,
                                    const std::vector<std::string>& organizations) {
  for (const std::string& organization : organizations) {
    if (!add_name(name, NID_organizationName, organization)) {
      return Err(openssl_failure("organization \"" + organization + "\""));
    }
  }
  if (!common_name.empty() && !add_name(name, NID_commonName, common_name)) {
    return Err(openssl_failure("common name \"" + common_name + "\""));
  }
  return Unit{};
}

Result<NamesPtr, std::string> make_names(const std::vector<std::string>& dns_names,
                                         const std::vector<std::string>& ip_addresses) {
  NamesPtr names(GENERAL_NAMES_new());
  auto add = [&](int type, ASN1_STRING* value) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names.get(), name);
  };
  for (const std::string& dns : dns_names) {
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, dns.data(), static_cast<int>(dns.size()));
    add(GEN_DNS, value);
  }
  for (const std::string& ip : ip_addresses) {
    unsigned char bytes[16];
    int size = inet_pton(AF_INET, ip.c_str(), bytes) == 1    ? 4
               : inet_pton(AF_INET6, ip.c_str(), bytes) == 1 ? 16
                                                             : 0;
    if (size == 0) return Err("\"" + ip + "\" is not an IP address");
    ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, bytes, size);
    add(GEN_IPADD, value);
  }
  return names;
}

void read_names(const GENERAL_NAMES* names, std::vector<std::string>& dns_names,
                std::vector<std::string>& ip_addresses) {
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    int type = 0;
    const auto* value = static_cast<const ASN1_STRING*>(
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    const unsigned char* data =
        type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_get0_data(value) : nullptr;
    if (data == nullptr) continue;
    int size = ASN1_STRING_length(value);
    if (type == GEN_DNS) {
      dns_names.emplace_back(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    } else if (size == 4 || size == 16) {
      char text[INET6_ADDRSTRLEN];
      inet_ntop(size == 4 ? AF_INET : AF_INET6, data, text, sizeof text);
      ip_addresses.emplace_back(text);
    }
  }
}

bool set_random_serial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, always 128 bit
  NumberPtr number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_validity(X509* certificate, WallTime not_before, WallTime not_after) {
  auto to_time = [](WallTime time) {
    return static_cast<time_t>(std::chrono::floor<Seconds>(time).time_since_epoch().count());
  };
  TimePtr before(ASN1_TIME_set(nullptr, to_time(not_before)));
  TimePtr after(ASN1_TIME_set(nullptr, to_time(not_after)));
  return before && after && X509_set1_notBefore(certificate, before.get()) == 1 &&
         X509_set1_notAfter(certificate, after.get()) == 1;
}

bool add_usages(X509* certificate, const CertificateRequest& request) {
  BasicConstraintsPtr constraints(BASIC_CONSTRAINTS_new());
  constraints->ca = request.is_ca ? 0xff : 0;
  BitStringPtr usage(ASN1_BIT_STRING_new());
  ASN1_BIT_STRING_set_bit(usage.get(), 0, 1);  // digitalSignature
  if (request.is_ca) {
    ASN1_BIT_STRING_set_bit(usage.get(), 5, 1);  // keyCertSign
    ASN1_BIT_STRING_set_bit(usage.get(), 6, 1);  // cRLSign
  }
  if (X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints.get(), 1, 0) != 1 ||
      X509_add1_ext_i2d(certificate, NID_key_usage, usage.get(), 1, 0) != 1) {
    return false;
  }
  if (!request.server_auth && !request.client_auth) return true;
  UsagePtr extended(sk_ASN1_OBJECT_new_null());
  if (request.server_auth) sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_server_auth));
  if (request.client_auth) sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_client_auth));
  return X509_add1_ext_i2d(certificate, NID_ext_key_usage, extended.get(), 0, 0) == 1;
}

// Subject key id = SHA-1 of the public key (RFC 5280 4.2.1.2); authority key id = the issuer's.
bool add_key_ids(X509* certificate, X509* issuer) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_pubkey_digest(certificate, EVP_sha1(), digest, &size) != 1) return false;
  OctetStringPtr subject_id(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(subject_id.get(), digest, static_cast<int>(size));
  if (X509_add1_ext_i2d(certificate, NID_subject_key_identifier, subject_id.get(), 0, 0) != 1) {
    return false;
  }
  const ASN1_OCTET_STRING* issuer_id =
      issuer == nullptr ? subject_id.get() : X509_get0_subject_key_id(issuer);
  if (issuer_id == nullptr) return true;
  KeyIdPtr authority(AUTHORITY_KEYID_new());
  authority->keyid = ASN1_OCTET_STRING_dup(issuer_id);
  return X509_add1_ext_i2d(certificate, NID_authority_key_identifier, authority.get(), 0, 0) == 1;
}

// A certificate for `key`, signed by issuer and its key; issuer null = self-signed.
Result<X509Ptr, std::string> build(const CertificateRequest& request, EVP_PKEY* key, X509* issuer,
                                   EVP_PKEY* issuer_key) {
  if (request.not_after <= request.not_before) {
    return Err(std::string("certificate: notAfter is not after notBefore"));
  }
  X509Ptr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_random_serial(certificate.get()) ||
      !set_validity(certificate.get(), request.not_before, request.not_after) ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return Err(openssl_failure("certificate"));
  }
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  ORCH_CHECK(fill_name(subject, request.common_name, request.organizations));
  X509_set_issuer_name(certificate.get(),
                       issuer == nullptr ? subject : X509_get_subject_name(issuer));
  if (!add_usages(certificate.get(), request) || !add_key_ids(certificate.get(), issuer)) {
    return Err(openssl_failure("certificate extensions"));
  }
  if (!request.dns_names.empty() || !request.ip_addresses.empty()) {
    ORCH_TRY(NamesPtr names, make_names(request.dns_names, request.ip_addresses));
    if (X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names.get(), 0, 0) != 1) {
      return Err(openssl_failure("subject alternative names"));
    }
  }
  if (X509_sign(certificate.get(), issuer_key, EVP_sha256()) <= 0) {
    return Err(openssl_failure("sign certificate"));
  }
  return certificate;
}

struct Authority {
  X509Ptr certificate;
  KeyPtr key;
};

Result<Authority, std::string> load_authority(const KeyPair& ca) {
  Authority authority{load_certificate(ca.certificate_pem), load_private_key(ca.private_key_pem)};
  if (!authority.certificate) return Err(openssl_failure("CA certificate"));
  if (!authority.key) return Err(openssl_failure("CA private key"));
  if (X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1) {
    return Err(openssl_failure("CA private key does not match its certificate"));
  }
  return authority;
}

Result<X509ReqPtr, std::string> load_csr(std::string_view pem) {
  BioPtr bio = bio_of(pem);
  X509ReqPtr csr(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!csr) return Err(openssl_failure("certificate request"));
  EVP_PKEY* key = X509_REQ_get0_pubkey(csr.get());
  if (key == nullptr || X509_REQ_verify(csr.get(), key) != 1) {
    return Err(openssl_failure("certificate request: signature is not valid"));
  }
  return csr;
}

}  // namespace

Result<KeyPair, std::string> make_ca(std::string_view common_name, WallTime now, Seconds valid) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return Err(openssl_failure("generate key"));
  CertificateRequest request;
  request.common_name = std::string(common_name);
  request.is_ca = true;
  // Clocks of joining nodes may be a little behind.
  request.not_before = now - std::chrono::minutes{5};
  request.not_after = now + valid;
  ORCH_TRY(X509Ptr certificate, build(request, key.get(), nullptr, key.get()));
  return KeyPair{text_of(certificate.get()), key_pem(key.get())};
}

Result<KeyPair, std::string> issue(const KeyPair& ca, const CertificateRequest& request) {
  ORCH_TRY(Authority authority, load_authority(ca));
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return Err(openssl_failure("generate key"));
  ORCH_TRY(X509Ptr certificate,
           build(request, key.get(), authority.certificate.get(), authority.key.get()));
  return KeyPair{text_of(certificate.get()), key_pem(key.get())};
}

Result<std::string, std::string> sign_csr(const KeyPair& ca, std::string_view csr_pem,
                                          const CertificateRequest& request) {
  ORCH_TRY(Authority authority, load_authority(ca));
  ORCH_TRY(X509ReqPtr csr, load_csr(csr_pem));
  ORCH_TRY(X509Ptr certificate, build(request, X509_REQ_get0_pubkey(csr.get()),
                                      authority.certificate.get(), authority.key.get()));
  return text_of(certificate.get());
}

Result<std::string, std::string> cross_sign(const KeyPair& ca, std::string_view certificate_pem,
                                            WallTime not_before, WallTime not_after) {
  ORCH_TRY(Authority authority, load_authority(ca));
  X509Ptr other = load_certificate(certificate_pem);
  if (!other) return Err(openssl_failure("certificate"));
  const X509_NAME* subject = X509_get_subject_name(other.get());
  CertificateRequest request;
  request.common_name = first_name_entry(subject, NID_commonName);
  request.organizations = name_entries(subject, NID_organizationName);
  request.is_ca = true;
  request.not_before = not_before;
  request.not_after = not_after;
  ORCH_TRY(X509Ptr made, build(request, X509_get0_pubkey(other.get()), authority.certificate.get(),
                               authority.key.get()));
  return text_of(made.get());
}

std::vector<std::string> pem_certificates(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  std::vector<std::string> out;
  for (size_t at = 0;;) {
    at = pem.find(kBegin, at);
    const size_t end = at == std::string_view::npos ? at : pem.find(kEnd, at);
    if (end == std::string_view::npos) return out;
    out.push_back(std::string(pem.substr(at, end + kEnd.size() - at)) + "\n");
    at = end + kEnd.size();
  }
}

Result<CsrInfo, std::string> parse_csr(std::string_view csr_pem) {
  ORCH_TRY(X509ReqPtr csr, load_csr(csr_pem));
  CsrInfo info;
  const X509_NAME* subject = X509_REQ_get_subject_name(csr.get());
  info.common_name = first_name_entry(subject, NID_commonName);
  info.organizations = name_entries(subject, NID_organizationName);
  ExtensionsPtr extensions(X509_REQ_get_extensions(csr.get()));
  NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  read_names(names.get(), info.dns_names, info.ip_addresses);
  return info;
}

Result<Csr, std::string> make_csr(const CsrInfo& info) {
  KeyPtr key(EVP_EC_gen("P-256"));
  X509ReqPtr csr(X509_REQ_new());
  if (!key || !csr || X509_REQ_set_pubkey(csr.get(), key.get()) != 1) {
    return Err(openssl_failure("certificate request"));
  }
  ORCH_CHECK(fill_name(X509_REQ_get_subject_name(csr.get()), info.common_name, info.organizations));
  if (!info.dns_names.empty() || !info.ip_addresses.empty()) {
    ORCH_TRY(NamesPtr names, make_names(info.dns_names, info.ip_addresses));
    ExtensionsPtr extensions(sk_X509_EXTENSION_new_null());
    STACK_OF(X509_EXTENSION)* raw = extensions.get();
    if (X509V3_add1_i2d(&raw, NID_subject_alt_name, names.get(), 0, 0) != 1 ||
        X509_REQ_add_extensions(csr.get(), extensions.get()) != 1) {
      return Err(openssl_failure("certificate request extensions"));
    }
  }
  if (X509_REQ_sign(csr.get(), key.get(), EVP_sha256()) <= 0) {
    return Err(openssl_failure("sign certificate request"));
  }
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), csr.get());
  return Csr{bio_text(bio.get()), key_pem(key.get())};
}

Result<CertificateInfo, std::string> parse_certificate(std::string_view pem) {
  X509Ptr certificate = load_certificate(pem);
  if (!certificate) return Err(openssl_failure("certificate"));
  CertificateInfo info;
  const X509_NAME* subject = X509_get_subject_name(certificate.get());
  info.common_name = first_name_entry(subject, NID_commonName);
  info.organizations = name_entries(subject, NID_organizationName);
  info.issuer_common_name =
      first_name_entry(X509_get_issuer_name(certificate.get()), NID_commonName);
  NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  read_names(names.get(), info.dns_names, info.ip_addresses);
  info.is_ca = X509_check_ca(certificate.get()) == 1;
  info.self_signed = X509_self_signed(certificate.get(), 1) == 1;
  uint32_t usage = X509_get_extended_key_usage(certificate.get());
  if (usage != UINT32_MAX) {
    info.server_auth = (usage & XKU_SSL_SERVER) != 0;
    info.client_auth = (usage & XKU_SSL_CLIENT) != 0;
  }
  info.not_before = wall_time(X509_get0_notBefore(certificate.get()));
  info.not_after = wall_time(X509_get0_notAfter(certificate.get()));
  NumberPtr serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.get()), nullptr));
  std::string bytes(serial ? static_cast<size_t>(BN_num_bytes(serial.get())) : 0, '\0');
  if (serial) BN_bn2bin(serial.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  info.serial_hex = hex_encode(bytes);
  info.fingerprint_sha256 = sha256_fingerprint(certificate.get());
  return info;
}

bool verify_chain(std::string_view ca_pem, std::string_view certificate_pem, WallTime now) {
  StorePtr store(X509_STORE_new());
  BioPtr ca_bio = bio_of(ca_pem);
  while (X509Ptr ca{PEM_read_bio_X509(ca_bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store.get(), ca.get());
  }
  BioPtr bio = bio_of(certificate_pem);
  X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  CertificatesPtr intermediates(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    sk_X509_push(intermediates.get(), next);
  }
  StoreCtxPtr context(X509_STORE_CTX_new());
  bool ok =
      leaf && X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), intermediates.get()) == 1;
  if (ok) {
    X509_STORE_CTX_set_time(context.get(), 0,
                            std::chrono::floor<Seconds>(now).time_since_epoch().count());
    ok = X509_verify_cert(context.get()) == 1;
  }
  ERR_clear_error();
  return ok;
}

}  // namespace orch::net
