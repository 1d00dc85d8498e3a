// The TLS contexts behind include/orch/net/tls.h. Private to net/http.
#pragma once

#include <atomic>
#include <mutex>

#include "net/http/channel.h"
#include "net/http/openssl_types.h"
#include "orch/net/http.h"
#include "orch/net/tls.h"

namespace orch::net {

class TlsServerContextImpl final : public TlsServerContext {
 public:
  explicit TlsServerContextImpl(Options options);
  Result<Unit, std::string> reload(const KeyPair& key_pair) override;
  SslCtxPtr current() const;
  // The client's certificate after a finished handshake.
  PeerCertificate peer_certificate(SSL* ssl) const;

 private:
  Result<SslCtxPtr, std::string> build(const KeyPair& key_pair) const;
  Options options_;
  // Fingerprints of the authorities; empty unless there are two kinds.
  std::vector<std::string> clients_, front_proxies_;
  mutable std::mutex mutex_;
  SslCtxPtr context_;
};

class TlsClientContextImpl final : public TlsClientContext {
 public:
  explicit TlsClientContextImpl(Options options) : options_(std::move(options)) {}
  Result<Unit, std::string> reload(const KeyPair& key_pair) override;
  SslCtxPtr current() const;
  // Grows with each reload: kept connections of an older generation are not used again.
  uint64_t generation() const { return generation_.load(); }
  bool verifies() const { return !options_.insecure_skip_verify; }

 private:
  Result<SslCtxPtr, std::string> build(const KeyPair& key_pair) const;
  Options options_;
  mutable std::mutex mutex_;
  SslCtxPtr context_;
  std::atomic<uint64_t> generation_{0};
};

// A server's side of the accepted socket `fd`, which it owns from here on; null = no TLS.
Result<Channel, std::string> accept_channel(TlsServerContext* context, int fd);

// Gives back most of the memory that the peer's certificate takes; nobody may ask for it then.
void drop_peer_certificate(SSL* ssl);

}  // namespace orch::net
