#include "storage/sqlite/sqlite_backend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "storage/errors.h"
#include "storage/mutants.h"
#include "storage/store_metrics.h"

namespace orch::storage {

namespace {

constexpr int64_t kApplicationId = 0x6f726368;  // "orch"
constexpr int64_t kSchemaVersion = 1;
constexpr int kPageBytes = 4096;
constexpr int64_t kFrameBytes = kPageBytes + 24;  // a page in the write-ahead log
// Checkpoints take a few ms: when nobody waits from kIdlePages on, at kFullPages in any case.
constexpr int kIdlePages = 600;
constexpr int kFullPages = 1000;
// The file gives pages back when more than a quarter and 4 MiB of it are unused.
constexpr int64_t kFreePagesMin = 1024;
constexpr int kVacuumStep = 64;
// After a crash a file up to 64 MiB is checked on the way in (60 to 90 ms, measured).
constexpr int64_t kCheckPagesMax = (64 << 20) / kPageBytes;

constexpr int64_t kTtlMax = 9'000'000'000;
constexpr const char* kRebuildSuffix = ".rebuild";

constexpr const char* kSchema = R"sql(
CREATE TABLE log(id INTEGER PRIMARY KEY, key BLOB NOT NULL, created INTEGER NOT NULL,
                 version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB);
CREATE TABLE volatile(key BLOB PRIMARY KEY, id INTEGER NOT NULL, created INTEGER NOT NULL,
                      version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB) WITHOUT ROWID;
CREATE TABLE lease(id INTEGER PRIMARY KEY, ttl_seconds INTEGER NOT NULL);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)sql";

bool sound_revision(Revision revision) {
  return revision >= 0 && revision <= INT64_MAX >> (kPlaceBits + 1);
}

bool sound_row(const Row& row) {
  return row.id > 0 && sound_revision(id_revision(row.id)) && !row.key->empty() &&
         row.create >= 0 && row.version >= 0 && row.lease >= 0;
}

double seconds_since(MonoTime start) {
  return std::chrono::duration<double>(system_clock().mono() - start).count();
}

bool has_content(const std::string& file) {
  struct stat info {};
  return ::stat(file.c_str(), &info) == 0 && info.st_size > 0;
}

int count_wal_pages(void* pages, sqlite3*, const char*, int count) {
  *static_cast<int*>(pages) = count;
  return SQLITE_OK;
}

}  // namespace

SqliteBackend::SqliteBackend(LockFile lock, Database database)
    : lock_(std::move(lock)), database_(std::move(database)) {}

StoreResult<std::unique_ptr<SqliteBackend>> SqliteBackend::open(
    const std::string& directory, std::shared_ptr<const ValueTransformer> transformer) {
  if (auto made = make_directories(directory, 0700); !made) {
    return Err(Error{ErrorCode::kUnavailable, made.error()});
  }
  ORCH_TRY(LockFile lock, LockFile::acquire(directory + "/lock"));
  const std::string file = directory + "/state.db";
  const bool fresh = !has_content(file);
  const bool unclean = has_content(file + "-wal");
  ::unlink((file + kRebuildSuffix).c_str());  // of a rebuild that was cut off
  ORCH_TRY(Database database, Database::open(file));
  std::unique_ptr<SqliteBackend> backend(new SqliteBackend(std::move(lock), std::move(database)));
  backend->transformer_ = std::move(transformer);
  ORCH_CHECK(backend->attach(unclean));
  if (fresh) {
    ORCH_CHECK(sync_directory(directory));
    ORCH_CHECK(sync_directory(parent_directory(directory)));
  }
  return backend;
}

StoreResult<Unit> SqliteBackend::attach(bool unclean) {
  ORCH_CHECK(prepare_schema(unclean));
  ORCH_CHECK(prepare_statements());
  refresh_size();
  return Unit{};
}

