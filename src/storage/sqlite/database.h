// A thin C++ face of one SQLite connection: errors as values, statements finalised.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "orch/storage/kv_store.h"

namespace orch::storage {

class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* raw) : raw_(raw) {}

  Statement& bind(int index, int64_t value);
  // The bytes must live until the statement is reset.
  Statement& bind_blob(int index, std::string_view bytes);
  // SQLITE_ROW, SQLITE_DONE or an error.
  int step() { return sqlite3_step(raw_.get()); }
  // Runs a statement that returns no rows, and resets it.
  int run();
  void reset();
  int64_t integer(int column) const { return sqlite3_column_int64(raw_.get(), column); }
  Bytes blob(int column) const;
  sqlite3_value* value(int column) const { return sqlite3_column_value(raw_.get(), column); }
  sqlite3_stmt* raw() const { return raw_.get(); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* raw) const { sqlite3_finalize(raw); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> raw_;
};

class Database {
 public:
  // Opens or creates `file` (mode 0600).
  static StoreResult<Database> open(const std::string& file);

  StoreResult<Unit> exec(const std::string& sql);
  StoreResult<Statement> prepare(std::string_view sql);
  StoreResult<int64_t> integer(std::string_view sql);  // the first column of the first row
  // The connection's last error as ours, naming the file; `code` is what a call returned.
  Error error(int code) const;
  sqlite3* raw() const { return raw_.get(); }
  const std::string& file() const { return file_; }
  // Closes; the last connection checkpoints and removes the write-ahead log.
  void close() { raw_.reset(); }

 private:
  struct Close {
    void operator()(sqlite3* raw) const { sqlite3_close_v2(raw); }
  };
  std::unique_ptr<sqlite3, Close> raw_;
  std::string file_;
};

}  // namespace orch::storage
