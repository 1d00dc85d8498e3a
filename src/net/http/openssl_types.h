// Owning pointers for OpenSSL's objects, and its error queue as text. Private to net/http.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"

namespace orch::net {

template <auto Free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using X509ReqPtr = std::unique_ptr<X509_REQ, OpensslFree<X509_REQ_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;
using SslCtxPtr = std::shared_ptr<SSL_CTX>;

inline const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
// Reads memory; `text` must outlive it.
BioPtr bio_of(std::string_view text);
std::string bio_text(BIO* bio);
// The oldest queued error's reason in lower case ("" if none); empties the queue.
std::string openssl_error();
// "what" or "what: openssl's reason".
std::string openssl_failure(std::string_view what);
// What X509_verify_cert's code means, in the words of Go's crypto/x509.
std::string verify_error_text(long code);

KeyPtr load_private_key(std::string_view pem);
X509Ptr load_certificate(std::string_view pem);  // the first one
std::string sha256_fingerprint(X509* certificate);
std::string first_name_entry(const X509_NAME* name, int nid);
std::vector<std::string> name_entries(const X509_NAME* name, int nid);
// Entries of OID 1.3.6.1.4.1.57683.2: the subject's UID, for Kubernetes.
std::vector<std::string> user_ids(const X509_NAME* name);
WallTime wall_time(const ASN1_TIME* time);

}  // namespace orch::net
