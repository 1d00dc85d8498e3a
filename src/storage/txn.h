// Evaluation of transactions over the state in memory.
#pragma once

#include "orch/storage/kv_store.h"
#include "storage/leases.h"
#include "storage/mvcc.h"

namespace orch::storage {

// Values to fetch from disk for the results of a transaction.
struct TxnMissing {
  size_t result = 0;
  std::vector<MissingValue> values;
};

// Oldest revision at which a range may be read.
using FloorOf = std::function<Revision(const KeyRange&)>;

// What can be judged without state: empty keys, sizes, keys written twice.
StoreResult<Unit> validate(const TxnRequest& request, int64_t bytes_max);
bool read_only(const TxnRequest& request);

// Runs a read-only transaction at `at`. Shared lock.
StoreResult<TxnResponse> run_read_only(const TxnRequest& request, const Mvcc& mvcc, Revision at,
                                       const FloorOf& floor_of, std::vector<TxnMissing>& missing);
// Runs a transaction on top of `batch`, adding its changes. On an error nothing was applied.
// Unique lock.
StoreResult<TxnResponse> run_txn(const TxnRequest& request, Mvcc& mvcc, LeaseTable& leases,
                                 Batch& batch, const FloorOf& floor_of,
                                 std::vector<TxnMissing>& missing);
// Deletes `keys`, those that exist, in one revision. Unique lock.
void erase_keys(const std::vector<std::string>& keys, Mvcc& mvcc, LeaseTable& leases, Batch& batch);

}  // namespace orch::storage
