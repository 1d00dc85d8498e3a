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
  v.field(1, m.key);
  v.field(2, m.create_revision);
  v.field(3, m.mod_revision);
  v.field(4, m.version);
  v.field(5, m.value);
  v.field(6, m.lease);
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
  v.field(1, m.type);
  v.present(2, m.kv, true);
  v.present(3, m.prev_kv, m.has_prev_kv);
}

struct ResponseHeader {
  uint64_t cluster_id = 0, member_id = 0;
  int64_t revision = 0;
  uint64_t raft_term = 0;
};
template <class V>
void fields(V& v, ResponseHeader& m) {
  v.field(1, m.cluster_id);
  v.field(2, m.member_id);
  v.field(3, m.revision);
  v.field(4, m.raft_term);
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
  v.field(1, m.key);
  v.field(2, m.range_end);
  v.field(3, m.limit);
  v.field(4, m.revision);
  v.field(5, m.sort_order);
  v.field(6, m.sort_target);
  v.field(7, m.serializable);
  v.field(8, m.keys_only);
  v.field(9, m.count_only);
  v.field(10, m.min_mod_revision);
  v.field(11, m.max_mod_revision);
  v.field(12, m.min_create_revision);
  v.field(13, m.max_create_revision);
}

struct RangeResponse {
  ResponseHeader header;
  std::vector<KeyValue> kvs;
  bool more = false;
  int64_t count = 0;
};
template <class V>
void fields(V& v, RangeResponse& m) {
  v.present(1, m.header, true);
  v.repeated(2, m.kvs);
  v.field(3, m.more);
  v.field(4, m.count);
}

struct PutRequest {
  std::string key;
  storage::Bytes value;
  int64_t lease = 0;
  bool prev_kv = false, ignore_value = false, ignore_lease = false;
};
template <class V>
void fields(V& v, PutRequest& m) {
  v.field(1, m.key);
  v.field(2, m.value);
  v.field(3, m.lease);
  v.field(4, m.prev_kv);
  v.field(5, m.ignore_value);
  v.field(6, m.ignore_lease);
}

struct PutResponse {
  ResponseHeader header;
  KeyValue prev_kv;
  bool has_prev_kv = false;
};
template <class V>
void fields(V& v, PutResponse& m) {
  v.present(1, m.header, true);
  v.present(2, m.prev_kv, m.has_prev_kv);
}

struct DeleteRangeRequest {
  std::string key, range_end;
  bool prev_kv = false;
};
template <class V>
void fields(V& v, DeleteRangeRequest& m) {
  v.field(1, m.key);
  v.field(2, m.range_end);
  v.field(3, m.prev_kv);
}

struct DeleteRangeResponse {
  ResponseHeader header;
  int64_t deleted = 0;
  std::vector<KeyValue> prev_kvs;
};
template <class V>
void fields(V& v, DeleteRangeResponse& m) {
  v.present(1, m.header, true);
  v.field(2, m.deleted);
  v.repeated(3, m.prev_kvs);
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
  v.field(1, m.result);
  v.field(2, m.target);
  v.field(3, m.key);
  v.field(4, m.version);
  v.field(5, m.create_revision);
  v.field(6, m.mod_revision);
  v.field(7, m.value);
  v.field(8, m.lease);
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
  v.repeated(1, m.compare);
  v.repeated(2, m.success);
  v.repeated(3, m.failure);
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
  v.present(1, m.header, true);
  v.field(2, m.succeeded);
  v.repeated(3, m.responses);
}

struct CompactionRequest {
  int64_t revision = 0;
  bool physical = false;
};
template <class V>
void fields(V& v, CompactionRequest& m) {
  v.field(1, m.revision);
  v.field(2, m.physical);
}

