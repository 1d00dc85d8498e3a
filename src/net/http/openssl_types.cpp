#include "net/http/openssl_types.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "orch/base/strings.h"

namespace orch::net {

BioPtr bio_of(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

std::string openssl_error() {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

std::string openssl_failure(std::string_view what) {
  std::string reason = openssl_error();
  return reason.empty() ? std::string(what) : std::string(what) + ": " + reason;
}

std::string verify_error_text(long code) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "x509: certificate has expired or is not yet valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "x509: certificate signed by unknown authority";
    case X509_V_ERR_INVALID_PURPOSE:
      return "x509: certificate specifies an incompatible key usage";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "x509: certificate is not valid for this name";
    default:
      return std::string("x509: ") + X509_verify_cert_error_string(code);
  }
}

KeyPtr load_private_key(std::string_view pem) {
  BioPtr bio = bio_of(pem);
  // No password prompt: an encrypted key is an error.
  auto refuse = [](char*, int, int, void*) { return 0; };
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse, nullptr));
}

X509Ptr load_certificate(std::string_view pem) {
  BioPtr bio = bio_of(pem);
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

std::string sha256_fingerprint(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return "";
  return hex_encode({reinterpret_cast<char*>(digest), size});
}

std::vector<std::string> name_entries(const X509_NAME* name, const ASN1_OBJECT* type) {
  std::vector<std::string> values;
  int index = -1;
  while ((index = X509_NAME_get_index_by_OBJ(name, type, index)) >= 0) {
    unsigned char* utf8 = nullptr;
    int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
    if (size >= 0) values.emplace_back(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
    OPENSSL_free(utf8);
  }
  return values;
}

std::vector<std::string> name_entries(const X509_NAME* name, int nid) {
  return name_entries(name, OBJ_nid2obj(nid));
}

std::vector<std::string> user_ids(const X509_NAME* name) {
  using ObjectPtr = std::unique_ptr<ASN1_OBJECT, void (*)(ASN1_OBJECT*)>;
  static const ObjectPtr kUid(OBJ_txt2obj("1.3.6.1.4.1.57683.2", 1), ASN1_OBJECT_free);
  return name_entries(name, kUid.get());
}

std::string first_name_entry(const X509_NAME* name, int nid) {
  std::vector<std::string> values = name_entries(name, nid);
  // Of several common names the last counts, as in Go's pkix.Name.
  return values.empty() ? "" : values.back();
}

WallTime wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return WallTime{};
  return WallTime{Seconds{timegm(&parts)}};
}

}  // namespace orch::net
