#include "server/etcd/remote_convert.h"

#include "orch/base/log.h"

namespace orch::server::etcd {

using storage::ErrorCode;

storage::Error error_of(const net::GrpcStatus& status) {
  using net::GrpcCode;
  const std::string& text = status.message;
  if (text.find("has been compacted") != std::string::npos) return {ErrorCode::kCompacted, text};
  if (text.find("future revision") != std::string::npos) return {ErrorCode::kFutureRev, text};
  if (text.find("lease not found") != std::string::npos) return {ErrorCode::kLeaseNotFound, text};
  if (text.find("lease already exists") != std::string::npos) {
    return {ErrorCode::kLeaseExists, text};
  }
  if (text.find("request is too large") != std::string::npos ||
      text.find("larger than max") != std::string::npos) {
    return {ErrorCode::kTooLarge, text};
  }
  if (text.find("space exceeded") != std::string::npos) return {ErrorCode::kNoSpace, text};
  if (status.code == GrpcCode::kInvalidArgument) return {ErrorCode::kInvalid, text};
  return {ErrorCode::kUnavailable, "the datastore does not answer: " + text};
}

RequestOp request_of(const storage::Op& op) {
  RequestOp out;
  switch (op.type) {
    case storage::Op::Type::kRange:
      out.has_range = true;
      out.range.key = op.range.key;
      out.range.range_end = op.range.range_end;
      out.range.limit = op.range.limit;
      out.range.revision = op.range.revision;
      out.range.keys_only = op.range.keys_only;
      out.range.count_only = op.range.count_only;
      break;
    case storage::Op::Type::kPut:
      out.has_put = true;
      out.put.key = op.key;
      out.put.value = op.value;
      out.put.lease = op.lease;
      out.put.prev_kv = op.prev_kv;
      out.put.ignore_value = op.ignore_value;
      out.put.ignore_lease = op.ignore_lease;
      break;
    case storage::Op::Type::kDelete:
      out.has_delete = true;
      out.delete_range.key = op.range.key;
      out.delete_range.range_end = op.range.range_end;
      out.delete_range.prev_kv = op.prev_kv;
      break;
    case storage::Op::Type::kTxn:
      break;  // refused before
  }
  return out;
}

Compare compare_of(const storage::Compare& compare) {
  Compare out;
  out.key = compare.key;
  out.range_end = compare.range_end;
  out.result = static_cast<int64_t>(compare.op);
  out.target = static_cast<int64_t>(compare.target);
  switch (compare.target) {
    case storage::Compare::Target::kVersion:
      out.version = compare.number;
      break;
    case storage::Compare::Target::kCreate:
      out.create_revision = compare.number;
      break;
    case storage::Compare::Target::kMod:
      out.mod_revision = compare.number;
      break;
    case storage::Compare::Target::kValue:
      out.value = compare.value;
      break;
    case storage::Compare::Target::kLease:
      out.lease = compare.number;
      break;
  }
  return out;
}

storage::OpResult result_of(ResponseOp& op) {
  storage::OpResult out;
  if (op.has_range) {
    out.type = storage::Op::Type::kRange;
    out.range.kvs = std::move(op.range.kvs);
    out.range.more = op.range.more;
    out.range.count = op.range.count;
    out.range.revision = op.range.header.revision;
  } else if (op.has_delete) {
    out.type = storage::Op::Type::kDelete;
    out.deleted = op.delete_range.deleted;
    out.prev_kvs = std::move(op.delete_range.prev_kvs);
  } else if (op.put.has_prev_kv) {
    out.prev_kvs.push_back(std::move(op.put.prev_kv));
  }
  return out;
}

void Values::to_plain(KeyValue& kv) {
  if (!transformer_ || !kv.key || !kv.value) return;
  auto read = transformer_->from_disk(*kv.key, kv.value);
  if (!read) return log::error("datastore", "{}", read.error().message);
  if (read->stale) ++stale_;
  kv.value = std::move(read->value);
}

storage::StoreResult<Unit> Values::to_etcd(RequestOp& op) const {
  if (!transformer_ || !op.has_put || !op.put.value) return Unit{};
  ORCH_TRY(op.put.value, transformer_->to_disk(op.put.key, op.put.value));
  return Unit{};
}

}  // namespace orch::server::etcd
