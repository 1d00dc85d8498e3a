// Where a server's own store is and how it is opened: the same for the server and for verbs that
// work on its files. Any thread.
#pragma once

#include <memory>
#include <string>

#include "orch/storage/kv_store.h"
#include "server/maintenance/encryption.h"

namespace orch::server {

inline std::string store_directory(const std::string& server_directory) {
  return server_directory + "/db";
}
// `volatile_tier`: Leases of nodes and Events may stay in memory for some minutes.
storage::StoreOptions store_options(const std::string& server_directory, bool volatile_tier);
Result<std::shared_ptr<Encryption>, std::string> load_encryption(
    const std::string& server_directory, const std::string& provider_file, bool wanted);

}  // namespace orch::server
