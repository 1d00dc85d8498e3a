// A second database file, filled from the first in small steps beside the store's work, which then
// takes its place: what was erased, superseded or written in another form is not in it.
//
// The log is append-only and erasures are told by id, so that a copy up to some id stays right: the
// steps copy ascending ids, erasures of what is copied already are repeated on the copy, and the
// last step copies what is left together with the small tables, while the writer waits for it.
// Everything happens on the writer's thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "storage/backend.h"
#include "storage/sqlite/database.h"

namespace orch::storage {

class Rebuild {
 public:
  // Gives a value its present form. May fail: the rebuild ends, the old file stays.
  using Renew = std::function<StoreResult<Bytes>(std::string_view key, const Bytes& stored)>;

  // `file` must not exist; it gets the schema by `prepare`.
  static StoreResult<Rebuild> begin(const std::string& file,
                                    const std::function<StoreResult<Unit>(Database&)>& prepare);
  // These log rows were erased from the store.
  void erased(const std::vector<int64_t>& ids);
  // Copies some rows. True when few are left: time to finish().
  StoreResult<bool> step(Database& from, const Renew& renew);
  // Copies the rest, makes the file durable and closes it.
  StoreResult<Unit> finish(Database& from, const Renew& renew);
  const std::string& file() const { return to_.file(); }

 private:
  StoreResult<int> copy(Database& from, int max, const Renew& renew);
  StoreResult<Unit> copy_table(Database& from, std::string_view table, int columns,
                               const Renew& renew);
  StoreResult<Unit> drop_erased();

  Database to_;
  int64_t copied_ = -1;  // ids up to here
  int steps_ = 0;
  std::vector<int64_t> pending_;  // erased, and perhaps in the copy
};

}  // namespace orch::storage