// Before the first page is written.
StoreResult<Unit> SqliteBackend::set_layout(Database& database) {
  ORCH_CHECK(database.exec(fmt::format("PRAGMA page_size={}", kPageBytes)));
  return database.exec("PRAGMA auto_vacuum=INCREMENTAL");
}

StoreResult<Unit> SqliteBackend::prepare_schema(bool unclean) {
  // Exclusive: no shared-memory file, and nobody else writes. A write-ahead log left by a crash is
  // taken over by the first read.
  ORCH_CHECK(database_.exec("PRAGMA locking_mode=EXCLUSIVE"));
  ORCH_TRY(const int64_t pages, database_.integer("PRAGMA page_count"));
  if (pages == 0) {
    ORCH_CHECK(set_layout(database_));
  } else {
    ORCH_CHECK(check_identity(unclean));
  }
  ORCH_CHECK(database_.exec("PRAGMA journal_mode=WAL"));
  ORCH_CHECK(database_.exec("PRAGMA synchronous=FULL"));
  if (ORCH_MUTANT("ack before sync")) ORCH_CHECK(database_.exec("PRAGMA synchronous=OFF"));
  ORCH_CHECK(database_.exec("PRAGMA wal_autocheckpoint=0"));
  ORCH_CHECK(database_.exec(fmt::format("PRAGMA journal_size_limit={}", 16 << 20)));
  ORCH_CHECK(database_.exec("PRAGMA mmap_size=0"));
  ORCH_CHECK(database_.exec("PRAGMA temp_store=MEMORY"));
  ORCH_CHECK(database_.exec("PRAGMA cache_size=-2048"));
  // Debian's SQLite overwrites what is deleted by default: every erased row would be written twice.
  // FAST overwrites only in pages that are written anyway.
  ORCH_CHECK(database_.exec("PRAGMA secure_delete=FAST"));
  sqlite3_wal_hook(database_.raw(), count_wal_pages, &wal_pages_);
  ORCH_TRY(const int64_t version, database_.integer("PRAGMA user_version"));
  if (version == 0) ORCH_CHECK(create_schema(database_));
  return Unit{};
}

StoreResult<Unit> SqliteBackend::check_identity(bool unclean) {
  ORCH_TRY(const int64_t application, database_.integer("PRAGMA application_id"));
  ORCH_TRY(const int64_t version, database_.integer("PRAGMA user_version"));
  ORCH_TRY(const int64_t objects, database_.integer("SELECT count(*) FROM sqlite_schema"));
  // A crash while it was created leaves a database without anything in it.
  if (application == 0 && version == 0 && objects == 0) return Unit{};
  if (application != kApplicationId) {
    return Err(
        Error{ErrorCode::kCorrupt,
              fmt::format("{}: not an orch database; nothing was changed", database_.file())});
  }
  if (version > kSchemaVersion) {
    return Err(Error{ErrorCode::kCorrupt,
                     fmt::format("{}: schema version {} is newer than this orch knows ({}); "
                                 "nothing was changed",
                                 database_.file(), version, kSchemaVersion)});
  }
  // Loading walks the whole log and so finds what is wrong with a large file.
  ORCH_TRY(const int64_t pages, database_.integer("PRAGMA page_count"));
  if (!unclean || pages > kCheckPagesMax) return Unit{};
  ORCH_TRY(Statement check, database_.prepare("PRAGMA quick_check(1)"));
  if (const int code = check.step(); code != SQLITE_ROW) return Err(database_.error(code));
  if (const Bytes verdict = check.blob(0); *verdict != "ok") {
    return Err(Error{
        ErrorCode::kCorrupt,
        fmt::format("{}: {}; the file is damaged, restore a backup", database_.file(), *verdict)});
  }
  return Unit{};
}

StoreResult<Unit> SqliteBackend::create_schema(Database& database) {
  return database.exec(
      fmt::format("BEGIN IMMEDIATE; {} PRAGMA application_id={}; PRAGMA user_version={}; COMMIT;",
                  kSchema, kApplicationId, kSchemaVersion));
}

