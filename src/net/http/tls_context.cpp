#include "net/http/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>

namespace orch::net {
namespace {

constexpr unsigned char kAlpnHttp1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr unsigned char kAlpnHttp2[] = {2, 'h', '2'};

Result<Unit, std::string> add_authorities(X509_STORE* store, std::string_view pem) {
  BioPtr bio = bio_of(pem);
  int count = 0;
  while (X509Ptr certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    // Extensions are decoded at first use; here, before threads share the certificate.
    X509_check_purpose(certificate.get(), -1, 0);
    if (X509_STORE_add_cert(store, certificate.get()) != 1) {
      return Err(openssl_failure("certificate authority"));
    }
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return Err(std::string("certificate authority: no PEM certificate found"));
  return Unit{};
}

Result<Unit, std::string> use_key_pair(SSL_CTX* context, const KeyPair& pair) {
  BioPtr bio = bio_of(pair.certificate_pem);
  X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf) return Err(openssl_failure("certificate: no PEM certificate found"));
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) return Err(openssl_failure("certificate"));
  while (X509Ptr next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) {
      return Err(openssl_failure("certificate chain"));
    }
  }
  ERR_clear_error();
  KeyPtr key = load_private_key(pair.private_key_pem);
  if (!key) return Err(openssl_failure("private key"));
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return Err(openssl_failure("tls: private key does not match public key"));
  }
  return Unit{};
}

SslCtxPtr new_context(const SSL_METHOD* method) {
  SslCtxPtr context(SSL_CTX_new(method), SSL_CTX_free);
  if (!context) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Idle connections hand their 34 KiB of buffers back; one read() takes in whole records.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // As Go orders them where AES is in hardware: the shorter key is the faster.
  SSL_CTX_set_ciphersuites(
      context.get(), "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  // Of TLS 1.2 what is left is as good: forward secrecy, and authenticated.
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  return context;
}

template <const auto& kProtocol>
int choose(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
           unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kProtocol, sizeof kProtocol, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// An unverifiable client certificate does not end the handshake: the request is answered 401, as
// kube-apiserver does (PeerCertificate::error).
int accept_any(int, X509_STORE_CTX*) { return 1; }

}  // namespace

Result<std::shared_ptr<TlsServerContext>, std::string> TlsServerContext::create(
    const Options& options) {
  auto context = std::make_shared<TlsServerContextImpl>(options);
  ORCH_CHECK(context->reload(options.key_pair));
  return std::shared_ptr<TlsServerContext>(std::move(context));
}

Result<SslCtxPtr, std::string> TlsServerContextImpl::build(const KeyPair& key_pair) const {
  SslCtxPtr context = new_context(TLS_server_method());
  if (!context) return Err(openssl_failure("tls"));
  ORCH_CHECK(use_key_pair(context.get(), key_pair));
  // No resumption: every connection shows its certificate again, and Kubernetes' clients keep
  // connections rather than sessions.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_alpn_select_cb(context.get(),
                             options_.http2 ? choose<kAlpnHttp2> : choose<kAlpnHttp1>, nullptr);
  if (!options_.client_ca_pem.empty()) {
    const std::string authorities = options_.client_ca_pem + "\n" + options_.front_proxy_ca_pem;
    ORCH_CHECK(add_authorities(SSL_CTX_get_cert_store(context.get()), authorities));
    BioPtr bio = bio_of(authorities);
    while (X509Ptr ca{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
      SSL_CTX_add_client_CA(context.get(), ca.get());
    }
    ERR_clear_error();
    if (options_.client_certificate_required) {
      SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    } else {
      SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, accept_any);
    }
  }
  return context;
}

Result<Unit, std::string> TlsServerContextImpl::reload(const KeyPair& key_pair) {
  ORCH_TRY(SslCtxPtr context, build(key_pair));
  std::lock_guard lock(mutex_);
  context_ = std::move(context);
  return Unit{};
}

Result<Channel, std::string> accept_channel(TlsServerContext* context, int fd) {
  if (context == nullptr) return Channel(fd, nullptr);
  const SslCtxPtr current = static_cast<TlsServerContextImpl*>(context)->current();
  SslPtr ssl(SSL_new(current.get()));
  if (!ssl || !attach_socket(ssl.get(), fd)) {
    ::close(fd);
    return Err(openssl_failure("tls"));
  }
  SSL_set_accept_state(ssl.get());
  return Channel(fd, std::move(ssl));
}

SslCtxPtr TlsServerContextImpl::current() const {
  std::lock_guard lock(mutex_);
  return context_;
}

Result<std::shared_ptr<TlsClientContext>, std::string> TlsClientContext::create(
    const Options& options) {
  auto context = std::make_shared<TlsClientContextImpl>(options);
  ORCH_CHECK(context->reload(options.key_pair));
  return std::shared_ptr<TlsClientContext>(std::move(context));
}

