#include "storage/sqlite/rebuild.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace orch::storage {
namespace {

constexpr int kStepRows = 128;
constexpr size_t kStepBytes = 256 * 1024;
constexpr int kStepsBetweenSyncs = 8;

// A part at a time, so that the last sync is a short one.
StoreResult<Unit> sync_file(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (synced) return Unit{};
  return Err(Error{ErrorCode::kUnavailable, fmt::format("{}: {}", file, std::strerror(error))});
}

// One column of a row as it is; values renewed.
int bind_column(Statement& to, int column, const Statement& from, const Bytes& value) {
  if (value) {
    to.bind_blob(column + 1, *value);
    return SQLITE_OK;
  }
  return sqlite3_bind_value(to.raw(), column + 1, from.value(column));
}

}  // namespace

StoreResult<Rebuild> Rebuild::begin(const std::string& file,
                                    const std::function<StoreResult<Unit>(Database&)>& prepare) {
  Rebuild rebuild;
  ORCH_TRY(rebuild.to_, Database::open(file));
  // Nothing of it counts before it is whole: it needs no journal, and is synced at the end.
  ORCH_CHECK(rebuild.to_.exec("PRAGMA locking_mode=EXCLUSIVE"));
  ORCH_CHECK(rebuild.to_.exec("PRAGMA journal_mode=OFF"));
  ORCH_CHECK(rebuild.to_.exec("PRAGMA synchronous=OFF"));
  ORCH_CHECK(prepare(rebuild.to_));
  ORCH_CHECK(rebuild.to_.exec("PRAGMA cache_size=-2048"));
  return rebuild;
}

void Rebuild::erased(const std::vector<int64_t>& ids) {
  for (const int64_t id : ids) {
    if (id <= copied_) pending_.push_back(id);
  }
}

StoreResult<Unit> Rebuild::drop_erased() {
  ORCH_TRY(Statement erase, to_.prepare("DELETE FROM log WHERE id=?1"));
  for (const int64_t id : pending_) {
    if (const int code = erase.bind(1, id).run(); code != SQLITE_DONE) return Err(to_.error(code));
  }
  pending_.clear();
  return Unit{};
}

// How many rows there were to copy.
StoreResult<int> Rebuild::copy(Database& from, int max, const Renew& renew) {
  ORCH_TRY(Statement read, from.prepare("SELECT id, key, created, version, lease, value FROM log "
                                        "WHERE id>?1 ORDER BY id LIMIT ?2"));
  ORCH_TRY(Statement write, to_.prepare("INSERT INTO log VALUES(?1,?2,?3,?4,?5,?6)"));
  read.bind(1, copied_).bind(2, max);
  int rows = 0;
  size_t bytes = 0;
  int code = SQLITE_DONE;
  while ((max < 0 || bytes < kStepBytes) && (code = read.step()) == SQLITE_ROW) {
    Bytes value;
    if (read.integer(3) != 0) {  // not a deletion
      ORCH_TRY(value, renew(*read.blob(1), read.blob(5)));
      bytes += value->size();
    }
    for (int column = 0; column < 6; ++column) {
      bind_column(write, column, read, column == 5 ? value : nullptr);
    }
    if (const int wrote = write.run(); wrote != SQLITE_DONE) return Err(to_.error(wrote));
    copied_ = read.integer(0);
    ++rows;
  }
  if (code != SQLITE_DONE && code != SQLITE_ROW) return Err(from.error(code));
  return rows;
}

StoreResult<bool> Rebuild::step(Database& from, const Renew& renew) {
  ORCH_CHECK(to_.exec("BEGIN"));
  ORCH_CHECK(drop_erased());
  ORCH_TRY(const int rows, copy(from, kStepRows, renew));
  ORCH_CHECK(to_.exec("COMMIT"));
  if (++steps_ % kStepsBetweenSyncs == 0) ORCH_CHECK(sync_file(to_.file()));
  if (rows > kStepRows / 2) return false;
  // A step's worth of bytes may be few rows: is there more?
  ORCH_TRY(Statement left, from.prepare("SELECT count(*) FROM (SELECT id FROM log WHERE id>?1 "
                                        "LIMIT ?2)"));
  left.bind(1, copied_).bind(2, kStepRows / 2);
  if (const int code = left.step(); code != SQLITE_ROW) return Err(from.error(code));
  return left.integer(0) < kStepRows / 2;
}

StoreResult<Unit> Rebuild::copy_table(Database& from, std::string_view table, int columns,
                                      const Renew& renew) {
  std::string marks = "?";
  for (int i = 1; i < columns; ++i) marks += ",?";
  ORCH_TRY(Statement read, from.prepare(fmt::format("SELECT * FROM {}", table)));
  ORCH_TRY(Statement write, to_.prepare(fmt::format("INSERT INTO {} VALUES({})", table, marks)));
  int code;
  while ((code = read.step()) == SQLITE_ROW) {
    Bytes value;
    if (columns == 6) {  // the volatile tier: its key comes first, its value last
      ORCH_TRY(value, renew(*read.blob(0), read.blob(5)));
    }
    for (int column = 0; column < columns; ++column) {
      bind_column(write, column, read, column == 5 ? value : nullptr);
    }
    if (const int wrote = write.run(); wrote != SQLITE_DONE) return Err(to_.error(wrote));
  }
  if (code != SQLITE_DONE) return Err(from.error(code));
  return Unit{};
}

StoreResult<Unit> Rebuild::finish(Database& from, const Renew& renew) {
  ORCH_CHECK(to_.exec("BEGIN"));
  ORCH_CHECK(drop_erased());
  ORCH_TRY(const int rows, copy(from, -1, renew));
  (void)rows;
  ORCH_CHECK(copy_table(from, "volatile", 6, renew));
  ORCH_CHECK(copy_table(from, "lease", 2, renew));
  ORCH_CHECK(copy_table(from, "meta", 2, renew));
  ORCH_CHECK(to_.exec("COMMIT"));
  const std::string file = to_.file();
  to_.close();
  return sync_file(file);
}

}  // namespace orch::storage
