// Snapshots as files: etcd's form (etcd_snapshot.h) with its checksum, plain or compressed with
// zstd; and a store made of one. Files appear whole or not at all. Any thread.
#pragma once

#include <string>

#include "orch/storage/etcd_snapshot.h"

namespace orch::storage {

// Writes beside `path`, syncs, renames, syncs the directory (mode 0600). The size on disk.
StoreResult<int64_t> write_snapshot_file(const std::string& path, SnapshotContent content,
                                         bool compress);
// Decompresses when it is zstd's; the messages name the file. `checksum_required`: refuses files
// that do not end with one, such as a database copied from etcd's own directory.
StoreResult<SnapshotContent> read_snapshot_file(const std::string& path,
                                                bool checksum_required = true);

// Makes `directory` a store (SQLite) of this content; it must not be there, or be empty. Clients
// may have seen more than the snapshot holds: the store goes on `skipped` revisions later, and
// all before counts as compacted, so that they start afresh. kInvalid: the directory is in use.
StoreResult<Unit> restore_sqlite_store(const std::string& directory, const SnapshotContent& content,
                                       Revision skipped = 1'000'000);

}  // namespace orch::storage
