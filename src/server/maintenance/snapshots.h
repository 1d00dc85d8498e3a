// Snapshots of a running store as files of a directory: saving, naming, listing, pruning, and the
// schedule. Functions: any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/base/cron.h"
#include "orch/base/env.h"
#include "orch/server/maintenance.h"
#include "orch/storage/kv_store.h"

namespace orch::server {

struct SnapshotSettings {
  std::string server_directory;  // <data-dir>/server; its tls/ and token go into the snapshot
  std::string directory;         // where snapshots go
};

Result<SnapshotFile, std::string> save_snapshot_of(storage::KvStore& store,
                                                   const SnapshotSettings& settings,
                                                   const SnapshotWish& wish, WallTime now);
Result<std::vector<SnapshotFile>, std::string> list_snapshots_in(const std::string& directory);
Result<std::vector<std::string>, std::string> prune_snapshots_in(const std::string& directory,
                                                                 const std::string& name,
                                                                 size_t keep);
// "name-20261122T223001Z.db.zst" -> "name"; "" for what is no snapshot's name.
std::string snapshot_name_of(std::string_view file_name);

inline constexpr std::string_view kScheduledName = "scheduled";

// Saves at the times of a cron expression and prunes what it saved. The store must outlive it.
class SnapshotSchedule {
 public:
  SnapshotSchedule(Env& env, storage::KvStore& store, SnapshotSettings settings,
                   CronSchedule schedule, size_t retention);
  ~SnapshotSchedule();  // waits for a snapshot under way

 private:
  struct State;
  static void arm(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace orch::server
