// What keeps a store's data across restarts. One thread at a time: the store's writer.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "orch/storage/kv_store.h"
#include "storage/key_table.h"

namespace orch::storage {

// One change as it lies on disk.
struct Row {
  int64_t id = 0;
  Bytes key;
  Revision create = 0;
  int64_t version = 0;  // 0: deletion
  LeaseId lease = 0;
  Bytes value;
};

// One durable transaction.
struct Changes {
  std::vector<Row> rows;          // appended to the log
  std::vector<int64_t> erased;    // log rows that compaction dropped
  std::vector<Row> volatile_put;  // replace the volatile tier's rows of these keys
  std::vector<Bytes> volatile_erased;
  std::vector<std::pair<LeaseId, int64_t>> leases;  // id, ttl in seconds
  std::vector<LeaseId> leases_erased;
  std::optional<Revision> reserved;  // no higher revision was given out
  std::optional<Revision> compacted;

  bool empty() const {
    return rows.empty() && erased.empty() && volatile_put.empty() && volatile_erased.empty() &&
           leases.empty() && leases_erased.empty() && !reserved && !compacted;
  }
};

class Backend {
 public:
  virtual ~Backend() = default;

  struct Loaded {
    Revision reserved = 0, compacted = 0;
    std::vector<std::pair<LeaseId, int64_t>> leases;
    std::vector<Row> volatile_rows;
  };
  // Everything but the log, then the log's rows in ascending order. Called once, first.
  virtual StoreResult<Loaded> load_head() = 0;
  virtual StoreResult<Unit> load_log(const std::function<void(Row&&)>& on_row) = 0;

  // All or nothing, durable when it returns. kNoSpace: nothing happened, the backend lives on. Any
  // other error: the outcome is unknown and no further commit may be tried.
  virtual StoreResult<Unit> commit(const Changes& changes) = 0;
  // Values of log rows, in the order asked; null for rows that are not there.
  virtual StoreResult<std::vector<Bytes>> read_values(const std::vector<int64_t>& ids) = 0;
  // One bounded step of housekeeping, if there is some that should be done now (`idle`: nobody is
  // waiting). True when a step was done. Errors as commit().
  virtual StoreResult<bool> housekeep(bool idle) = 0;
  // Starts writing the file anew (KvStore::rebuild()); housekeep() does the steps, idle or not, and
  // `done` is called when it ended.
  virtual void start_rebuild(std::function<void(StoreResult<Unit>)> done) = 0;
  virtual int64_t stale_values() const = 0;  // any thread
  // Housekeeping must not wait any longer.
  virtual bool overdue() const = 0;
  virtual int64_t size_bytes() const = 0;  // any thread
  virtual void close() = 0;
};

}  // namespace orch::storage
