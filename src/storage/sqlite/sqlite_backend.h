// The backend over one SQLite file in WAL mode with synchronous=FULL and one connection.
//
// `log` is append-only, in order of ids: current values and the history that is not compacted are
// the same rows. It has no index by key (memory has one), so that a put costs little more than
// its own bytes on flash. See design: "Storage: one writer, one truth in memory".
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "storage/backend.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/lock_file.h"

namespace orch::storage {

class SqliteBackend final : public Backend {
 public:
  // `directory` is made if it is not there.
  static StoreResult<std::unique_ptr<SqliteBackend>> open(const std::string& directory);
  ~SqliteBackend() override { close(); }

  StoreResult<Loaded> load_head() override;
  StoreResult<Unit> load_log(const std::function<void(Row&&)>& on_row) override;
  StoreResult<Unit> commit(const Changes& changes) override;
  StoreResult<std::vector<Bytes>> read_values(const std::vector<int64_t>& ids) override;
  StoreResult<bool> housekeep(bool idle) override;
  int64_t size_bytes() const override { return size_bytes_.load(std::memory_order_relaxed); }
  void close() override;

 private:
  SqliteBackend(LockFile lock, Database database);
  StoreResult<Unit> prepare_schema(bool unclean);
  StoreResult<Unit> check_identity(bool unclean);
  StoreResult<Unit> create_schema();
  StoreResult<Unit> prepare_statements();
  int write(const Changes& changes);
  int write_rows(Statement& statement, const std::vector<Row>& rows, bool key_first);
  int put_meta(std::string_view name, int64_t value);
  StoreResult<Unit> roll_back(int code);
  StoreResult<bool> checkpoint();
  StoreResult<bool> vacuum_some();
  void refresh_size();

  LockFile lock_;
  Database database_;
  Statement begin_, commit_, rollback_;
  Statement insert_, erase_, read_, put_volatile_, erase_volatile_, put_lease_, erase_lease_,
      put_meta_, vacuum_;
  int wal_pages_ = 0;         // in the write-ahead log and not yet checkpointed
  int retry_checkpoint_ = 0;  // after a failure, not before the log has this many pages
  bool erased_ = false;       // rows were erased since the last look at the free list
  std::atomic<int64_t> size_bytes_{0};
};

}  // namespace orch::storage
