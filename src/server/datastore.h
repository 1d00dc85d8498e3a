// The external datastore's side of a server: the connection to etcd, and what the servers over it
// share.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "orch/base/env.h"
#include "orch/base/result.h"
#include "orch/server/server.h"
#include "orch/storage/kv_store.h"
#include "server/etcd/etcd_client.h"
#include "server/etcd/shared_identity.h"

namespace orch::server {

// Null: the embedded store is wanted. Error: a sentence naming the flag.
Result<std::shared_ptr<etcd::EtcdClient>, std::string> make_datastore_client(
    const ServerConfig& config);

// Before the server's own identity is loaded (`fresh` false), and once more after some of it was
// made by this start (`fresh`). True: it is the cluster's now.
Result<bool, std::string> share_identity(etcd::EtcdClient& client, const ServerConfig& config,
                                         const std::string& directory, bool fresh);

// Makes the keys that --secrets-encryption wants, to be shared, unless some are there. True: it
// did.
Result<bool, std::string> make_encryption_keys(const ServerConfig& config,
                                               const std::string& directory);

// While a server runs: seals the identity anew after `orch token rotate` here, and says in the log
// what was rotated on other servers and is to be done here. Looks every few seconds, at memory and
// the token's file only.
class IdentityKeeper : public std::enable_shared_from_this<IdentityKeeper> {
 public:
  // `store` lives until stop().
  static std::shared_ptr<IdentityKeeper> create(Env& env, std::shared_ptr<etcd::EtcdClient> client,
                                                storage::KvStore& store, std::string directory);
  void start();
  void stop();  // waits for a look that is under way

 private:
  IdentityKeeper(Env& env, std::shared_ptr<etcd::EtcdClient> client, storage::KvStore& store,
                 std::string directory);
  void repeat();
  void look();

  Env& env_;
  const std::shared_ptr<etcd::EtcdClient> client_;
  storage::KvStore& store_;
  const std::string directory_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::shared_ptr<Strand> strand_;
  storage::Revision seen_ = 0;  // of the identity, at the last look; and with which secret
  std::string seen_with_;
};

}  // namespace orch::server
