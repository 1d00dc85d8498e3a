#include "storage/sqlite/rebuild.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace orch::storage {
namespace {

// The writer waits for a step. It copies twice as many rows as were written since the one before,
// so that the end is reached under any load, and beyond that as much as these bounds allow.
constexpr int kStepRows = 256;
constexpr size_t kStepBytes = 256 * 1024;
constexpr Millis kStepTime{2};
constexpr int kFewRows = 64;
constexpr size_t kSyncBytes = 512 * 1024;
constexpr std::string_view kInsertVolatile = "INSERT INTO volatile VALUES(?1,?2,?3,?4,?5,?6)";

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

void Rebuild::changed(const Changes& changes) {
  written_ += static_cast<int>(changes.rows.size());
  for (const int64_t id : changes.erased) {
    if (id <= copied_) erased_.push_back(id);
  }
  for (const Row& row : changes.volatile_put) {
    if (*row.key <= copied_key_) keys_.push_back(*row.key);
  }
  for (const Bytes& key : changes.volatile_erased) {
    if (*key <= copied_key_) keys_.push_back(*key);
  }
}

StoreResult<Unit> Rebuild::repeat_changes(Database& from, const Renew& renew) {
  ORCH_TRY(Statement erase, to_.prepare("DELETE FROM log WHERE id=?1"));
  for (const int64_t id : erased_) {
    if (const int code = erase.bind(1, id).run(); code != SQLITE_DONE) return Err(to_.error(code));
  }
  erased_.clear();
  ORCH_TRY(Statement read, from.prepare("SELECT * FROM volatile WHERE key=?1"));
  ORCH_TRY(Statement drop, to_.prepare("DELETE FROM volatile WHERE key=?1"));
  ORCH_TRY(Statement write, to_.prepare(kInsertVolatile));
  for (const std::string& key : keys_) {
    const int code = drop.bind_blob(1, key).run();
    if (code != SQLITE_DONE) return Err(to_.error(code));
    read.bind_blob(1, key);
    ORCH_CHECK(copy(from, read, write, 0, 1, renew));
    read.reset();
  }
  keys_.clear();
  return Unit{};
}

// What `read` finds: `least` rows of it, and more as long as a step may take. How many it was.
StoreResult<int> Rebuild::copy(Database& from, Statement& read, Statement& write, int key_column,
                               int least, const Renew& renew) {
  int rows = 0;
  size_t bytes = 0;
  int code = SQLITE_DONE;
  const MonoTime until = system_clock().mono() + kStepTime;
  const auto enough = [&] {
    return rows >= least && (bytes >= kStepBytes || system_clock().mono() >= until);
  };
  while (!enough() && (code = read.step()) == SQLITE_ROW) {
    const Bytes key = read.blob(key_column);
    Bytes value;
    if (read.integer(3) != 0) {  // not a deletion
      ORCH_TRY(value, renew(*key, read.blob(5)));
      bytes += value->size();
    }
    for (int column = 0; column < 6; ++column) {
      bind_column(write, column, read, column == 5 ? value : nullptr);
    }
    if (const int wrote = write.run(); wrote != SQLITE_DONE) return Err(to_.error(wrote));
    if (key_column == 0) {
      copied_key_ = std::max(copied_key_, *key);
    } else {
      copied_ = read.integer(0);
    }
    ++rows;
  }
  if (code != SQLITE_DONE && code != SQLITE_ROW) return Err(from.error(code));
  unsynced_ += bytes;
  return rows;
}

StoreResult<int> Rebuild::copy_log(Database& from, int least, const Renew& renew) {
  ORCH_TRY(Statement read, from.prepare("SELECT id, key, created, version, lease, value FROM log "
                                        "WHERE id>?1 ORDER BY id LIMIT ?2"));
  ORCH_TRY(Statement write, to_.prepare("INSERT INTO log VALUES(?1,?2,?3,?4,?5,?6)"));
  read.bind(1, copied_).bind(2, std::max(kStepRows, least));
  return copy(from, read, write, 1, least, renew);
}

StoreResult<int> Rebuild::copy_volatile(Database& from, const Renew& renew) {
  ORCH_TRY(Statement read,
           from.prepare("SELECT * FROM volatile WHERE key>?1 ORDER BY key LIMIT ?2"));
  ORCH_TRY(Statement write, to_.prepare(kInsertVolatile));
  const std::string after = copied_key_;
  read.bind_blob(1, after).bind(2, kStepRows);
  return copy(from, read, write, 0, 1, renew);
}

StoreResult<bool> Rebuild::few_left(Database& from) {
  ORCH_TRY(Statement left, from.prepare("SELECT count(*) FROM (SELECT id FROM log WHERE id>?1 "
                                        "LIMIT ?2)"));
  left.bind(1, copied_).bind(2, kFewRows);
  if (const int code = left.step(); code != SQLITE_ROW) return Err(from.error(code));
  return left.integer(0) < kFewRows;
}

StoreResult<bool> Rebuild::step(Database& from, const Renew& renew) {
  ORCH_CHECK(to_.exec("BEGIN"));
  ORCH_CHECK(repeat_changes(from, renew));
  ORCH_CHECK(copy_log(from, 2 * std::exchange(written_, 0) + 1, renew));
  ORCH_TRY(bool done, few_left(from));
  if (done) {
    ORCH_TRY(const int rows, copy_volatile(from, renew));
    done = rows == 0;
  }
  ORCH_CHECK(to_.exec("COMMIT"));
  if (unsynced_ >= kSyncBytes) ORCH_CHECK(sync());
  return done;
}

StoreResult<Unit> Rebuild::sync() {
  unsynced_ = 0;
  return sync_file(to_.file());
}

StoreResult<Unit> Rebuild::copy_pairs(Database& from, std::string_view table) {
  ORCH_TRY(Statement read, from.prepare(fmt::format("SELECT * FROM {}", table)));
  ORCH_TRY(Statement write, to_.prepare(fmt::format("INSERT INTO {} VALUES(?1,?2)", table)));
  int code;
  while ((code = read.step()) == SQLITE_ROW) {
    for (int column = 0; column < 2; ++column) bind_column(write, column, read, nullptr);
    if (const int wrote = write.run(); wrote != SQLITE_DONE) return Err(to_.error(wrote));
  }
  if (code != SQLITE_DONE) return Err(from.error(code));
  return Unit{};
}

StoreResult<Unit> Rebuild::finish(Database& from, const Renew& renew) {
  ORCH_CHECK(to_.exec("BEGIN"));
  ORCH_CHECK(repeat_changes(from, renew));
  ORCH_CHECK(copy_log(from, INT_MAX, renew));
  // Volatile rows that came with keys beyond the last one copied.
  for (;;) {
    ORCH_TRY(const int more, copy_volatile(from, renew));
    if (more == 0) break;
  }
  ORCH_CHECK(copy_pairs(from, "lease"));
  ORCH_CHECK(copy_pairs(from, "meta"));
  ORCH_CHECK(to_.exec("COMMIT"));
  // As the store will use it; to set it there would cost syncs while the writer waits.
  ORCH_CHECK(to_.exec("PRAGMA journal_mode=WAL"));
  const std::string file = to_.file();
  to_.close();
  return sync_file(file);
}

}  // namespace orch::storage
