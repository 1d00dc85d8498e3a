// What `orch snapshot` and `orch secrets` do with the store of a data directory: through its
// server's API if one runs on it, else on the files. Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/base/result.h"

namespace orch::server {

struct MaintenancePlace {
  std::string data_dir = "/var/lib/orch";
  std::string snapshot_dir;                // "" = <data-dir>/server/snapshots
  std::string encryption_provider_config;  // as the server's flag
};

struct SnapshotFile {
  std::string name, path;
  int64_t bytes = 0;
  int64_t created = 0;             // unix seconds
  int64_t revision = 0, keys = 0;  // of a saved one; 0 in lists
};
// Newest first. Files that are no snapshots by their name are passed over.
Result<std::vector<SnapshotFile>, std::string> list_snapshots(const MaintenancePlace& place);

struct SnapshotWish {
  std::string name = "snapshot";  // the file's name begins with it, the time follows
  bool etcd_form = false;         // plain etcd database without the server's own files
};
Result<SnapshotFile, std::string> save_snapshot(Env& env, const MaintenancePlace& place,
                                                const SnapshotWish& wish);
// Deletes all but the newest `keep` of those whose name is `name`; their paths.
Result<std::vector<std::string>, std::string> prune_snapshots(const MaintenancePlace& place,
                                                              const std::string& name, size_t keep);

struct Restored {
  int64_t revision = 0, keys = 0;
  std::vector<std::string> files;  // the server's own files that were in it and are written
  std::vector<std::string> kept;   // those that were there already and stay
  // Of an etcd snapshot of another Kubernetes: objects taken over, and what was not, by reason.
  bool imported = false;
  std::vector<std::string> left_out;
};
// Into a data directory without a store. `file`: a path, or a name in the snapshot directory.
Result<Restored, std::string> restore_snapshot(const MaintenancePlace& place,
                                               const std::string& file, bool checksum_required);

// `action`: status, enable, disable or rotate. The status afterwards, JSON.
Result<std::string, std::string> secrets_action(Env& env, const MaintenancePlace& place,
                                                const std::string& action);

}  // namespace orch::server
