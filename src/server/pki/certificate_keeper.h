// Keeps the server's own certificates good while it runs: looks at them every few seconds (cheaply:
// at their files' times), issues anew what is due, missing or changed, and hands it to those who
// use it. Tells of it by events and by the metric orch_certificate_expiration_seconds. start() and
// stop() from one thread; callbacks on its strand.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>

#include "orch/base/env.h"
#include "orch/client/events.h"
#include "server/pki/pki.h"

namespace orch::server {

// Expiry of a certificate, for the metric: Unix time.
void report_expiry(std::string_view name, std::string_view certificate_pem);

class CertificateKeeper : public std::enable_shared_from_this<CertificateKeeper> {
 public:
  struct Deps {
    Pki pki;
    PkiOptions options;  // `now` is not looked at
    // The machine's addresses that the serving certificate is to have beside the options'.
    std::function<std::vector<std::string>()> addresses;
    // Take a renewed certificate into use.
    std::function<void(const net::KeyPair&)> on_serving, on_admin, on_kubelet_client;
    std::function<void(const net::KeyPair&)> on_auth_proxy;
    std::function<void(const net::KeyPair&)> on_etcd;  // empty: the store's etcd API is off
    client::EventRecorder* events = nullptr;           // null: none
    client::EventSubject subject;                      // of events
  };
  static std::shared_ptr<CertificateKeeper> create(Env& env, Deps deps);
  void start();
  void stop() { stopped_ = true; }
  // One look, at once. For tests too.
  void check();

 private:
  CertificateKeeper(Env& env, Deps deps);
  void repeat();
  std::string fingerprint() const;
  void refresh();
  void refresh_etcd(const PkiOptions& options);
  void warn_of_authorities();

  Env& env_;
  Deps deps_;
  std::shared_ptr<Strand> strand_;
  std::atomic<bool> stopped_{false};
  std::string etcd_pem_;  // what the etcd API serves with
  std::string seen_;      // of the files, at the last refresh
  WallTime due_{};        // of the next refresh, whatever the files say
  WallTime warned_{};     // of a CA
};

}  // namespace orch::server
