#include "storage/sqlite/database.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "storage/sqlite/gathering_vfs.h"

namespace orch::storage {

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(raw_.get(), index, value);
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  // A null pointer would bind NULL.
  const char* data = bytes.data() ? bytes.data() : "";
  sqlite3_bind_blob64(raw_.get(), index, data, bytes.size(), SQLITE_STATIC);
  return *this;
}

int Statement::run() {
  const int code = step();
  reset();
  return code == SQLITE_ROW ? SQLITE_DONE : code;
}

void Statement::reset() {
  sqlite3_reset(raw_.get());
  sqlite3_clear_bindings(raw_.get());
}

Bytes Statement::blob(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(raw_.get(), column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(raw_.get(), column));
  return data ? std::make_shared<const std::string>(data, size)
              : std::make_shared<const std::string>();
}

StoreResult<Database> Database::open(const std::string& file) {
  Database database;
  database.file_ = file;
  // Created here for its mode, which the write-ahead log inherits.
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const auto code = errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kUnavailable;
    return Err(Error{code, fmt::format("{}: {}", file, std::strerror(errno))});
  }
  ::close(fd);
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                   gathering_vfs());
  database.raw_.reset(raw);
  if (code != SQLITE_OK) return Err(database.error(code));
  sqlite3_extended_result_codes(raw, 1);
  return database;
}

StoreResult<Unit> Database::exec(const std::string& sql) {
  const int code = sqlite3_exec(raw(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Err(error(code));
  return Unit{};
}

StoreResult<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(raw(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Err(error(code));
  return Statement(statement);
}

StoreResult<int64_t> Database::integer(std::string_view sql) {
  ORCH_TRY(Statement statement, prepare(sql));
  const int code = statement.step();
  if (code != SQLITE_ROW) return Err(error(code));
  return statement.integer(0);
}

Error Database::error(int code) const {
  const int system_errno = raw() ? sqlite3_system_errno(raw()) : 0;
  std::string message = fmt::format("{}: {}", file_, sqlite3_errstr(code));
  if (raw() && sqlite3_errcode(raw()) == code) {
    message = fmt::format("{}: {}", file_, sqlite3_errmsg(raw()));
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Error{ErrorCode::kNoSpace, fmt::format("{}: disk full", file_)};
    case SQLITE_CORRUPT:
      return Error{ErrorCode::kCorrupt, message};
    case SQLITE_NOTADB:
      return Error{ErrorCode::kCorrupt, fmt::format("{}: not an orch database", file_)};
    default:
      break;
  }
  if (system_errno != 0) message += fmt::format(" ({})", std::strerror(system_errno));
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

}  // namespace orch::storage
