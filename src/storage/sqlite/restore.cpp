#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "orch/storage/snapshot_file.h"
#include "storage/errors.h"
#include "storage/sqlite/sqlite_backend.h"

namespace orch::storage {
namespace {

constexpr size_t kRowsAtOnce = 5000;
constexpr size_t kBytesAtOnce = 4 << 20;

StoreResult<Unit> flush(Backend& backend, Changes& changes) {
  ORCH_CHECK(backend.commit(changes));
  changes = Changes{};
  for (bool more = true; more;) {
    ORCH_TRY(more, backend.housekeep(false));
  }
  return Unit{};
}

StoreResult<Unit> fill(Backend& backend, const SnapshotContent& content, Revision revision) {
  Changes changes;
  size_t bytes = 0;
  for (const auto& [kv, place] : content.entries) {
    Row row;
    row.id = make_id(kv.mod_revision, place);
    row.key = kv.key;
    row.create = kv.create_revision;
    row.version = kv.version;
    row.lease = kv.lease;
    row.value = kv.value;
    bytes += kv.value ? kv.value->size() : 0;
    changes.rows.push_back(std::move(row));
    if (changes.rows.size() < kRowsAtOnce && bytes < kBytesAtOnce) continue;
    ORCH_CHECK(flush(backend, changes));
    bytes = 0;
  }
  changes.leases = content.leases;
  changes.reserved = changes.compacted = revision;
  return flush(backend, changes);
}

}  // namespace

StoreResult<Unit> restore_sqlite_store(const std::string& directory, const SnapshotContent& content,
                                       Revision skipped) {
  namespace fs = std::filesystem;
  std::error_code failed;
  if (fs::exists(directory, failed) && !fs::is_empty(directory, failed)) {
    return Err(Error{
        ErrorCode::kInvalid,
        fmt::format("{} is not empty: it holds a store; move it away to restore", directory)});
  }
  const std::string part = directory + ".restoring";
  fs::remove_all(part, failed);  // of an attempt that was cut off
  {
    ORCH_TRY(auto backend, SqliteBackend::open(part));
    auto filled = fill(*backend, content, content.revision + skipped);
    backend->close();
    if (!filled) {
      fs::remove_all(part, failed);
      return filled;
    }
  }
  fs::remove(directory, failed);  // empty
  if (::rename(part.c_str(), directory.c_str()) != 0) {
    return Err(
        Error{ErrorCode::kUnavailable, fmt::format("{}: {}", directory, std::strerror(errno))});
  }
  return sync_directory(parent_directory(directory));
}

}  // namespace orch::storage
