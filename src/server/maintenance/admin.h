// orch's own administrative paths of the API: authenticated, and for who may POST to them (nobody
// but system:masters by default). The client's half is in src/server/maintenance/maintenance.cpp.
//
//   POST /v1-orch/snapshots?name=N&format=orch|etcd   the saved file, JSON
//   GET  /v1-orch/secrets, POST /v1-orch/secrets?action=enable|disable|rotate   the status, JSON
#pragma once

#include <memory>

#include "server/api/api_server.h"
#include "server/maintenance/encryption.h"
#include "server/maintenance/snapshots.h"

namespace orch::server {

inline constexpr std::string_view kSnapshotsPath = "/v1-orch/snapshots";
inline constexpr std::string_view kSecretsPath = "/v1-orch/secrets";
// A file of <data-dir>/server: where the API is reached while the server runs.
inline constexpr std::string_view kUrlFile = "api-url";

// What is referred to must outlive the server's last request.
void add_maintenance_paths(ApiServer& server, storage::KvStore& store,
                           const SnapshotSettings& settings,
                           const std::shared_ptr<Encryption>& encryption);

std::string snapshot_json(const SnapshotFile& file);
Result<SnapshotFile, std::string> parse_snapshot_json(std::string_view json);

}  // namespace orch::server