Result<SslCtxPtr, std::string> TlsClientContextImpl::build(const KeyPair& key_pair) const {
  SslCtxPtr context = new_context(TLS_client_method());
  if (!context) return Err(openssl_failure("tls"));
  if (!key_pair.certificate_pem.empty()) ORCH_CHECK(use_key_pair(context.get(), key_pair));
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (options_.http2) {
    SSL_CTX_set_alpn_protos(context.get(), kAlpnHttp2, sizeof kAlpnHttp2);
  } else {
    SSL_CTX_set_alpn_protos(context.get(), kAlpnHttp1, sizeof kAlpnHttp1);
  }
  if (options_.insecure_skip_verify) {
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    return context;
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (!options_.ca_pem.empty()) {
    ORCH_CHECK(add_authorities(SSL_CTX_get_cert_store(context.get()), options_.ca_pem));
  } else {
    SSL_CTX_load_verify_locations(context.get(), "/etc/ssl/certs/ca-certificates.crt", nullptr);
    SSL_CTX_set_default_verify_paths(context.get());
    ERR_clear_error();
  }
  return context;
}

Result<Unit, std::string> TlsClientContextImpl::reload(const KeyPair& key_pair) {
  ORCH_TRY(SslCtxPtr context, build(key_pair));
  std::lock_guard lock(mutex_);
  context_ = std::move(context);
  ++generation_;
  return Unit{};
}

SslCtxPtr TlsClientContextImpl::current() const {
  std::lock_guard lock(mutex_);
  return context_;
}

void drop_peer_certificate(SSL* ssl) {
  // OpenSSL keeps it as long as the connection lives and has no call to let go: it is emptied.
  if (STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl)) {
    while (sk_X509_num(chain) > 0) X509_free(sk_X509_pop(chain));
  }
  X509* certificate = SSL_get0_peer_certificate(ssl);
  EVP_PKEY* own = SSL_get_privatekey(ssl);
  if (certificate == nullptr || own == nullptr) return;
  X509_set_pubkey(certificate, own);  // shared, in place of a key of its own
  while (X509_get_ext_count(certificate) > 0) {
    X509_EXTENSION_free(X509_delete_ext(certificate, 0));
  }
  using NamePtr = std::unique_ptr<X509_NAME, void (*)(X509_NAME*)>;
  const NamePtr empty(X509_NAME_new(), X509_NAME_free);
  X509_set_subject_name(certificate, empty.get());
  X509_set_issuer_name(certificate, empty.get());
  ERR_clear_error();
}

namespace {

// The certificate that was verified was so by one of these.
bool vouched_for(SSL* ssl, const std::vector<std::string>& authorities) {
  STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  for (int i = 1; i < sk_X509_num(chain); ++i) {
    const std::string fingerprint = sha256_fingerprint(sk_X509_value(chain, i));
    if (std::find(authorities.begin(), authorities.end(), fingerprint) != authorities.end()) {
      return true;
    }
  }
  return false;
}

std::vector<std::string> fingerprints(const std::string& pem) {
  std::vector<std::string> out;
  for (const auto& one : pem_certificates(pem)) {
    if (auto info = parse_certificate(one)) out.push_back(info->fingerprint_sha256);
  }
  return out;
}

}  // namespace

TlsServerContextImpl::TlsServerContextImpl(Options options) : options_(std::move(options)) {
  if (options_.front_proxy_ca_pem.empty()) return;
  clients_ = fingerprints(options_.client_ca_pem);
  front_proxies_ = fingerprints(options_.front_proxy_ca_pem);
}

PeerCertificate TlsServerContextImpl::peer_certificate(SSL* ssl) const {
  PeerCertificate peer;
  X509Ptr certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate) return peer;
  long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK) {
    peer.error = verify_error_text(verdict);
    return peer;
  }
  const X509_NAME* subject = X509_get_subject_name(certificate.get());
  peer.not_after = wall_time(X509_get0_notAfter(certificate.get()));
  if (vouched_for(ssl, front_proxies_)) {
    peer.front_proxy = first_name_entry(subject, NID_commonName);
  }
  if (!front_proxies_.empty() && !vouched_for(ssl, clients_)) {
    peer.error = verify_error_text(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    return peer;
  }
  const auto uids = user_ids(subject);
  if (uids.size() > 1) {
    peer.error = "unable to parse UID from certificate: expected 1 UID, but found multiple";
    return peer;
  }
  if (!uids.empty()) peer.uid = uids.front();
  peer.common_name = first_name_entry(subject, NID_commonName);
  peer.organizations = name_entries(subject, NID_organizationName);
  peer.fingerprint_sha256 = sha256_fingerprint(certificate.get());
  return peer;
}

}  // namespace orch::net
