// etcd's errors as clients know them: gRPC code and text.
#pragma once

#include "orch/net/grpc.h"
#include "orch/storage/kv_store.h"

namespace orch::server::etcd {

using net::GrpcCode;
using net::GrpcStatus;

namespace errors {
GrpcStatus make(GrpcCode code, std::string_view text);  // "etcdserver: " is put before
inline GrpcStatus empty_key() { return make(GrpcCode::kInvalidArgument, "key is not provided"); }
inline GrpcStatus key_not_found() { return make(GrpcCode::kInvalidArgument, "key not found"); }
inline GrpcStatus value_provided() { return make(GrpcCode::kInvalidArgument, "value is provided"); }
inline GrpcStatus lease_provided() { return make(GrpcCode::kInvalidArgument, "lease is provided"); }
inline GrpcStatus too_many_ops() {
  return make(GrpcCode::kInvalidArgument, "too many operations in txn request");
}
inline GrpcStatus duplicate_key() {
  return make(GrpcCode::kInvalidArgument, "duplicate key given in txn request");
}
inline GrpcStatus invalid_sort() { return make(GrpcCode::kInvalidArgument, "invalid sort option"); }
inline GrpcStatus too_large() { return make(GrpcCode::kInvalidArgument, "request is too large"); }
inline GrpcStatus ttl_too_large() { return make(GrpcCode::kOutOfRange, "too large lease TTL"); }
inline GrpcStatus stopped() { return make(GrpcCode::kUnavailable, "server stopped"); }
inline GrpcStatus auth_disabled() {
  return make(GrpcCode::kFailedPrecondition, "authentication is not enabled");
}
inline GrpcStatus malformed() {
  return {GrpcCode::kInternal, "grpc: failed to unmarshal the received message"};
}
GrpcStatus of(const storage::Error& error);
}  // namespace errors

}  // namespace orch::server::etcd
