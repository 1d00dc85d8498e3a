// The external datastore's side of a server's start: the connection to etcd and what the servers
// over it share.
#pragma once

#include <memory>
#include <string>

#include "orch/base/result.h"
#include "orch/server/server.h"
#include "orch/storage/kv_store.h"
#include "server/etcd/etcd_client.h"

namespace orch::server {

// Null: the embedded store is wanted. Error: a sentence naming the flag.
Result<std::shared_ptr<etcd::EtcdClient>, std::string> make_datastore_client(
    const ServerConfig& config);

// Before the server's own identity is loaded (`fresh` false), and once more after it (`fresh`: it
// was made by this start). True: it is the cluster's now.
Result<bool, std::string> share_identity(etcd::EtcdClient& client, const ServerConfig& config,
                                         const std::string& directory, bool fresh);

}  // namespace orch::server
