// The backend over one SQLite file in WAL mode with synchronous=FULL and one connection.
//
// `log` is append-only, in order of ids: current values and the history that is not compacted are
// the same rows. It has no index by key (memory has one), so that a put costs little more than
// its own bytes on flash. See design: "Storage: one writer, one truth in memory".
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "orch/storage/transformer.h"
#include "storage/backend.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/lock_file.h"
#include "storage/sqlite/rebuild.h"

namespace orch::storage {

class SqliteBackend final : public Backend {
 public:
  // `directory` is made if it is not there.
  static StoreResult<std::unique_ptr<SqliteBackend>> open(
      const std::string& directory, std::shared_ptr<const ValueTransformer> transformer = nullptr);
  ~SqliteBackend() override { close(); }

  StoreResult<Loaded> load_head() override;
  StoreResult<Unit> load_log(const std::function<void(Row&&)>& on_row) override;
  StoreResult<Unit> commit(const Changes& changes) override;
  StoreResult<std::vector<Bytes>> read_values(const std::vector<int64_t>& ids) override;
  StoreResult<bool> housekeep(bool idle) override;
  bool overdue() const override;
  void start_rebuild(std::function<void(StoreResult<Unit>)> done) override;
  int64_t stale_values() const override { return stale_.load(std::memory_order_relaxed); }
  int64_t size_bytes() const override { return size_bytes_.load(std::memory_order_relaxed); }
  void close() override;

 private:
  SqliteBackend(LockFile lock, Database database);
  StoreResult<Unit> attach(bool unclean);
  StoreResult<Unit> prepare_schema(bool unclean);
  static StoreResult<Unit> set_layout(Database& database);
  static StoreResult<Unit> create_schema(Database& database);
  StoreResult<Bytes> to_disk(std::string_view key, const Bytes& value) const;
  StoreResult<Bytes> from_disk(std::string_view key, const Bytes& stored);
  StoreResult<Bytes> renew(std::string_view key, const Bytes& stored) const;
  StoreResult<bool> rebuild_step();
  StoreResult<Unit> switch_files();
  void drop_statements();
  StoreResult<Unit> check_identity(bool unclean);
  StoreResult<Unit> prepare_statements();
  StoreResult<int> write(const Changes& changes);
  StoreResult<int> write_rows(Statement& statement, const std::vector<Row>& rows, bool key_first);
  int put_meta(std::string_view name, int64_t value);
  Err<Error> damaged(std::string_view table) const;
  StoreResult<Unit> roll_back(int code);
  StoreResult<bool> checkpoint(int mode);
  StoreResult<bool> vacuum_some();
  void refresh_size();  // as the file system has it
  void publish_size();

  LockFile lock_;
  Database database_;
  Statement begin_, commit_, rollback_;
  Statement insert_, erase_, read_, put_volatile_, erase_volatile_, put_lease_, erase_lease_,
      put_meta_, vacuum_;
  int wal_pages_ = 0;         // in the write-ahead log and not yet checkpointed
  int retry_checkpoint_ = 0;  // after a failure, not before the log has this many pages
  bool vacuumed_ = false;     // since the last checkpoint
  bool erased_ = false;       // rows were erased since the last look at the free list
  int64_t file_bytes_ = 0, wal_bytes_ = 0;
  std::atomic<int64_t> size_bytes_{0};
  std::shared_ptr<const ValueTransformer> transformer_;
  std::atomic<int64_t> stale_{0};  // values read that are not in their present form
  std::optional<Rebuild> rebuild_;
  bool switching_ = false;  // all but its last step is done
  int replaced_ = -1;       // the file before the last rebuild
  std::vector<std::function<void(StoreResult<Unit>)>> rebuild_done_;
};

}  // namespace orch::storage