StoreResult<Unit> SqliteBackend::prepare_statements() {
  const std::pair<Statement*, std::string_view> all[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&insert_, "INSERT INTO log VALUES(?1,?2,?3,?4,?5,?6)"},
      {&erase_, "DELETE FROM log WHERE id=?1"},
      {&read_, "SELECT key, value FROM log WHERE id=?1"},
      {&put_volatile_, "INSERT OR REPLACE INTO volatile VALUES(?1,?2,?3,?4,?5,?6)"},
      {&erase_volatile_, "DELETE FROM volatile WHERE key=?1"},
      {&put_lease_, "INSERT OR REPLACE INTO lease VALUES(?1,?2)"},
      {&erase_lease_, "DELETE FROM lease WHERE id=?1"},
      {&put_meta_, "INSERT OR REPLACE INTO meta VALUES(CAST(?1 AS TEXT),?2)"},
      {&vacuum_, "PRAGMA incremental_vacuum(64)"},
  };
  static_assert(kVacuumStep == 64);
  for (const auto& [statement, sql] : all) {
    ORCH_TRY(*statement, database_.prepare(sql));
  }
  return Unit{};
}

// -- loading

// SQLite may find a damaged file in order whose content is not.
Err<Error> SqliteBackend::damaged(std::string_view table) const {
  return Err(Error{ErrorCode::kCorrupt,
                   fmt::format("{}: the table {} holds what no store has written; the file is "
                               "damaged, restore a backup",
                               database_.file(), table)});
}

StoreResult<Backend::Loaded> SqliteBackend::load_head() {
  Loaded loaded;
  int code = SQLITE_DONE;
  const auto each = [&](std::string_view sql, auto&& take) -> StoreResult<Unit> {
    ORCH_TRY(Statement statement, database_.prepare(sql));
    while ((code = statement.step()) == SQLITE_ROW) take(statement);
    if (code != SQLITE_DONE) return Err(database_.error(code));
    return Unit{};
  };
  ORCH_CHECK(each("SELECT name, value FROM meta", [&](const Statement& row) {
    const Bytes name = row.blob(0);
    if (*name == "reserved") loaded.reserved = row.integer(1);
    if (*name == "compacted") loaded.compacted = row.integer(1);
  }));
  ORCH_CHECK(each("SELECT id, ttl_seconds FROM lease", [&](const Statement& row) {
    loaded.leases.emplace_back(row.integer(0), row.integer(1));
  }));
  ORCH_CHECK(each("SELECT key, id, created, version, lease, value FROM volatile",
                  [&](const Statement& row) {
                    loaded.volatile_rows.push_back({row.integer(1), row.blob(0), row.integer(2),
                                                    row.integer(3), row.integer(4), row.blob(5)});
                  }));
  if (!sound_revision(loaded.reserved) || !sound_revision(loaded.compacted)) return damaged("meta");
  for (const auto& [id, ttl] : loaded.leases) {
    if (id <= 0 || ttl <= 0 || ttl > kTtlMax) return damaged("lease");
  }
  for (Row& row : loaded.volatile_rows) {
    if (!sound_row(row) || row.version == 0) return damaged("volatile");
    ORCH_TRY(row.value, from_disk(*row.key, row.value));
  }
  return loaded;
}

StoreResult<Unit> SqliteBackend::load_log(const std::function<void(Row&&)>& on_row) {
  ORCH_TRY(
      Statement statement,
      database_.prepare("SELECT id, key, created, version, lease, value FROM log ORDER BY id"));
  int code;
  int64_t last = 0;
  while ((code = statement.step()) == SQLITE_ROW) {
    Row row{statement.integer(0), statement.blob(1),    statement.integer(2),
            statement.integer(3), statement.integer(4), nullptr};
    if (!sound_row(row) || row.id <= last) return damaged("log");
    last = row.id;
    if (row.version != 0) {
      ORCH_TRY(row.value, from_disk(*row.key, statement.blob(5)));
    }
    on_row(std::move(row));
  }
  if (code != SQLITE_DONE) return Err(database_.error(code));
  return Unit{};
}

