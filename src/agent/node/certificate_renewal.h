// Keeps the agent's certificates good while it runs: at two thirds of their life, when the node has
// another address, or when their files are taken away, it asks the server for new ones and hands
// them to those who use them. Connections go on. start() and stop() from one thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "agent/node/identity.h"
#include "orch/client/events.h"

namespace orch::agent {

class CertificateRenewal : public std::enable_shared_from_this<CertificateRenewal> {
 public:
  struct Deps {
    Identity identity;
    // New ones for the address given there, by joining again; renew_identity but in tests. Blocks.
    std::function<Result<Identity, std::string>(const Identity&)> renew;
    std::function<bool(const Identity&)> on_disk;
    std::function<void(const Identity&)> use;
    // The node's address as it is now; "" = not known.
    std::function<std::string()> address;
    client::EventRecorder& events;
  };
  static std::shared_ptr<CertificateRenewal> create(Env& env, Deps deps);
  void start();
  // After it `use` is not called, nor under way.
  void stop() {
    std::lock_guard lock(use_mutex_);
    stopped_ = true;
  }

 private:
  CertificateRenewal(Env& env, Deps deps);
  void look();
  void report(const Identity& identity) const;

  Env& env_;
  Deps deps_;
  std::shared_ptr<Strand> strand_;
  std::atomic<bool> stopped_{false};
  std::mutex use_mutex_;
  bool failing_ = false;
};

}  // namespace orch::agent
