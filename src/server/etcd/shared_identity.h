// What servers over one datastore must have in common, kept in the datastore: certificate
// authorities, signing keys. Sealed with a key derived from the token, so that who may read the
// datastore cannot read them.
#pragma once

#include <map>

#include "server/etcd/etcd_client.h"

namespace orch::server::etcd {

// File names relative to <data-dir>/server, to their contents.
using IdentityFiles = std::map<std::string, std::string>;

std::string seal_identity(const IdentityFiles& files, const std::string& secret);
// Nothing: sealed with another secret, or damaged.
std::optional<IdentityFiles> open_identity(std::string_view sealed, const std::string& secret);

// Makes the files of `directory` (<data-dir>/server) and the datastore's the same: takes what is
// there, or puts there what is here; of servers that start at once one puts and the others take.
// With neither, does nothing and answers false: make them and call again. `secret` is the token's.
// `fresh`: the files here were made just now and nobody uses them yet. Error: a sentence naming the
// flag or file.
Result<bool, std::string> share_identity(EtcdClient& client, const std::string& directory,
                                         const std::string& secret, bool fresh);

}  // namespace orch::server::etcd
