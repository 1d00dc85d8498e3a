// From the store's requests to etcd's and back, for a store that is an etcd cluster; convert.h is
// the other way round. Pure, but for the log.
#pragma once

#include <atomic>

#include "orch/net/grpc.h"
#include "orch/storage/transformer.h"
#include "server/etcd/messages.h"

namespace orch::server::etcd {

storage::Error error_of(const net::GrpcStatus& status);
RequestOp request_of(const storage::Op& op);
Compare compare_of(const storage::Compare& compare);
storage::OpResult result_of(ResponseOp& op);

// Between the form in which values lie in etcd and the one they have here. Any thread.
class Values {
 public:
  explicit Values(std::shared_ptr<const storage::ValueTransformer> transformer)
      : transformer_(std::move(transformer)) {}
  const storage::ValueTransformer* transformer() const { return transformer_.get(); }
  int64_t stale() const { return stale_; }
  void settled() { stale_ = 0; }

  // What cannot be read is logged, and stays as it lies.
  void to_plain(KeyValue& kv);
  storage::StoreResult<Unit> to_etcd(RequestOp& op) const;

 private:
  const std::shared_ptr<const storage::ValueTransformer> transformer_;
  std::atomic<int64_t> stale_{0};  // seen in a form that is not their present one
};

}  // namespace orch::server::etcd
