// Endpoints and EndpointSlices of the Service default/kubernetes: where API servers are reached.
//
// Over a store of its own a server names itself at its start. Over a shared one each server keeps
// a key below /registry/masterleases/ while it lives, and whoever finds the list changed writes
// it: as kube-apiserver's lease reconciler does.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/storage/kv_store.h"

namespace orch::server {

struct ServerAddress {
  std::string ip;
  uint16_t port = 6443;
  std::string str() const { return ip + ":" + std::to_string(port); }
  static std::optional<ServerAddress> parse(std::string_view text);
  auto operator<=>(const ServerAddress&) const = default;
};

// A subset and a slice a port. Loopback addresses are left out: pods could not reach them, nor may
// an endpoint name them; of none nothing is written. Error: a sentence.
Result<Unit, std::string> write_kubernetes_endpoints(const client::Client& client,
                                                     const std::set<ServerAddress>& servers);

class KubernetesEndpoints : public std::enable_shared_from_this<KubernetesEndpoints> {
 public:
  // Store and client live until stop().
  static std::shared_ptr<KubernetesEndpoints> create(Env& env, storage::KvStore& store,
                                                     const client::Client& client,
                                                     ServerAddress own);
  // Once, now: renews the own key, writes the list if it changed. Error: a sentence.
  Result<Unit, std::string> run();
  void start();  // from now on, every ten seconds
  void stop();   // takes itself off the list, if there are others

 private:
  KubernetesEndpoints(Env& env, storage::KvStore& store, const client::Client& client,
                      ServerAddress own)
      : env_(env), store_(store), client_(client), own_(std::move(own)) {}
  void later();
  storage::StoreResult<Unit> renew();
  storage::StoreResult<std::set<ServerAddress>> living();

  Env& env_;
  storage::KvStore& store_;
  const client::Client& client_;
  const ServerAddress own_;
  std::mutex mutex_;
  bool stopped_ = false;
  storage::LeaseId lease_ = 0;
  std::shared_ptr<Strand> strand_;
};

}  // namespace orch::server