StoreResult<std::vector<Bytes>> SqliteBackend::read_values(const std::vector<int64_t>& ids) {
  std::vector<Bytes> values;
  values.reserve(ids.size());
  for (const int64_t id : ids) {
    const int code = read_.bind(1, id).step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      read_.reset();
      return Err(database_.error(code));
    }
    const Bytes key = code == SQLITE_ROW ? read_.blob(0) : nullptr;
    Bytes value = key ? read_.blob(1) : nullptr;
    read_.reset();
    if (value && transformer_) {
      ORCH_TRY(auto read, transformer_->from_disk(*key, value));
      value = std::move(read.value);
    }
    values.push_back(std::move(value));
  }
  return values;
}

// -- writing

StoreResult<Unit> SqliteBackend::commit(const Changes& changes) {
  int code = begin_.run();
  if (code == SQLITE_DONE) {
    auto written = write(changes);
    if (!written) {
      (void)roll_back(SQLITE_ERROR);
      return Err(written.error());
    }
    code = *written;
  }
  if (code == SQLITE_DONE) {
    const MonoTime start = system_clock().mono();
    code = commit_.run();
    store_metrics::wal_fsync().observe(seconds_since(start));
  }
  if (code != SQLITE_DONE) return roll_back(code);
  erased_ |= !changes.erased.empty() || !changes.volatile_erased.empty();
  if (rebuild_) rebuild_->changed(changes);
  // Only the log has grown, if anything has: no need to ask the file system.
  wal_bytes_ = std::max(wal_bytes_, wal_pages_ * kFrameBytes);
  publish_size();
  return Unit{};
}

StoreResult<int> SqliteBackend::write(const Changes& changes) {
  ORCH_TRY(int code, write_rows(insert_, changes.rows, false));
  if (code == SQLITE_DONE) {
    ORCH_TRY(code, write_rows(put_volatile_, changes.volatile_put, true));
  }
  for (size_t i = 0; code == SQLITE_DONE && i < changes.erased.size(); ++i) {
    code = erase_.bind(1, changes.erased[i]).run();
  }
  for (size_t i = 0; code == SQLITE_DONE && i < changes.volatile_erased.size(); ++i) {
    code = erase_volatile_.bind_blob(1, *changes.volatile_erased[i]).run();
  }
  for (size_t i = 0; code == SQLITE_DONE && i < changes.leases.size(); ++i) {
    const auto& [id, ttl] = changes.leases[i];
    code = put_lease_.bind(1, id).bind(2, ttl).run();
  }
  for (size_t i = 0; code == SQLITE_DONE && i < changes.leases_erased.size(); ++i) {
    code = erase_lease_.bind(1, changes.leases_erased[i]).run();
  }
  if (code == SQLITE_DONE && changes.reserved) code = put_meta("reserved", *changes.reserved);
  if (code == SQLITE_DONE && changes.compacted) code = put_meta("compacted", *changes.compacted);
  return code;
}

StoreResult<int> SqliteBackend::write_rows(Statement& statement, const std::vector<Row>& rows,
                                           bool key_first) {
  for (const Row& row : rows) {
    statement.bind(key_first ? 2 : 1, row.id).bind_blob(key_first ? 1 : 2, *row.key);
    statement.bind(3, row.create).bind(4, row.version).bind(5, row.lease);
    Bytes value;  // lives until the statement has run
    if (row.value) {
      ORCH_TRY(value, to_disk(*row.key, row.value));
      statement.bind_blob(6, *value);
    }
    const int code = statement.run();
    if (code != SQLITE_DONE) return code;
  }
  return SQLITE_DONE;
}

int SqliteBackend::put_meta(std::string_view name, int64_t value) {
  return put_meta_.bind_blob(1, name).bind(2, value).run();
}