// Every answer that is a header alone.
struct HeaderResponse {
  ResponseHeader header;
};
template <class V>
void fields(V& v, HeaderResponse& m) {
  v.present(1, m.header, true);
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
  v.field(1, m.key);
  v.field(2, m.range_end);
  v.field(3, m.start_revision);
  v.field(4, m.progress_notify);
  v.repeated(5, m.filters);
  v.field(6, m.prev_kv);
  v.field(7, m.watch_id);
  v.field(8, m.fragment);
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
  v.present(1, m.header, true);
  v.field(2, m.watch_id);
  v.field(3, m.created);
  v.field(4, m.canceled);
  v.field(5, m.compact_revision);
  v.field(6, m.cancel_reason);
  v.field(7, m.fragment);
  v.repeated(11, m.events);
}

// ---- Lease

struct LeaseGrantRequest {
  int64_t ttl = 0, id = 0;
};
template <class V>
void fields(V& v, LeaseGrantRequest& m) {
  v.field(1, m.ttl);
  v.field(2, m.id);
}
struct LeaseGrantResponse {
  ResponseHeader header;
  int64_t id = 0, ttl = 0;
  std::string error;
};
template <class V>
void fields(V& v, LeaseGrantResponse& m) {
  v.present(1, m.header, true);
  v.field(2, m.id);
  v.field(3, m.ttl);
  v.field(4, m.error);
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
  v.present(1, m.header, true);
  v.field(2, m.id);
  v.field(3, m.ttl);
}
struct LeaseTimeToLiveRequest {
  int64_t id = 0;
  bool keys = false;
};
template <class V>
void fields(V& v, LeaseTimeToLiveRequest& m) {
  v.field(1, m.id);
  v.field(2, m.keys);
}
struct LeaseTimeToLiveResponse {
  ResponseHeader header;
  int64_t id = 0, ttl = 0, granted_ttl = 0;
  std::vector<std::string> keys;
};
template <class V>
void fields(V& v, LeaseTimeToLiveResponse& m) {
  v.present(1, m.header, true);
  v.field(2, m.id);
  v.field(3, m.ttl);
  v.field(4, m.granted_ttl);
  v.repeated(5, m.keys);
}
struct LeaseLeasesResponse {
  ResponseHeader header;
  std::vector<LeaseIdRequest> leases;
};
template <class V>
void fields(V& v, LeaseLeasesResponse& m) {
  v.present(1, m.header, true);
  v.repeated(2, m.leases);
}

// ---- Cluster, Maintenance

struct Member {
  uint64_t id = 0;
  std::string name;
  std::vector<std::string> peer_urls, client_urls;
};
template <class V>
void fields(V& v, Member& m) {
  v.field(1, m.id);
  v.field(2, m.name);
  v.repeated(3, m.peer_urls);
  v.repeated(4, m.client_urls);
}
struct MemberListResponse {
  ResponseHeader header;
  std::vector<Member> members;
};
template <class V>
void fields(V& v, MemberListResponse& m) {
  v.present(1, m.header, true);
  v.repeated(2, m.members);
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
  v.present(1, m.header, true);
  v.field(2, m.hash);
  v.field(3, m.compact_revision);
}
struct SnapshotResponse {
  ResponseHeader header;
  uint64_t remaining_bytes = 0;
  std::string blob;
};
template <class V>
void fields(V& v, SnapshotResponse& m) {
  v.present(1, m.header, true);
  v.field(2, m.remaining_bytes);
  v.field(3, m.blob);
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
  v.present(1, m.header, true);
  v.field(2, m.version);
  v.field(3, m.db_size);
  v.field(4, m.leader);
  v.field(5, m.raft_index);
  v.field(6, m.raft_term);
  v.field(7, m.raft_applied_index);
  v.repeated(8, m.errors);
  v.field(9, m.db_size_in_use);
}
struct AuthStatusResponse {
  ResponseHeader header;
  bool enabled = false;
  uint64_t auth_revision = 0;
};
template <class V>
void fields(V& v, AuthStatusResponse& m) {
  v.present(1, m.header, true);
  v.field(2, m.enabled);
  v.field(3, m.auth_revision);
}
struct HealthResponse {  // grpc.health.v1
  int64_t status = 0;    // 1 SERVING
};
template <class V>
void fields(V& v, HealthResponse& m) {
  v.field(1, m.status);
}

}  // namespace orch::server::etcd
