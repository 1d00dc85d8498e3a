// etcd v3's messages (etcdserverpb, mvccpb), each with its fields once; names are etcd's. Keys and
// values go as the store has them.
#pragma once

#include <memory>

#include "orch/storage/kv_store.h"
#include "server/etcd/wire.h"

namespace orch::storage {

// mvccpb.KeyValue and Event are the store's own.
template <class V>
void fields(V& v, KeyValue& m) {
  list(v, m.key, m.create_revision, m.mod_revision, m.version, m.value, m.lease);
}

}  // namespace orch::storage

namespace orch::server::etcd {

using storage::KeyValue;

struct Event {
  int64_t type = 0;  // 0 PUT, 1 DELETE
  KeyValue kv, prev_kv;
  bool has_prev_kv = false;
};
template <class V>
void fields(V& v, Event& m) {
  list(v, m.type, m.kv);
  v.present(3, m.prev_kv, m.has_prev_kv);
}

struct ResponseHeader {
  uint64_t cluster_id = 0, member_id = 0;
  int64_t revision = 0;
  uint64_t raft_term = 0;
};
template <class V>
void fields(V& v, ResponseHeader& m) {
  list(v, m.cluster_id, m.member_id, m.revision, m.raft_term);
}

// ---- KV

struct RangeRequest {
  std::string key, range_end;
  int64_t limit = 0, revision = 0;
  int64_t sort_order = 0;   // 0 none, 1 ascend, 2 descend
  int64_t sort_target = 0;  // 0 key, 1 version, 2 create, 3 mod, 4 value
  bool serializable = false, keys_only = false, count_only = false;
  int64_t min_mod_revision = 0, max_mod_revision = 0;
  int64_t min_create_revision = 0, max_create_revision = 0;
};
template <class V>
void fields(V& v, RangeRequest& m) {
  list(v, m.key, m.range_end, m.limit, m.revision, m.sort_order, m.sort_target, m.serializable,
       m.keys_only, m.count_only, m.min_mod_revision, m.max_mod_revision, m.min_create_revision,
       m.max_create_revision);
}

struct RangeResponse {
  ResponseHeader header;
  std::vector<KeyValue> kvs;
  bool more = false;
  int64_t count = 0;
};
template <class V>
void fields(V& v, RangeResponse& m) {
  list(v, m.header, m.kvs, m.more, m.count);
}

struct PutRequest {
  std::string key;
  storage::Bytes value;
  int64_t lease = 0;
  bool prev_kv = false, ignore_value = false, ignore_lease = false;
};
template <class V>
void fields(V& v, PutRequest& m) {
  list(v, m.key, m.value, m.lease, m.prev_kv, m.ignore_value, m.ignore_lease);
}

struct PutResponse {
  ResponseHeader header;
  KeyValue prev_kv;
  bool has_prev_kv = false;
};
template <class V>
void fields(V& v, PutResponse& m) {
  v.field(1, m.header);
  v.present(2, m.prev_kv, m.has_prev_kv);
}

struct DeleteRangeRequest {
  std::string key, range_end;
  bool prev_kv = false;
};
template <class V>
void fields(V& v, DeleteRangeRequest& m) {
  list(v, m.key, m.range_end, m.prev_kv);
}

struct DeleteRangeResponse {
  ResponseHeader header;
  int64_t deleted = 0;
  std::vector<KeyValue> prev_kvs;
};
template <class V>
void fields(V& v, DeleteRangeResponse& m) {
  list(v, m.header, m.deleted, m.prev_kvs);
}

struct Compare {
  int64_t result = 0;  // 0 equal, 1 greater, 2 less, 3 not equal
  int64_t target = 0;  // 0 version, 1 create, 2 mod, 3 value, 4 lease
  std::string key;
  // target_union: one of them is sent, also when zero.
  int64_t version = 0, create_revision = 0, mod_revision = 0;
  std::string value;
  int64_t lease = 0;
  std::string range_end;
};
template <class V>
void fields(V& v, Compare& m) {
  list(v, m.result, m.target, m.key, m.version, m.create_revision, m.mod_revision, m.value,
       m.lease);
  v.field(64, m.range_end);
}

struct TxnRequest;
struct RequestOp {
  bool has_range = false, has_put = false, has_delete = false;
  RangeRequest range;
  PutRequest put;
  DeleteRangeRequest delete_range;
  std::shared_ptr<TxnRequest> txn;
};
struct TxnRequest {
  std::vector<Compare> compare;
  std::vector<RequestOp> success, failure;
};
template <class V>
void fields(V& v, TxnRequest& m);
template <class V>
void fields(V& v, RequestOp& m) {
  v.present(1, m.range, m.has_range);
  v.present(2, m.put, m.has_put);
  v.present(3, m.delete_range, m.has_delete);
  v.optional(4, m.txn);
}
template <class V>
void fields(V& v, TxnRequest& m) {
  list(v, m.compare, m.success, m.failure);
}

struct TxnResponse;
struct ResponseOp {
  bool has_range = false, has_put = false, has_delete = false;
  RangeResponse range;
  PutResponse put;
  DeleteRangeResponse delete_range;
  std::shared_ptr<TxnResponse> txn;
};
struct TxnResponse {
  ResponseHeader header;
  bool succeeded = false;
  std::vector<ResponseOp> responses;
};
template <class V>
void fields(V& v, TxnResponse& m);
template <class V>
void fields(V& v, ResponseOp& m) {
  v.present(1, m.range, m.has_range);
  v.present(2, m.put, m.has_put);
  v.present(3, m.delete_range, m.has_delete);
  v.optional(4, m.txn);
}
template <class V>
void fields(V& v, TxnResponse& m) {
  list(v, m.header, m.succeeded, m.responses);
}

struct CompactionRequest {
  int64_t revision = 0;
  bool physical = false;
};
template <class V>
void fields(V& v, CompactionRequest& m) {
  list(v, m.revision, m.physical);
}

// Every answer that is a header alone.
struct HeaderResponse {
  ResponseHeader header;
};
template <class V>
void fields(V& v, HeaderResponse& m) {
  v.field(1, m.header);
}

// ---- Watch

struct WatchCreateRequest {
  std::string key, range_end;
  int64_t start_revision = 0;
  bool progress_notify = false;
  std::vector<int64_t> filters;  // 0 NOPUT, 1 NODELETE
  bool prev_kv = false;
  int64_t watch_id = 0;
  bool fragment = false;
};
template <class V>
void fields(V& v, WatchCreateRequest& m) {
  list(v, m.key, m.range_end, m.start_revision, m.progress_notify, m.filters, m.prev_kv, m.watch_id,
       m.fragment);
}
struct WatchCancelRequest {
  int64_t watch_id = 0;
};
template <class V>
void fields(V& v, WatchCancelRequest& m) {
  v.field(1, m.watch_id);
}
struct Empty {};
template <class V>
void fields(V&, Empty&) {}
struct WatchRequest {
  bool has_create = false, has_cancel = false, has_progress = false;
  WatchCreateRequest create;
  WatchCancelRequest cancel;
  Empty progress;
};
template <class V>
void fields(V& v, WatchRequest& m) {
  v.present(1, m.create, m.has_create);
  v.present(2, m.cancel, m.has_cancel);
  v.present(3, m.progress, m.has_progress);
}
struct WatchResponse {
  ResponseHeader header;
  int64_t watch_id = 0;
  bool created = false, canceled = false;
  int64_t compact_revision = 0;
  std::string cancel_reason;
  bool fragment = false;
  std::vector<Event> events;
};
template <class V>
void fields(V& v, WatchResponse& m) {
  list(v, m.header, m.watch_id, m.created, m.canceled, m.compact_revision, m.cancel_reason,
       m.fragment);
  v.field(11, m.events);
}

// ---- Lease

struct LeaseGrantRequest {
  int64_t ttl = 0, id = 0;
};
template <class V>
void fields(V& v, LeaseGrantRequest& m) {
  list(v, m.ttl, m.id);
}
struct LeaseGrantResponse {
  ResponseHeader header;
  int64_t id = 0, ttl = 0;
  std::string error;
};
template <class V>
void fields(V& v, LeaseGrantResponse& m) {
  list(v, m.header, m.id, m.ttl, m.error);
}
struct LeaseIdRequest {  // LeaseRevokeRequest, LeaseKeepAliveRequest
  int64_t id = 0;
};
template <class V>
void fields(V& v, LeaseIdRequest& m) {
  v.field(1, m.id);
}
struct LeaseKeepAliveResponse {
  ResponseHeader header;
  int64_t id = 0, ttl = 0;
};
template <class V>
void fields(V& v, LeaseKeepAliveResponse& m) {
  list(v, m.header, m.id, m.ttl);
}
struct LeaseTimeToLiveRequest {
  int64_t id = 0;
  bool keys = false;
};
template <class V>
void fields(V& v, LeaseTimeToLiveRequest& m) {
  list(v, m.id, m.keys);
}
struct LeaseTimeToLiveResponse {
  ResponseHeader header;
  int64_t id = 0, ttl = 0, granted_ttl = 0;
  std::vector<std::string> keys;
};
template <class V>
void fields(V& v, LeaseTimeToLiveResponse& m) {
  list(v, m.header, m.id, m.ttl, m.granted_ttl, m.keys);
}
struct LeaseLeasesResponse {
  ResponseHeader header;
  std::vector<LeaseIdRequest> leases;
};
template <class V>
void fields(V& v, LeaseLeasesResponse& m) {
  list(v, m.header, m.leases);
}

// ---- Cluster, Maintenance

struct Member {
  uint64_t id = 0;
  std::string name;
  std::vector<std::string> peer_urls, client_urls;
};
template <class V>
void fields(V& v, Member& m) {
  list(v, m.id, m.name, m.peer_urls, m.client_urls);
}
struct MemberListResponse {
  ResponseHeader header;
  std::vector<Member> members;
};
template <class V>
void fields(V& v, MemberListResponse& m) {
  list(v, m.header, m.members);
}
struct HashKvRequest {
  int64_t revision = 0;
};
template <class V>
void fields(V& v, HashKvRequest& m) {
  v.field(1, m.revision);
}
struct HashKvResponse {  // HashResponse has no compact_revision
  ResponseHeader header;
  uint64_t hash = 0;
  int64_t compact_revision = 0;
};
template <class V>
void fields(V& v, HashKvResponse& m) {
  list(v, m.header, m.hash, m.compact_revision);
}
struct SnapshotResponse {
  ResponseHeader header;
  uint64_t remaining_bytes = 0;
  std::string blob;
};
template <class V>
void fields(V& v, SnapshotResponse& m) {
  list(v, m.header, m.remaining_bytes, m.blob);
}
struct StatusResponse {
  ResponseHeader header;
  std::string version;
  int64_t db_size = 0;
  uint64_t leader = 0, raft_index = 0, raft_term = 0, raft_applied_index = 0;
  std::vector<std::string> errors;
  int64_t db_size_in_use = 0;
};
template <class V>
void fields(V& v, StatusResponse& m) {
  list(v, m.header, m.version, m.db_size, m.leader, m.raft_index, m.raft_term, m.raft_applied_index,
       m.errors, m.db_size_in_use);
}
struct AuthStatusResponse {
  ResponseHeader header;
  bool enabled = false;
  uint64_t auth_revision = 0;
};
template <class V>
void fields(V& v, AuthStatusResponse& m) {
  list(v, m.header, m.enabled, m.auth_revision);
}
struct HealthResponse {  // grpc.health.v1
  int64_t status = 0;    // 1 SERVING
};
template <class V>
void fields(V& v, HealthResponse& m) {
  v.field(1, m.status);
}

}  // namespace orch::server::etcd