StoreResult<Unit> SqliteBackend::roll_back(int code) {
  const Error error = database_.error(code);
  // Some errors have rolled back already.
  if (!sqlite3_get_autocommit(database_.raw())) {
    const int undone = rollback_.run();
    if (undone != SQLITE_DONE && error.code == ErrorCode::kNoSpace) {
      return Err(database_.error(undone));
    }
  }
  return Err(error);
}

// -- housekeeping

StoreResult<bool> SqliteBackend::housekeep(bool idle) {
  if (rebuild_) {
    ORCH_TRY(const bool more, rebuild_step());
    if (more) return true;
  }
  if (wal_pages_ >= std::max(idle ? kIdlePages : kFullPages, retry_checkpoint_)) {
    return checkpoint(SQLITE_CHECKPOINT_PASSIVE);
  }
  if (idle && replaced_ >= 0) {
    ::close(std::exchange(replaced_, -1));
    return true;
  }
  return idle && erased_ ? vacuum_some() : false;
}

bool SqliteBackend::overdue() const {
  return wal_pages_ >= std::max(2 * kFullPages, retry_checkpoint_);
}

StoreResult<bool> SqliteBackend::checkpoint(int mode) {
  const MonoTime start = system_clock().mono();
  const int code = sqlite3_wal_checkpoint_v2(database_.raw(), nullptr, mode, nullptr, nullptr);
  store_metrics::checkpoint().observe(seconds_since(start));
  if (code != SQLITE_OK) {
    const Error error = database_.error(code);
    retry_checkpoint_ = wal_pages_ + kFullPages;
    if (error.code == ErrorCode::kNoSpace) {
      log::warn("storage", "cannot checkpoint: {}", error.message);
    }
    return Err(error);
  }
  wal_pages_ = 0;
  retry_checkpoint_ = 0;
  refresh_size();
  return true;
}

StoreResult<bool> SqliteBackend::vacuum_some() {
  ORCH_TRY(const int64_t unused, database_.integer("PRAGMA freelist_count"));
  ORCH_TRY(const int64_t pages, database_.integer("PRAGMA page_count"));
  store_metrics::unused(unused * kPageBytes);
  if (unused < std::max(kFreePagesMin, pages / 4)) {
    erased_ = false;
    // The file shrinks when its log is checkpointed, and then the log may as well.
    return std::exchange(vacuumed_, false) ? checkpoint(SQLITE_CHECKPOINT_TRUNCATE) : false;
  }
  int code;
  do {
    code = vacuum_.step();
  } while (code == SQLITE_ROW);
  vacuum_.reset();
  if (code != SQLITE_DONE) return Err(database_.error(code));
  vacuumed_ = true;
  refresh_size();
  return true;
}

