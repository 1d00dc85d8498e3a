#include "server/etcd/errors.h"

namespace orch::server::etcd::errors {

GrpcStatus make(GrpcCode code, std::string_view text) {
  return {code, "etcdserver: " + std::string(text)};
}

GrpcStatus of(const storage::Error& error) {
  using storage::ErrorCode;
  switch (error.code) {
    case ErrorCode::kCompacted:
      return make(GrpcCode::kOutOfRange, "mvcc: required revision has been compacted");
    case ErrorCode::kFutureRev:
      return make(GrpcCode::kOutOfRange, "mvcc: required revision is a future revision");
    case ErrorCode::kLeaseNotFound:
      return make(GrpcCode::kNotFound, "requested lease not found");
    case ErrorCode::kLeaseExists:
      return make(GrpcCode::kFailedPrecondition, "lease already exists");
    case ErrorCode::kTooLarge:
      return too_large();
    case ErrorCode::kNoSpace:
      return make(GrpcCode::kResourceExhausted, "mvcc: database space exceeded");
    case ErrorCode::kUnavailable:
      return make(GrpcCode::kUnavailable, error.message);
    case ErrorCode::kCorrupt:
      return make(GrpcCode::kDataLoss, error.message);
    case ErrorCode::kInvalid:
      break;
  }
  if (error.message.starts_with("key not found")) return key_not_found();
  if (error.message.starts_with("duplicate key")) return duplicate_key();
  return make(GrpcCode::kInvalidArgument, error.message);
}

}  // namespace orch::server::etcd::errors
