// A second database file, filled from the first in small steps beside the store's work, which then
// takes its place: what was erased, superseded or written in another form is not in it.
//
// The log is append-only and erasures are told by id, so that a copy up to some id stays right: the
// steps copy ascending ids, then the volatile tier's rows by ascending key; what changes of that
// which is copied already is repeated on the copy. The last step copies what is left together with
// the small tables, while the writer waits for it. Everything happens on the writer's thread.
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
  // This was committed to the store meanwhile.
  void changed(const Changes& changes);
  // Copies some rows. True when few are left: time to finish().
  StoreResult<bool> step(Database& from, const Renew& renew);
  // Makes durable what is copied, so that finish() has little to wait for.
  StoreResult<Unit> sync();
  // Copies the rest, makes the file durable and closes it.
  StoreResult<Unit> finish(Database& from, const Renew& renew);
  const std::string& file() const { return to_.file(); }

 private:
  StoreResult<int> copy(Database& from, Statement& read, Statement& write, int key_column,
                        int least, const Renew& renew);
  StoreResult<int> copy_log(Database& from, int least, const Renew& renew);
  StoreResult<bool> few_left(Database& from);
  StoreResult<int> copy_volatile(Database& from, const Renew& renew);
  StoreResult<Unit> copy_pairs(Database& from, std::string_view table);
  StoreResult<Unit> repeat_changes(Database& from, const Renew& renew);

  Database to_;
  int64_t copied_ = -1;  // ids up to here
  int written_ = 0;      // log rows, since the last step
  size_t unsynced_ = 0;
  std::string copied_key_;         // of the volatile tier, up to here
  std::vector<int64_t> erased_;    // and in the copy
  std::vector<std::string> keys_;  // of volatile rows that are in the copy in an older form
};

}  // namespace orch::storage