void SqliteBackend::refresh_size() {
  const auto size_of = [](const std::string& file) {
    struct stat info {};
    return ::stat(file.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
  };
  file_bytes_ = size_of(database_.file());
  wal_bytes_ = size_of(database_.file() + "-wal");
  publish_size();
}

void SqliteBackend::publish_size() {
  store_metrics::sizes(file_bytes_, wal_bytes_);
  size_bytes_.store(file_bytes_ + wal_bytes_, std::memory_order_relaxed);
}

void SqliteBackend::drop_statements() {
  for (Statement* statement :
       {&begin_, &commit_, &rollback_, &insert_, &erase_, &read_, &put_volatile_, &erase_volatile_,
        &put_lease_, &erase_lease_, &put_meta_, &vacuum_}) {
    *statement = Statement();
  }
}

void SqliteBackend::close() {
  if (rebuild_) {
    const std::string file = rebuild_->file();
    rebuild_.reset();
    ::unlink(file.c_str());
  }
  for (auto& done : std::exchange(rebuild_done_, {})) done(Err(stopped_error()));
  if (replaced_ >= 0) ::close(std::exchange(replaced_, -1));
  drop_statements();
  database_.close();
  lock_.release();
}

// -- the form of values, and writing the file anew

StoreResult<Bytes> SqliteBackend::to_disk(std::string_view key, const Bytes& value) const {
  if (!transformer_) return value;
  return transformer_->to_disk(key, value);
}

StoreResult<Bytes> SqliteBackend::from_disk(std::string_view key, const Bytes& stored) {
  if (!transformer_) return stored;
  auto read = transformer_->from_disk(key, stored);
  if (!read) {
    return Err(
        Error{read.error().code, fmt::format("{}: {}", database_.file(), read.error().message)});
  }
  if (read->stale) stale_.fetch_add(1, std::memory_order_relaxed);
  return std::move(read->value);
}

// What is in its present form stays as it is.
StoreResult<Bytes> SqliteBackend::renew(std::string_view key, const Bytes& stored) const {
  if (!transformer_) return stored;
  ORCH_TRY(auto read, transformer_->from_disk(key, stored));
  if (!read.stale) return stored;
  return transformer_->to_disk(key, read.value);
}

void SqliteBackend::start_rebuild(std::function<void(StoreResult<Unit>)> done) {
  if (rebuild_) {  // begins again: what is copied may have got another form meanwhile
    const std::string file = rebuild_->file();
    rebuild_.reset();
    ::unlink(file.c_str());
  }
  rebuild_done_.push_back(std::move(done));
  const std::string file = database_.file() + kRebuildSuffix;
  ::unlink(file.c_str());
  auto begun = Rebuild::begin(file, [](Database& database) -> StoreResult<Unit> {
    ORCH_CHECK(set_layout(database));
    return create_schema(database);
  });
  if (begun) {
    rebuild_ = std::move(*begun);
    return;
  }
  ::unlink(file.c_str());
  for (auto& ended : std::exchange(rebuild_done_, {})) ended(Err(begun.error()));
}

// False: none is under way any more. An error only when the old file can no longer be used.
StoreResult<bool> SqliteBackend::rebuild_step() {
  const auto renewed = [this](std::string_view key, const Bytes& stored) {
    return renew(key, stored);
  };
  auto stepped = rebuild_->step(database_, renewed);
  if (stepped && !*stepped) return true;
  // Closing the old file checkpoints it, and the new one must be durable: most of both is done in
  // steps of their own.
  if (stepped && !std::exchange(switching_, true)) {
    const auto synced = rebuild_->sync();
    if (synced) return checkpoint(SQLITE_CHECKPOINT_PASSIVE);
    stepped = Err(synced.error());
  }
  switching_ = false;
  StoreResult<Unit> result{Unit{}};
  const std::string file = rebuild_->file();
  if (!stepped) {
    result = Err(stepped.error());
  } else {
    result = rebuild_->finish(database_, renewed);
  }
  rebuild_.reset();
  if (result) {
    if (auto switched = switch_files(); !switched) {
      // Without a file there is no way on.
      return Err(Error{ErrorCode::kUnavailable, switched.error().message});
    }
    stale_.store(0, std::memory_order_relaxed);
  } else {
    ::unlink(file.c_str());
    log::warn("storage", "cannot write the database anew: {}", result.error().message);
  }
  for (auto& done : std::exchange(rebuild_done_, {})) done(result);
  return false;
}

// The old file is whole until the rename, the new one from then on.
StoreResult<Unit> SqliteBackend::switch_files() {
  const std::string file = database_.file();
  drop_statements();
  database_.close();  // checkpoints and removes its log
  // Its blocks are not given back while the writer waits.
  if (replaced_ < 0) replaced_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (::rename((file + kRebuildSuffix).c_str(), file.c_str()) != 0) {
    return Err(Error{ErrorCode::kUnavailable, fmt::format("{}: {}", file, std::strerror(errno))});
  }
  ORCH_CHECK(sync_directory(parent_directory(file)));
  ORCH_TRY(database_, Database::open(file));
  wal_pages_ = retry_checkpoint_ = 0;
  return attach(false);
}

}  // namespace orch::storage
