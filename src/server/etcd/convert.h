// From etcd's requests to the store's and back: what can be judged without the store is judged
// here, with etcd's errors. Pure.
#pragma once

#include "orch/base/result.h"
#include "server/etcd/errors.h"
#include "server/etcd/messages.h"

namespace orch::server::etcd {

template <class T>
using Checked = Result<T, GrpcStatus>;

inline constexpr size_t kTxnOpsMax = 128;

// Sorting and filters are finish_range()'s; the store is asked for all it needs.
Checked<storage::RangeRequest> to_store(const RangeRequest& request);
RangeResponse finish_range(const RangeRequest& request, storage::RangeResponse answer);
Checked<storage::Op> to_store(const PutRequest& request);
Checked<storage::Op> to_store(const DeleteRangeRequest& request);
Checked<storage::TxnRequest> to_store(const TxnRequest& request);
// Of the store's results, without headers.
PutResponse finish_put(storage::OpResult result);
DeleteRangeResponse finish_delete(storage::OpResult result);
// `answer` is the store's to to_store(request).
TxnResponse finish_txn(const TxnRequest& request, storage::TxnResponse answer,
                       const ResponseHeader& header);

}  // namespace orch::server::etcd
