// The server's own files in a snapshot: certificate authorities, keys and the joining token, so
// that a machine that has nothing else becomes the same cluster. Any thread.
#pragma once

#include <map>
#include <string>

#include "orch/base/result.h"
#include "orch/server/maintenance.h"

namespace orch::server {

// Files below `server_directory` into a snapshot's own items, "file:tls/server-ca.key" and so on.
Result<Unit, std::string> add_identity(const std::string& server_directory,
                                       std::map<std::string, std::string>& items);
// Writes those that are not there (mode 600); tells which in `restored`.
Result<Unit, std::string> restore_identity(const std::map<std::string, std::string>& items,
                                           const std::string& server_directory, Restored& restored);

}  // namespace orch::server
